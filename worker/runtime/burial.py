"""How an event ends as a dead letter: kept with its raw body and its cause, answered, never lost."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from events import EVENTS, failed_event
from events.codec import MalformedEvent
from events.envelope import Envelope, EventData
from schemas.problem import Cause, Problem
from worker import failpoints
from worker.broker.delivery import Delivery
from worker.clock import Clock
from worker.run import Handler, Work
from worker.runtime.identity import received_by_body, texts
from worker.runtime.lease import LEASE_S
from worker.store import dead_letters, inbox, outbox
from worker.store.dead_letters import NewLetter
from worker.store.inbox import Claim
from worker.store.outbox import OutboxRow
from worker.store.pool import Connection, Database
from worker.telemetry import tracing
from worker.telemetry.redaction import REDACTOR

_MALFORMED = "malformed"
_CONFLICT = "conflict"


@dataclass(slots=True)
class Burial:
    """Writes dead letters."""

    database: Database
    handlers: Mapping[str, Handler]
    clock: Clock
    announce: Callable[[Sequence[OutboxRow]], None]

    async def bury(
        self,
        delivery: Delivery,
        event: Envelope[Any],
        claim: Claim,
        problem: Problem,
        detail: str,
        history: Sequence[dict[str, Any]],
    ) -> None:
        """End an event: dead letter, the handler's own consequences and the answer to the publisher, in one commit."""
        handler = self.handlers.get(event.type)
        async with self.database.transaction("bury") as connection:
            await inbox.bury(connection, claim, problem.cause.value)
            await dead_letters.insert(connection, _letter(delivery, event, problem, detail, claim, history))
            work = Work(connection, event, self.clock)
            if handler and handler.on_dead:
                await handler.on_dead(event, problem, work)
            answer = failed_event(type(event.data), event.id, event.data, problem)
            if answer is not None:
                work.emit(answer)
            rows = await outbox.append(connection, work.messages)
            failpoints.hit("dead.before_commit")
        failpoints.hit("dead.committed")
        self.announce(rows)

    async def bury_unreadable(self, delivery: Delivery, error: MalformedEvent) -> bool:
        """Keep what cannot be read, and answer where a request can be recognised. False: this body is kept already."""
        hint = error.envelope_hint
        problem = Problem(cause=error.cause, user_message=error.user_message, remedy=error.remedy)
        event: Envelope[Any] = Envelope(
            id=hint.get("id") or "unknown",
            source=hint.get("source") or "unknown",
            type=hint.get("type") or "unknown",
            time=None,
            workspace_id=hint.get("workspace_id") or "",
            data=EventData(),
        )
        async with self.database.transaction("bury unreadable") as connection:
            if not await _bury_by_body(connection, delivery, event, _MALFORMED, error.cause.value):
                return False
            letter = _letter(delivery, event, problem, str(error), None, [])
            await dead_letters.insert(connection, letter)
            work = Work(connection, event, self.clock)
            request = EVENTS.get(event.type)
            answer = failed_event(request, event.id, None, problem) if request and event.workspace_id else None
            if answer is not None and hint.get("id"):
                work.emit(answer)
            rows = await outbox.append(connection, work.messages)
        self.announce(rows)
        return True

    async def bury_conflict(self, delivery: Delivery, event: Envelope[Any]) -> None:
        """Same id, different body: kept for a person. The first request keeps its own, single answer."""
        problem = Problem(
            cause=Cause.CONFLICTING_EVENT,
            user_message="A second event with the same id but other contents arrived. Only the first was acted on.",
            remedy="The publisher must give every event an id of its own. Publish this one again with a new id.",
        )
        async with self.database.transaction("bury conflict") as connection:
            if await _bury_by_body(connection, delivery, event, _CONFLICT, problem.cause.value):
                await dead_letters.insert(connection, _letter(delivery, event, problem, "", None, []))


async def _bury_by_body(
    connection: Connection, delivery: Delivery, event: Envelope[Any], kind: str, cause: str
) -> bool:
    """Write down a message that has no identity of its own by its bytes; False when it was buried before."""
    result = await inbox.claim(connection, received_by_body(delivery, event, kind), LEASE_S)
    if result.claim is None:
        return False
    await inbox.bury(connection, result.claim, cause)
    return True


def _letter(
    delivery: Delivery,
    event: Envelope[Any],
    problem: Problem,
    detail: str,
    claim: Claim | None,
    history: Sequence[dict[str, Any]],
) -> NewLetter:
    def known(text: str) -> str | None:
        return text if text not in ("", "unknown") else None

    return NewLetter(
        lane=delivery.lane.value,
        body=delivery.body,
        cause=problem.cause.value,
        problem=problem.model_dump(mode="json"),
        received_at=claim.received_at if claim else None,
        detail=REDACTOR.text(detail),
        source=known(event.source),
        event_id=known(event.id),
        type=known(event.type),
        workspace_id=known(event.workspace_id),
        content_type=delivery.content_type,
        headers=texts(delivery.headers) | ({tracing.TRY_HEADER: this_try} if (this_try := tracing.current()) else {}),
        attempts=claim.attempts if claim else 1,
        history=history,
    )
