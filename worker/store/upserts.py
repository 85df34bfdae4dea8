"""The SQL of upserts, built from a table's columns (``tables``). Names come from constants, never from data."""

from functools import cache

from worker.store.tables import Table, columns_of, pairs_of

STAMP_EVERY = "1 hour"
"""How old *last synced* may grow while an import meets a record unchanged, before the row is written for it alone."""


def stale_sql(alias: str) -> str:
    """SQL: a row must be written although no column differs: its stamp is old, or it tells a failure or a loss."""
    return (
        f"({alias}.last_synced_at is null or {alias}.last_synced_at < now() - interval '{STAMP_EVERY}'"
        f" or {alias}.last_problem is not null or {alias}.vanished_at is not null)"
    )


@cache
def page_sql(table: Table) -> str:
    """Build the upsert of an import's page: rows of one workspace, without those that are in the table like this.

    Parameters: workspace, agreement, as-of time, numbers, one array per column.
    """
    listed, arrays = _listed(table, 5)
    # "limit 1" keeps it a look-up by index whatever the statistics of a table that is just being filled say
    return _upsert_sql(
        table,
        f"""
    select $1::text as workspace_id, $2::int as agreement_number, $3::timestamptz as as_of, t.*
    from unnest($4::text[], {arrays}) as t(external_number, {listed})
    left join lateral (
        select r.* from {table.name} r
        where r.workspace_id = $1 and r.agreement_number = $2 and r.external_number = t.external_number limit 1
    ) now on true
    where now.id is null or ({columns_of("now", table.names)}) is distinct from ({columns_of("t", table.names)})
       or now.locked <> {table.locked} or {stale_sql("now")}""",  # noqa: S608
    )


@cache
def records_sql(table: Table) -> str:
    """Build the upsert of single records, of whatever workspaces.

    Parameters are arrays: workspaces, agreements, as-of times, numbers, one per column.
    """
    listed, arrays = _listed(table, 5)
    return _upsert_sql(
        table,
        f"""
    select t.* from unnest($1::text[], $2::int[], $3::timestamptz[], $4::text[], {arrays})
        as t(workspace_id, agreement_number, as_of, external_number, {listed})""",  # noqa: S608
    )


def _listed(table: Table, first: int) -> tuple[str, str]:
    """Return the columns, and their arrays as parameters beginning with number ``first``."""
    arrays = ", ".join(f"${index}::{kind}[]" for index, (_, kind) in enumerate(table.columns, start=first))
    return ", ".join(table.names), arrays


def _upsert_sql(table: Table, incoming: str) -> str:
    names = table.names

    def row(alias: str) -> str:
        return columns_of(alias, names)

    def pairs(alias: str) -> str:
        return pairs_of(alias, [*names, "active"])

    return f"""
with incoming as ({incoming}
), written as (
    insert into {table.name} as r
        (workspace_id, agreement_number, external_number, {", ".join(names)}, active, locked,
         last_synced_at, last_attempt_at, synced_as_of)
    select i.workspace_id, i.agreement_number, i.external_number, {row("i")},
           not i.barred or {"false" if table.locked else "true"}, {table.locked}, now(), now(), i.as_of
    from incoming i
    order by i.workspace_id, i.agreement_number, i.external_number
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
select w.id, w.workspace_id, w.agreement_number, w.external_number, old.id is null as created,
       case when old.id is not null and ({row("old")}, old.active) is distinct from ({row("w")}, w.active)
            then jsonb_build_array(jsonb_build_object({pairs("old")}), jsonb_build_object({pairs("w")})) end as versions
from written w
-- the statement's own snapshot: rows as they were before it, found by primary key
left join lateral (select r.* from {table.name} r where r.id = w.id limit 1) old on true
"""  # noqa: S608
