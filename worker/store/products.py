"""Reading Pike's products, and keeping a place for those that only an invoice still knows (R25)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from worker.store.pool import Connection


@dataclass(frozen=True, slots=True)
class LinkedProduct:
    """What a pushed invoice line needs to know of its product."""

    id: UUID
    name: str
    external_number: str | None
    finance_account: int | None
    active: bool
    barred: bool


async def find_many(
    connection: Connection, workspace_id: str, agreement: int, ids: Sequence[UUID]
) -> dict[UUID, LinkedProduct]:
    """Return the workspace's products with these ids; a number of another agreement does not count as linked."""
    rows = await connection.fetch(
        """select id, name, case when agreement_number = $3 then external_number end as external_number,
                  finance_account, active, barred
           from pike.products where workspace_id = $1 and id = any($2::uuid[])""",
        workspace_id,
        list(ids),
        agreement,
    )
    return {row["id"]: LinkedProduct(**row) for row in rows}


async def ensure_numbers(
    connection: Connection, workspace_id: str, agreement: int, named: Mapping[str, str], as_of: datetime
) -> list[UUID]:
    """R25: a product that only invoices still know becomes an inactive linked product. ``named``: number → name."""
    if not named:
        return []
    rows = await connection.fetch(
        """insert into pike.products (workspace_id, agreement_number, external_number, name, sku, active, locked,
                                      vanished_at, last_synced_at, last_attempt_at, synced_as_of)
           select $1, $2, t.number, t.name, t.number, false, true, now(), now(), now(), $3
           from unnest($4::text[], $5::text[]) as t(number, name)
           on conflict (workspace_id, agreement_number, external_number) do nothing
           returning id""",
        workspace_id,
        agreement,
        as_of,
        list(named.keys()),
        list(named.values()),
    )
    return [row["id"] for row in rows]


async def can_be_sold(connection: Connection, workspace_id: str, agreement: int, number: str) -> bool:
    """Whether Pike knows a product of the agreement with this number that is not barred."""
    return bool(
        await connection.fetchval(
            """select exists (select 1 from pike.products where workspace_id = $1 and agreement_number = $2
                              and external_number = $3 and not barred and vanished_at is null)""",
            workspace_id,
            agreement,
            number,
        )
    )
