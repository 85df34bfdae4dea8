"""Dead letter back to work: one transaction closes it, reopens the inbox row and puts the raw body in the outbox.

The event keeps its id, so that what it already did to e-conomic is found again and never done twice. Every act is
written into the operators' record in the same commit.
"""

import hashlib
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from events.codec import MalformedEvent, decode
from schemas.problem import Cause
from worker.broker.delivery import Lane
from worker.broker.topology import INTERNAL_EXCHANGE, LANE_QUEUES
from worker.store import dead_letters, inbox, operator_audit, outbox
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
        letter = await _find(connection, letter_id)
        if letter is None:
            return Replayed(letter_id, "not_found")
        sent = await send(connection, letter, by)
    return Replayed(letter_id, "sent" if sent else "already_closed")


async def send(connection: Connection, letter: DeadLetter, by: str, campaign_id: UUID | None = None) -> bool:
    """Send a letter again within the caller's transaction; False when somebody closed it before."""
    if not await dead_letters.close(connection, letter.id, "replayed", by, None):
        return False
    await _reopen(connection, letter)
    await outbox.append(connection, [message_of(letter, letter.body)], lease_s=0.0)
    await operator_audit.write(connection, by, "replay", [letter.id], replay_id=campaign_id)
    return True


def watched(letter: DeadLetter) -> tuple[str, str]:
    """Return (source, id) of the inbox row that will show how the replayed letter ended."""
    if letter.cause == Cause.CONFLICTING_EVENT:
        return "conflict", _digest(letter.body)
    try:
        event = decode(letter.body, letter.headers, letter.content_type)
    except MalformedEvent:
        return "malformed", _digest(letter.body)
    return event.source, event.id


async def discard(database: Database, letter_id: UUID, by: str, reason: str) -> Replayed:
    """Close a dead letter for good; body and history stay in the table."""
    async with database.transaction("discard") as connection:
        if await _find(connection, letter_id) is None:
            return Replayed(letter_id, "not_found")
        closed = await dead_letters.close(connection, letter_id, "discarded", by, reason)
        if closed:
            await operator_audit.write(connection, by, "discard", [letter_id], reason=reason)
    return Replayed(letter_id, "sent" if closed else "already_closed")


async def _find(connection: Connection, letter_id: UUID) -> DeadLetter | None:
    found = await dead_letters.search(connection, ids=[letter_id], state=None)
    return found[0] if found else None


async def _reopen(connection: Connection, letter: DeadLetter) -> None:
    # a conflicting event shares its id with another one, whose row is not to be touched
    if letter.source and letter.event_id and letter.cause != Cause.CONFLICTING_EVENT:
        await inbox.reopen(connection, letter.source, letter.event_id)
    for kind in _BY_BODY:  # unreadable and conflicting messages are known by their bytes
        await inbox.reopen(connection, kind, _digest(letter.body))


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def message_of(letter: DeadLetter, body: bytes) -> OutboxMessage:
    """Return the message that brings an event back to the worker, with the headers that it came with."""
    return OutboxMessage(
        event_id=letter.event_id or str(letter.id),
        type=letter.type or "unknown",
        workspace_id=letter.workspace_id or "",
        exchange=INTERNAL_EXCHANGE,
        # by the name of its lane, not by its type: an unreadable message may have none that is routed
        routing_key=LANE_QUEUES[Lane(letter.lane)],
        body=body,
        content_type=letter.content_type or "application/cloudevents+json",
        headers=letter.headers,
    )
