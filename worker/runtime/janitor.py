"""Housekeeping beside the deliveries: the broker's own dead queue is emptied into the table operators look at."""

import hashlib

import structlog

from events.codec import MalformedEvent, decode
from schemas.problem import Cause, Problem
from worker.broker.delivery import DeathInfo, Delivery
from worker.store import dead_letters, outbox
from worker.store.dead_letters import NewLetter
from worker.store.pool import Database

log = structlog.get_logger()


UNHEARD_KEPT_S = 7 * 24 * 3600.0


class Janitor:
    """Keeps one list of dead letters: Postgres. The broker's dead queue is only a safety net below it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def drop_unheard(self) -> None:
        """Forget answers that no service was bound to for a week: their effects stand in the read model."""
        async with self._database.connection("drop unheard") as connection:
            dropped = await outbox.drop_unheard(connection, UNHEARD_KEPT_S)
        if dropped:
            log.warning("outbox.unheard_dropped", count=dropped)

    async def keep_dead(self, delivery: Delivery, death: DeathInfo) -> None:
        """Write down a message that the broker gave up on. Called before it is acknowledged; repeats are harmless."""
        letter = _letter_of(delivery, death)
        digest = hashlib.sha256(delivery.body).hexdigest()
        async with self._database.transaction("keep dead") as connection:
            known = await connection.fetchval(
                """select 1 from economic.dead_letters
                   where state = 'open' and headers ->> 'broker-death' = $1""",
                digest,
            )
            if known is None:
                letter.headers["broker-death"] = digest  # type: ignore[index]
                await dead_letters.insert(connection, letter)
        log.error("broker.gave_up", reason=death.reason, queue=death.queue, type=letter.type)


def _letter_of(delivery: Delivery, death: DeathInfo) -> NewLetter:
    problem = Problem(
        cause=Cause.KILLED_THE_PROCESS if death.reason == "delivery_limit" else Cause.INTERNAL_ERROR,
        user_message="This message was handed out again and again and never came to an end.",
        remedy="Our engineers must look at it before it is replayed; nothing of it was lost.",
    )
    source = event_id = workspace = None
    event_type: str | None = delivery.routing_key
    try:
        event = decode(delivery.body, delivery.headers, delivery.content_type)
        source, event_id, event_type, workspace = event.source, event.id, event.type, event.workspace_id
    except MalformedEvent as exc:
        problem = Problem(cause=exc.cause, user_message=exc.user_message, remedy=exc.remedy)
    return NewLetter(
        lane=delivery.lane.value,
        body=delivery.body,
        cause=problem.cause.value,
        problem=problem.model_dump(mode="json"),
        received_at=death.died_at,
        detail=f"the broker dead-lettered it: {death.reason} ×{death.count} in {death.queue}",
        source=source,
        event_id=event_id,
        type=event_type,
        workspace_id=workspace,
        content_type=delivery.content_type,
        headers={name: str(value) for name, value in delivery.headers.items() if not name.startswith("x-")},
        attempts=delivery.delivery_count,
    )
