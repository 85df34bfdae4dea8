"""Housekeeping beside the deliveries: the broker's own dead queue is emptied into the table operators look at."""

from typing import Any
from uuid import uuid4

import structlog

from events.codec import MalformedEvent, decode
from events.envelope import Envelope
from schemas.problem import Cause, Problem
from worker.broker.delivery import DeathInfo, Delivery
from worker.errors import NotYet
from worker.runtime.burial import Burial
from worker.runtime.identity import received
from worker.runtime.lease import LEASE_S
from worker.store import attempts, inbox, outbox
from worker.store.inbox import Standing
from worker.store.pool import Database

log = structlog.get_logger()


UNHEARD_KEPT_S = 7 * 24 * 3600.0


class Janitor:
    """Keeps one list of dead letters: Postgres. The broker's dead queue is only a safety net below it."""

    def __init__(self, database: Database, burial: Burial) -> None:
        self._database = database
        self._burial = burial

    async def drop_unheard(self) -> None:
        """Forget answers that no service was bound to for a week: their effects stand in the read model."""
        async with self._database.connection("drop unheard") as connection:
            dropped = await outbox.drop_unheard(connection, UNHEARD_KEPT_S)
        if dropped:
            log.warning("outbox.unheard_dropped", count=dropped)

    async def forget_attempts(self) -> None:
        """Forget grants that were given in a browser and not confirmed in time."""
        async with self._database.connection("forget connect attempts") as connection:
            await attempts.forget_expired(connection)

    async def keep_dead(self, delivery: Delivery, death: DeathInfo) -> None:
        """End an event that the broker gave up on, as a delivery would: dead letter and answer, in one commit.

        An event that has its outcome already keeps it: the broker gave up on a copy. Called before the message is
        acknowledged; repeats are harmless. Raises ``NotYet`` while a run still holds the event.
        """
        try:
            event: Envelope[Any] = decode(delivery.body, delivery.headers, delivery.content_type)
        except MalformedEvent as exc:
            await self._burial.bury_unreadable(delivery, exc)
            log.warning("broker.gave_up", reason=death.reason, queue=death.queue, error=str(exc))
            return
        async with self._database.connection("claim dead") as connection:
            result = await inbox.claim(connection, received(delivery, event, str(uuid4())), LEASE_S)
        if result.standing is Standing.CONFLICT:
            await self._burial.bury_conflict(delivery, event)
        elif result.standing is Standing.HELD:
            raise NotYet(f"event {event.id} is still being worked on", delay_s=result.lease_left_s)
        elif result.claim is not None:
            detail = f"the broker dead-lettered it: {death.reason} ×{death.count} in {death.queue}"
            await self._burial.bury(delivery, event, result.claim, _problem(death), detail, result.claim.history)
        log.error(
            "broker.gave_up", reason=death.reason, queue=death.queue, type=event.type, standing=result.standing.value
        )


def _problem(death: DeathInfo) -> Problem:
    return Problem(
        cause=Cause.KILLED_THE_PROCESS if death.reason == "delivery_limit" else Cause.INTERNAL_ERROR,
        user_message="This message was handed out again and again and never came to an end.",
        remedy="Our engineers must look at it before it is replayed; nothing of it was lost.",
    )
