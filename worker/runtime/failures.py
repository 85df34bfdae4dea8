"""What is written down when a handler fails: put back, park until a reconnect, or bury."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from events.connection import ConnectionRevoked
from schemas.problem import Problem
from worker import failpoints
from worker.broker.delivery import Ack, Delivery, PutAway, Verdict
from worker.clock import Clock
from worker.errors import Held, NotYet
from worker.run import Run, Work
from worker.runtime.burial import Burial
from worker.runtime.judge import Action, Decision
from worker.runtime.solo import ended_tries
from worker.store import connections, inbox, outbox
from worker.store.connections import Refusal
from worker.store.outbox import OutboxRow
from worker.store.pool import Database
from worker.telemetry.redaction import REDACTOR


@dataclass(slots=True)
class Failures:
    """Records failed runs. ``first_wait_s``: the shortest wait of the ladder, in seconds."""

    database: Database
    clock: Clock
    announce: Callable[[Sequence[OutboxRow]], None]
    burial: Burial
    first_wait_s: float

    async def record(
        self, delivery: Delivery, run: Run, error: BaseException, decision: Decision
    ) -> tuple[Verdict, str]:
        """Carry a decision out; returns what to do with the message, and the outcome's name for counting."""
        note = _note(self.clock.now(), error, decision, ended_tries(run.claim.history))
        match decision.action:
            case Action.RETRY | Action.SNOOZE:
                free = decision.action is Action.SNOOZE
                async with self.database.connection("put back") as connection:
                    await inbox.put_back(
                        connection,
                        run.claim,
                        parked=False,
                        free=free,
                        note=None if isinstance(error, NotYet | Held) else note,
                    )
                failpoints.hit("retry.recorded")
                return PutAway(decision.delay_s, decision.problem.cause.value), decision.action.value
            case Action.PARK:
                return await self._park(run, note, decision.problem)
            case Action.DEAD:
                history = [*run.claim.history, note]
                await self.burial.bury(delivery, run.event, run.claim, decision.problem, str(error), history)
                return Ack(), "dead"

    async def _park(self, run: Run, note: dict[str, Any], problem: Problem) -> tuple[Verdict, str]:
        """Hold the event until somebody reconnects; one that was refused with an older grant just tries again."""
        version = run.connection.grant_version if run.connection else 0
        async with self.database.transaction("park") as connection:
            work = Work(connection, run.event, self.clock)
            refusal = await connections.refuse_grant(
                connection, run.workspace_id, version, problem.model_dump(mode="json")
            )
            outdated = refusal is Refusal.OUTDATED
            await inbox.put_back(connection, run.claim, parked=not outdated, free=True, note=note)
            if refusal is Refusal.FIRST and run.connection is not None:
                work.emit(ConnectionRevoked(agreement_number=run.connection.agreement_number, problem=problem))
            rows = await outbox.append(connection, work.messages)
            failpoints.hit("park.before_commit")
        failpoints.hit("park.committed")
        self.announce(rows)
        return (PutAway(self.first_wait_s, "reconnected meanwhile"), "snooze") if outdated else (Ack(), "parked")


def _note(at: datetime, error: BaseException, decision: Decision, ended: int) -> dict[str, Any]:
    return {
        "at": at.isoformat(),
        "error": type(error).__name__,
        "detail": REDACTOR.text(str(error))[:500],
        "cause": decision.problem.cause.value,
        "next": decision.action.value,
        "ended": ended + (decision.action is Action.RETRY),  # tells deaths from tries that failed, see runtime.solo
    }
