"""What operators ask for on pages goes the way of Pike's own events: through the outbox.

So dedupe, gates and lanes apply to it as to any other. The form carries the event's id: however often it is sent, it
asks once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from events.envelope import Incoming
from events.requests import new_event
from worker.broker.topology import EVENTS_EXCHANGE
from worker.run import message_of
from worker.store import access_audit, operator_requests, outbox
from worker.store.outbox import OutboxRow
from worker.store.pool import Connection

SOURCE = "/pike-economic/console"
"""``source`` of the events that pages ask with."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, from where: ``address`` as the audit keeps it."""

    operator: str
    address: str

    @property
    def name(self) -> str:
        """As events and audits name an operator."""
        return f"operator:{self.operator}"


async def ask(
    connection: Connection,
    data: Incoming,
    *,
    event_id: UUID,
    workspace_id: str,
    asker: Asker,
    action: str,
    details: Mapping[str, Any] | None = None,
) -> list[OutboxRow]:
    """Put a request into the outbox and into the audit, in the caller's transaction.

    Returns the rows to announce to the relay after the commit; none when this id was asked with before. Raises
    ``NotAccepted`` for what would become a dead letter.
    """
    event = new_event(data, source=SOURCE, workspace_id=workspace_id, event_id=str(event_id))
    if not await operator_requests.note(connection, event_id, workspace_id, event.type, asker.operator):
        return []
    rows = await outbox.append(connection, [message_of(event, EVENTS_EXCHANGE)])
    await access_audit.write(
        connection, asker.name, action, workspace_id=workspace_id, address=asker.address,
        details={**(details or {}), "event_id": str(event_id)},
    )  # fmt: skip
    return rows
