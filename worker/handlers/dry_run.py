"""Dry run of a replay: for each letter what would be called, what exists already and what would still be wrong (B4).

Reads only. Nothing of the letter, its event or its invoice changes; the operators' record notes that somebody looked.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from events.codec import MalformedEvent, decode
from events.envelope import Envelope
from events.imports import ImportContinue, ImportRequested
from events.invoice import InvoiceCreated
from events.refresh import RefreshRequested
from schemas.problem import Cause, Problem
from worker.clock import Clock
from worker.economic.client import EconomicClient
from worker.errors import WithProblem, refused
from worker.handlers.plan import Plan
from worker.handlers.pushing.preview import preview_push
from worker.run import Run
from worker.store import connections, inbox, operator_audit
from worker.store.commits import OwnTransaction
from worker.store.crypto import Vault
from worker.store.dead_letters import DeadLetter
from worker.store.inbox import Claim
from worker.store.pool import Database

_NO_FENCE = -1
"""Fits no row: a run with it can read, and every commit of it is refused."""

_READS = "GET only: an import or refresh reads from e-conomic and writes nothing there"
_WITHOUT_ECONOMIC = "nothing: this event makes no call to e-conomic"


@dataclass(frozen=True, slots=True)
class DryRun:
    """Makes plans. ``by`` is the operator, for the record."""

    database: Database
    client: EconomicClient
    vault: Vault
    clock: Clock
    by: str

    async def plans(self, letters: Sequence[DeadLetter]) -> AsyncIterator[Plan]:
        """Yield a plan per letter, in their order."""
        for letter in letters:
            plan = Plan(letter.id, letter.type, letter.workspace_id)
            try:
                await self._fill(plan, letter)
            except WithProblem as exc:
                plan.add_wrong(exc.problem)
            if not plan.calls:
                plan.calls.append("nothing, as long as that is wrong" if plan.wrong else _WITHOUT_ECONOMIC)
            async with self.database.connection("dry run") as connection:
                await operator_audit.write(
                    connection,
                    self.by,
                    "dry-run",
                    [letter.id],
                    details={"calls": plan.calls, "wrong": [problem.cause.value for problem in plan.wrong]},
                )
            yield plan

    async def _fill(self, plan: Plan, letter: DeadLetter) -> None:
        event = _readable(letter)
        plan.pike["letter"] = letter.state
        async with self.database.connection("dry run") as connection:
            plan.pike["event"] = await inbox.state_of(connection, event.source, event.id)
        if letter.cause == Cause.CONFLICTING_EVENT:
            raise refused(
                Cause.CONFLICTING_EVENT,
                "Another event with the same id was acted on; this one would be buried again.",
                "Publish it again with an id of its own.",
            )
        if letter.state != "open":
            plan.calls.append(f"nothing: the letter was {letter.state} before")
        elif plan.pike["event"] == "done":
            plan.calls.append("nothing: the event is done")
        elif preview := _PREVIEWS.get(event.type):
            await preview(plan, await self._reading(event))

    async def _reading(self, event: Envelope[Any]) -> Run:
        """Return a run that can read, of a workspace whose connection works."""
        async with self.database.connection("dry run") as connection:
            found = await connections.find(connection, event.workspace_id)
        if found is None or found.status == "closed":
            raise refused(
                Cause.NOT_CONNECTED,
                f"Workspace {event.workspace_id} is not connected to an e-conomic agreement.",
                "Connect it under Workspace settings → Integrations, then send the request again.",
            )
        if not found.active:
            raise refused(
                Cause.GRANT_REVOKED,
                "e-conomic no longer accepts Pike's access to this agreement; the event would be held.",
                "Reconnect the agreement under Workspace settings → Integrations. Held events go on by themselves.",
            )
        return Run(
            event=event,
            claim=Claim(event.source, event.id, _NO_FENCE, 0, 0, self.clock.now()),
            database=self.database,
            commits=OwnTransaction(self.database),
            clock=self.clock,
            lease_s=0.0,
            slice_s=0.0,
            announce=lambda _rows: None,
            connection=found,
            api=self.client.for_grant(
                connections.open_grant(self.vault, found), agreement_number=found.agreement_number
            ),
        )


def _readable(letter: DeadLetter) -> Envelope[Any]:
    try:
        event: Envelope[Any] = decode(letter.body, letter.headers, letter.content_type)
    except MalformedEvent as exc:
        raise WithProblem(Problem(cause=exc.cause, user_message=exc.user_message, remedy=exc.remedy)) from exc
    return event


async def _reads(plan: Plan, _run: Run) -> None:
    plan.calls.append(_READS)


_PREVIEWS: Mapping[str, Callable[[Plan, Run], Awaitable[None]]] = {
    InvoiceCreated.TYPE: preview_push,
    RefreshRequested.TYPE: _reads,
    ImportRequested.TYPE: _reads,
    ImportContinue.TYPE: _reads,
}
