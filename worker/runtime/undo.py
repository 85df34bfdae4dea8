"""Putting back what an import deactivated (R11): in one transaction, audited, announced like any other change."""

from uuid import UUID, uuid4

from events.envelope import Envelope
from events.records import RecordsChanged
from worker.broker.topology import EVENTS_EXCHANGE
from worker.clock import Clock
from worker.run import SOURCE, message_of
from worker.store import outbox, records, vanished
from worker.store.imports import ImportRow
from worker.store.pool import Database


async def undo_deactivations(database: Database, clock: Clock, row: ImportRow, operator: str) -> list[UUID]:
    """Activate Pike's own products that an import deactivated and nobody has touched since; return their ids."""
    async with database.transaction("undo an import") as connection:
        ids = await vanished.reactivate_products(connection, row.workspace_id, row.id)
        await records.audit_active(connection, row.workspace_id, "product", f"operator:{operator}", ids, active=True)
        messages = [
            message_of(
                Envelope(
                    id=str(uuid4()), source=SOURCE, type=RecordsChanged.TYPE, time=clock.now(),
                    workspace_id=row.workspace_id, correlation_id=row.event_id,
                    data=RecordsChanged(entity="product", ids=tuple(ids[start : start + 1000])),
                ),
                EVENTS_EXCHANGE,
            )
            for start in range(0, len(ids), 1000)
        ]  # fmt: skip
        await outbox.append(connection, messages, lease_s=0.0)
    return ids
