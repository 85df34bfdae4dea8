"""Invoices as Pike asked for them: kept before anything is sent, and what became of them (R22)."""

from dataclasses import dataclass
from uuid import UUID

from schemas.invoice import RequestedInvoice
from worker.store.pool import Connection


async def save_request(connection: Connection, workspace_id: str, invoice: RequestedInvoice) -> None:
    """Keep an invoice that Pike asked for, unless Pike wrote the row itself. It stays editable (R22)."""
    inserted = await connection.fetchval(
        """insert into pike.invoices (id, workspace_id, title, status, customer_id, issue_date, due_date, currency, project_id)
           select $1, $2, $3, 'pending', (select id from pike.customers where id = $4 and workspace_id = $2), $5, $6, $7, $8
           on conflict (id) do nothing returning id""",
        invoice.id,
        workspace_id,
        invoice.title,
        invoice.customer_id,
        invoice.issue_date,
        invoice.due_date,
        invoice.currency,
        invoice.project_id,
    )
    if inserted is None:
        return
    await connection.executemany(
        """insert into pike.invoice_lines
             (id, invoice_id, position, product_id, description, quantity, unit_price, discount_percent, finance_account_requested)
           select $1, $2, $3, (select id from pike.products where id = $4 and workspace_id = $10), $5, $6, $7, $8, $9
           on conflict do nothing""",
        [
            (
                line.id,
                invoice.id,
                position,
                line.product_id,
                line.description,
                line.quantity,
                line.unit_price,
                line.discount_percent,
                line.finance_account,
                workspace_id,
            )
            for position, line in enumerate(invoice.lines, start=1)
        ],
    )


async def hold(connection: Connection, workspace_id: str, invoice_id: UUID) -> bool:
    """Lock an invoice's row until the commit: whoever is about to send it waits here. False when it is not ours."""
    return bool(
        await connection.fetchval(
            "select workspace_id = $1 from pike.invoices where id = $2 for update", workspace_id, invoice_id
        )
    )


async def set_status(
    connection: Connection,
    workspace_id: str,
    invoice_id: UUID,
    status: str,
    problem: dict[str, object] | None,
) -> None:
    """Show where a push stands. A row that is already in e-conomic (locked, or was until a disconnect) is left alone."""
    await connection.execute(
        """update pike.invoices set status = $3, last_problem = $4, last_attempt_at = now(), updated_at = now()
           where id = $2 and workspace_id = $1 and not locked and external_number is null""",
        workspace_id,
        invoice_id,
        status,
        problem,
    )


@dataclass(frozen=True, slots=True)
class LocalInvoice:
    """What the worker needs to know of an invoice row."""

    id: UUID
    workspace_id: str
    agreement_number: int | None
    external_number: str | None
    status: str
    locked: bool
    booked_number: int | None
    draft_number: int | None


async def find(connection: Connection, workspace_id: str, invoice_id: UUID) -> LocalInvoice | None:
    """Return one invoice of this workspace."""
    row = await connection.fetchrow(
        """select id, workspace_id, agreement_number, external_number, status, locked, booked_number, draft_number
           from pike.invoices where workspace_id = $1 and id = $2""",
        workspace_id,
        invoice_id,
    )
    return LocalInvoice(**row) if row else None
