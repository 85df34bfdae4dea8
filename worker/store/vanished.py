"""What a complete list did not have: linked rows that are gone in e-conomic, and Pike's own products (R11).

Nothing is ever deleted: rows become inactive, each marked with what did it, so that it can be told and undone.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

from schemas.kinds import ListedEntity
from worker.store.pool import Connection
from worker.store.tables import Table

# "except" is hashed or sorted; a join would be planned on the statistics of tables that were empty a moment ago.
_UNMET = """
select r.external_number from {table} r
where r.workspace_id = $1 and r.agreement_number = $2 and r.external_number is not null and r.vanished_at is null
  and r.synced_as_of < $3 and {condition}
except
select unnest(p.numbers) from economic.import_pages p where p.import_id = $4 and p.stage = $5
order by external_number
"""

_VANISHED = """
update {table} set active = false, vanished_at = now(), updated_at = now()
where workspace_id = $1 and agreement_number = $2 and vanished_at is null
  and synced_as_of < $3 and external_number = any ($4::text[])
returning id, external_number
"""


async def unmet(
    connection: Connection,
    stage: ListedEntity | Literal["drafts"],
    scope: tuple[str, int],
    seen_since: datetime,
    import_id: UUID,
) -> list[str]:
    """Return the numbers of linked records of a list, or of drafts, that no page of an import had.

    ``scope``: workspace and agreement. ``seen_since``: when the import's first page was asked for; a record that was
    read by somebody else since then is there as well.
    """
    drafts = stage == "drafts"
    table = "pike.invoices" if drafts else f"pike.{stage}"
    condition = "r.booked_number is null" if drafts else "true"
    sql = _UNMET.format(table=table, condition=condition)
    rows = await connection.fetch(sql, *scope, seen_since, import_id, stage)
    return [row["external_number"] for row in rows]


async def mark_vanished(
    connection: Connection,
    table: Table,
    workspace_id: str,
    agreement: int,
    seen_since: datetime,
    gone: Sequence[str],
) -> list[tuple[UUID, str | None]]:
    """Deactivate linked rows that e-conomic no longer has; one that was read again since is left alone.

    Returns id and number of each.
    """
    if not gone:
        return []
    sql = _VANISHED.format(table=table.name)
    rows = await connection.fetch(sql, workspace_id, agreement, seen_since, list(gone))
    return [(row["id"], row["external_number"]) for row in rows]


async def deactivate_unlinked(
    connection: Connection, table: Table, workspace_id: str, agreement: int, import_id: UUID
) -> list[tuple[UUID, str | None]]:
    """R11: deactivate active rows that are not linked to this agreement, each marked with the import that did it.

    They are Pike's own, and those of an agreement that the workspace was connected to before. Returns id and number.
    """
    rows = await connection.fetch(
        f"""update {table.name} set active = false, deactivated_by_import = $3, updated_at = now()
            where workspace_id = $1 and active
              and (external_number is null or agreement_number is distinct from $2)
            returning id, external_number""",  # noqa: S608
        workspace_id,
        agreement,
        import_id,
    )
    return [(row["id"], row["external_number"]) for row in rows]


async def reactivate_products(connection: Connection, workspace_id: str, import_id: UUID) -> list[UUID]:
    """Undo R11 for one import: activate what it deactivated and nobody has activated since."""
    rows = await connection.fetch(
        """update pike.products set active = true, deactivated_by_import = null, updated_at = now()
           where workspace_id = $1 and deactivated_by_import = $2 and not active returning id""",
        workspace_id,
        import_id,
    )
    return [row["id"] for row in rows]


async def mark_vanished_drafts(
    connection: Connection,
    workspace_id: str,
    agreement: int,
    seen_since: datetime,
    gone: Sequence[str],
    problem: dict[str, object],
) -> list[tuple[UUID, str | None]]:
    """Deactivate drafts that e-conomic no longer has and that were not booked: somebody deleted them (F17)."""
    if not gone:
        return []
    rows = await connection.fetch(
        """update pike.invoices set active = false, vanished_at = now(), last_problem = $5, updated_at = now()
           where workspace_id = $1 and agreement_number = $2 and booked_number is null and vanished_at is null
             and external_number = any ($4::text[]) and synced_as_of < $3
           returning id, external_number""",
        workspace_id,
        agreement,
        seen_since,
        list(gone),
        problem,
    )
    return [(row["id"], row["external_number"]) for row in rows]
