"""Upserts of listed records (products, customers, …): one statement per page, newer wins, and what changed comes back.

"Newer" is when the state was read from e-conomic (``as_of``), not when it is written: a slow page never overwrites
a faster refresh. Columns that are not listed here (``active`` by hand, projects, …) are never touched.

Imports write ``sparingly``: a row that is as e-conomic has it already is not written again, unless its *last synced*
is older than ``STAMP_EVERY`` (decision 0009).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, Literal
from uuid import UUID

from schemas.base import Strict
from schemas.kinds import LIST_OF, Entity, ListedEntity
from worker.store.pool import Connection
from worker.store.tables import NUMBER, Table, columns_of, pairs_of

STAMP_EVERY = "1 hour"
"""How old *last synced* may grow while an import meets a record unchanged, before the row is written for it alone."""


@dataclass(frozen=True, slots=True)
class Change:
    """One field of one record, before and after."""

    field: str
    old: Any
    new: Any

    def as_dict(self) -> dict[str, Any]:
        """As it stands in events and in the audit."""
        return {"field": self.field, "old": self.old, "new": self.new}


@dataclass(frozen=True, slots=True)
class Written:
    """What an upsert did to one record. One that newer state kept, or that was not written at all, has no result."""

    id: UUID
    external_number: str
    created: bool
    changes: tuple[Change, ...] = field(default=())

    @property
    def touched(self) -> bool:
        """True when the row is new or a field changed."""
        return self.created or bool(self.changes)


def stale_sql(alias: str) -> str:
    """SQL: a row must be written although no column differs: its stamp is old, or it tells a failure or a loss."""
    return (
        f"({alias}.last_synced_at is null or {alias}.last_synced_at < now() - interval '{STAMP_EVERY}'"
        f" or {alias}.last_problem is not null or {alias}.vanished_at is not null)"
    )


@cache
def upsert_sql(table: Table) -> str:
    """Build the upsert. Parameters: workspace, agreement, as-of time, sparingly, numbers, one array per column."""
    names = table.names
    listed = ", ".join(names)
    arrays = ", ".join(f"${index}::{kind}[]" for index, (_, kind) in enumerate(table.columns, start=6))

    def row(alias: str) -> str:
        return columns_of(alias, names)

    def pairs(alias: str) -> str:
        return pairs_of(alias, [*names, "active"])

    # Table and column names come from the constants above, never from data.
    return f"""
with incoming as (
    select t.* from unnest($5::text[], {arrays}) as t(external_number, {listed})
    -- "limit 1" keeps it a look-up by index whatever the statistics of a table that is just being filled say
    left join lateral (
        select r.* from {table.name} r
        where $4 and r.workspace_id = $1 and r.agreement_number = $2 and r.external_number = t.external_number limit 1
    ) now on true
    where now.id is null or ({row("now")}) is distinct from ({row("t")}) or now.locked <> {table.locked} or {stale_sql("now")}
), written as (
    insert into {table.name} as r
        (workspace_id, agreement_number, external_number, {listed}, active, locked,
         last_synced_at, last_attempt_at, synced_as_of)
    select $1, $2, i.external_number, {row("i")}, not i.barred or {"false" if table.locked else "true"}, {table.locked},
           now(), now(), $3
    from incoming i
    order by i.external_number
    on conflict (workspace_id, agreement_number, external_number) do update
    set {", ".join(f"{name} = excluded.{name}" for name in names)},
        active = case when r.vanished_at is not null or r.barred is distinct from excluded.barred
                      then excluded.active else r.active end,
        vanished_at = null, locked = excluded.locked,
        last_synced_at = now(), last_attempt_at = now(), last_problem = null, synced_as_of = excluded.synced_as_of,
        updated_at = case when ({row("r")}) is distinct from ({row("excluded")}) or r.vanished_at is not null
                          then now() else r.updated_at end
    where r.synced_as_of is null or r.synced_as_of <= excluded.synced_as_of
    returning r.*
)
select w.id, w.external_number, old.id is null as created,
       case when old.id is not null and ({row("old")}, old.active) is distinct from ({row("w")}, w.active)
            then jsonb_build_array(jsonb_build_object({pairs("old")}), jsonb_build_object({pairs("w")})) end as versions
from written w
-- the statement's own snapshot: rows as they were before it, found by primary key
left join lateral (select r.* from {table.name} r where r.id = w.id limit 1) old on true
"""  # noqa: S608


async def upsert(
    connection: Connection,
    table: Table,
    workspace_id: str,
    agreement: int,
    rows: Sequence[Strict],
    as_of: datetime,
    *,
    sparingly: bool = False,
) -> list[Written]:
    """Write a page of rows of the table's model, read from e-conomic at ``as_of``.

    Those that are left as they are do not come back.
    """
    if not rows:
        return []
    numbers, *columns = ([getattr(row, name) for row in rows] for name in (NUMBER, *table.names))
    found = await connection.fetch(upsert_sql(table), workspace_id, agreement, as_of, sparingly, numbers, *columns)
    return [Written(r["id"], r["external_number"], r["created"], changes_between(r["versions"])) for r in found]


def changes_between(versions: list[dict[str, Any]] | None) -> tuple[Change, ...]:
    """Turn ``[old, new]`` of a row into the list of fields that differ."""
    if versions is None:
        return ()
    old, new = versions
    return tuple(Change(name, old[name], new[name]) for name in new if old[name] != new[name])


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


async def note_attempt(
    connection: Connection, entity: Entity, workspace_id: str, record_id: UUID, problem: dict[str, Any]
) -> None:
    """Show a failed attempt beside the record; its data and time of last success stay (R28, R29)."""
    await connection.execute(
        f"update pike.{LIST_OF[entity]} set last_attempt_at = now(), last_problem = $3 where id = $1 and workspace_id = $2",  # noqa: S608
        record_id,
        workspace_id,
        problem,
    )


async def reactivate_products(connection: Connection, workspace_id: str, import_id: UUID) -> list[UUID]:
    """Undo R11 for one import: activate what it deactivated and nobody has activated since."""
    rows = await connection.fetch(
        """update pike.products set active = true, deactivated_by_import = null, updated_at = now()
           where workspace_id = $1 and deactivated_by_import = $2 and not active returning id""",
        workspace_id,
        import_id,
    )
    return [row["id"] for row in rows]


async def audit_active(
    connection: Connection, workspace_id: str, entity: str, actor: str, ids: Sequence[UUID], *, active: bool
) -> None:
    """Keep that records were deactivated, or activated again (B14)."""
    if ids:
        await connection.execute(
            """insert into economic.audit (workspace_id, entity, entity_id, actor, changes)
               select $1, $2, t.id, $3, $5 from unnest($4::uuid[]) as t(id)""",
            workspace_id,
            entity,
            actor,
            list(ids),
            [Change("active", not active, active).as_dict()],
        )


async def write_audit(
    connection: Connection, workspace_id: str, entity: str, actor: str, written: Sequence[Written]
) -> None:
    """Keep before and after of every changed field (B14)."""
    changed = [record for record in written if record.changes]
    if changed:
        await connection.execute(
            """insert into economic.audit (workspace_id, entity, entity_id, actor, changes)
               select $1, $2, t.id, $3, t.changes from jsonb_to_recordset($4) as t(id uuid, changes jsonb)""",
            workspace_id,
            entity,
            actor,
            [{"id": r.id, "changes": [change.as_dict() for change in r.changes]} for r in changed],
        )
