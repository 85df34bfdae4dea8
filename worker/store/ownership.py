"""Whether ids that an event brings are free for its workspace: Pike's ids are unique over all workspaces and invoices."""

from collections.abc import Sequence
from uuid import UUID

from worker.store.pool import Connection

_TAKEN = """
select 'invoice' as what from pike.invoices where id = $2 and workspace_id <> $1
union all
select 'invoice' from economic.effects where subject_id = $2 and workspace_id <> $1
union all
select 'customer' from pike.customers where id = $3 and workspace_id <> $1
union all
select 'customer' from economic.effects where subject_id = $3 and workspace_id <> $1
union all
select 'product' from pike.products where id = any($4::uuid[]) and workspace_id <> $1
union all
select 'line' from pike.invoice_lines where id = any($5::uuid[]) and invoice_id <> $2
"""


async def taken(
    connection: Connection,
    workspace_id: str,
    *,
    invoice_id: UUID,
    customer_id: UUID,
    product_ids: Sequence[UUID],
    line_ids: Sequence[UUID],
) -> set[str]:
    """Return which kinds of the ids (invoice, customer, product, line) belong to another workspace or invoice."""
    rows = await connection.fetch(_TAKEN, workspace_id, invoice_id, customer_id, list(product_ids), list(line_ids))
    return {row["what"] for row in rows}
