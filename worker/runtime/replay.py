"""Dead letter back to work: one transaction closes it, reopens the inbox row and puts the raw body in the outbox.

The event keeps its id, so that what it already did to e-conomic is found again and never done twice.
"""

import hashlib
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from schemas.problem import Cause
from worker.broker.delivery import Lane
from worker.broker.topology import INTERNAL_EXCHANGE, LANE_QUEUES
from worker.store import dead_letters, inbox, outbox
from worker.store.dead_letters import DeadLetter
from worker.store.outbox import OutboxMessage
from worker.store.pool import Connection, Database

_BY_BODY = ("malformed", "conflict")


@dataclass(frozen=True, slots=True)
class Replayed:
    """What happened to one letter. ``already_closed``: somebody else replayed or discarded it first."""

    id: UUID
    result: Literal["sent", "already_closed", "not_found"]


async def replay(database: Database, letter_id: UUID, by: str) -> Replayed:
    """Send one dead letter again. Safe against double clicks: only the first closes the letter."""
    async with database.transaction("replay") as connection:
        found = await dead_letters.search(connection, ids=[letter_id], state=None)
        if not found:
            return Replayed(letter_id, "not_found")
        if not await dead_letters.close(connection, letter_id, "replayed", by, None):
            return Replayed(letter_id, "already_closed")
        await _reopen(connection, found[0])
        await outbox.append(connection, [_message(found[0])], lease_s=0.0)
    return Replayed(letter_id, "sent")


async def discard(database: Database, letter_id: UUID, by: str, reason: str) -> Replayed:
    """Close a dead letter for good; body and history stay in the table."""
    async with database.transaction("discard") as connection:
        if not await dead_letters.search(connection, ids=[letter_id], state=None):
            return Replayed(letter_id, "not_found")
        closed = await dead_letters.close(connection, letter_id, "discarded", by, reason)
    return Replayed(letter_id, "sent" if closed else "already_closed")


async def _reopen(connection: Connection, letter: DeadLetter) -> None:
    # a conflicting event shares its id with another one, whose row is not to be touched
    if letter.source and letter.event_id and letter.cause != Cause.CONFLICTING_EVENT:
        await inbox.reopen(connection, letter.source, letter.event_id)
    for kind in _BY_BODY:  # unreadable and conflicting messages are known by their bytes
        await inbox.reopen(connection, kind, hashlib.sha256(letter.body).hexdigest())


def _message(letter: DeadLetter) -> OutboxMessage:
    return OutboxMessage(
        event_id=letter.event_id or str(letter.id),
        type=letter.type or "unknown",
        workspace_id=letter.workspace_id or "",
        exchange=INTERNAL_EXCHANGE,
        # by the name of its lane, not by its type: an unreadable message may have none that is routed
        routing_key=LANE_QUEUES[Lane(letter.lane)],
        body=letter.body,
        content_type=letter.content_type or "application/cloudevents+json",
        headers=letter.headers,
    )
