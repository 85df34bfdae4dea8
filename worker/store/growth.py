"""Telling Postgres when a table has outgrown what Postgres knows of it.

A statement's plan is kept by the session that made it. One that was made while a table was empty reads all of the table,
and goes on doing so until the table is analysed. Autovacuum sees to that, but a minute may pass before it does, in which
a busy worker writes 100,000 rows and then reads them all for every commit.
"""

from worker.store.pool import Connection

WATCHED = ("economic.inbox", "economic.outbox", "economic.overflow")
"""Tables that grow with every event, and that statements join; upserts of records find theirs by index in any case."""
SMALL_PAGES = 16
"""Reading so much at once costs no more than looking up ten rows."""

# Only who owns a table may analyse it (https://www.postgresql.org/docs/current/sql-analyze.html).
_OUTGROWN = """
select t.name
from unnest($1::text[]) as t(name) join pg_class c on c.oid = to_regclass(t.name)
where pg_relation_size(c.oid) / current_setting('block_size')::bigint > greatest(2 * c.relpages, $2)
  and pg_has_role(c.relowner, 'usage')
"""


async def outgrown(connection: Connection) -> list[str]:
    """Return those of the watched tables that are more than twice as large as when they were analysed last."""
    rows = await connection.fetch(_OUTGROWN, list(WATCHED), SMALL_PAGES)
    return [row["name"] for row in rows]


async def analyse(connection: Connection, table: str) -> None:
    """Have Postgres look at one of the watched tables, unless somebody else is at it; every session then plans anew."""
    await connection.execute(f"analyze (skip_locked) {table}")
