"""Telling Postgres when a table has outgrown what Postgres knows of it.

A statement's plan is kept by the session that made it. One that was made while a table was empty reads all of the table,
and goes on doing so until the table is analysed. Autovacuum sees to that, but a minute may pass before it does, in which
a busy worker writes 100,000 rows and then reads them all for every commit.
"""

from collections.abc import Sequence

from worker.store.pool import Connection

WATCHED = (
    "economic.inbox",
    "economic.outbox",
    "economic.overflow",
    "economic.audit",
    "pike.customers",
    "pike.invoices",
)
"""Tables that statements of every event look into."""
SMALL_PAGES = 16
"""Reading so much at once costs no more than looking up ten rows."""

# Only who owns a table may analyse it (https://www.postgresql.org/docs/current/sql-analyze.html).
_OUTGROWN = """
select format('%I.%I', n.nspname, c.relname)
from unnest($1::text[]) as t(name)
join pg_class c on c.oid = to_regclass(t.name)
join pg_namespace n on n.oid = c.relnamespace
where pg_relation_size(c.oid) / current_setting('block_size')::bigint > greatest(2 * c.relpages, $2)
  and pg_has_role(c.relowner, 'usage')
"""


async def outgrown(connection: Connection, tables: Sequence[str] = WATCHED) -> list[str]:
    """Return the tables that are more than twice as large as when they were analysed last."""
    rows = await connection.fetch(_OUTGROWN, list(tables), SMALL_PAGES)
    return [row[0] for row in rows]


async def analyse(connection: Connection, table: str) -> None:
    """Have Postgres look at the table, unless somebody else is at it; every session then plans anew."""
    await connection.execute(f"analyze (skip_locked) {table}")
