"""One record as its page shows it: every column, an invoice's lines, and what syncs changed of it (B14)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from worker.store.lists import Entity
from worker.store.pool import Connection


@dataclass(frozen=True, slots=True)
class Line:
    """A line of an invoice. ``account_requested`` is told when e-conomic holds another finance account (R14)."""

    position: int
    description: str | None
    product_id: UUID | None
    product: str | None
    quantity: Decimal | None
    unit_price: Decimal | None
    discount_percent: Decimal | None
    net: Decimal | None
    vat: Decimal | None
    tax_rate: str | None
    account: int | None
    account_requested: int | None


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """What one sync, push or person changed: ``changes`` is ``[{field, old, new}]``."""

    id: int
    at: datetime
    actor: str
    changes: Sequence[Mapping[str, Any]]


HISTORY = 20
"""Entries on a page."""


async def find(connection: Connection, entity: Entity, workspace_id: str, record_id: UUID) -> Mapping[str, Any] | None:
    """Return a record's columns, with ``tagged`` and, for an invoice, ``customer``; ``None`` when there is none."""
    name, join = (
        ("null::text", "") if entity != "invoice" else ("k.name", "left join pike.customers k on k.id = r.customer_id")
    )
    row: Mapping[str, Any] | None = await connection.fetchrow(
        f"""select r.*, {name} as customer,
                   coalesce(r.external_number is not null and c.status <> 'closed'
                            and r.agreement_number = c.agreement_number, false) as tagged
            from pike.{entity}s r {join} left join economic.connections c on c.workspace_id = r.workspace_id
            where r.workspace_id = $1 and r.id = $2""",  # noqa: S608
        workspace_id,
        record_id,
    )
    return dict(row) if row else None


async def lines(connection: Connection, workspace_id: str, invoice_id: UUID, limit: int = 500) -> list[Line]:
    """Return an invoice's lines in their order."""
    rows = await connection.fetch(
        """select l.position, l.description, l.product_id, p.name as product, l.quantity, l.unit_price,
                  l.discount_percent, l.net_amount as net, l.vat_amount as vat, t.name as tax_rate,
                  l.finance_account as account, l.finance_account_requested as account_requested
           from pike.invoice_lines l join pike.invoices i on i.id = l.invoice_id
           left join pike.products p on p.id = l.product_id left join pike.tax_rates t on t.id = l.tax_rate_id
           where i.workspace_id = $1 and l.invoice_id = $2 order by l.position limit $3""",
        workspace_id,
        invoice_id,
        limit,
    )
    return [Line(**row) for row in rows]


async def history(
    connection: Connection, workspace_id: str, record_id: UUID, before: int | None = None
) -> list[HistoryEntry]:
    """Return what was changed, newest first, from before an entry on; one more than a page tells of a next one."""
    rows = await connection.fetch(
        """select id, at, actor, changes from economic.audit
           where entity_id = $1 and workspace_id = $2 and ($3::bigint is null or id < $3)
           order by id desc limit $4""",
        record_id,
        workspace_id,
        before,
        HISTORY + 1,
    )
    return [HistoryEntry(**row) for row in rows]
