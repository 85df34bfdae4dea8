"""Names that the end-to-end tests and their fixtures share."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import asyncpg
from harness import Harness

from worker.sandbox import SeedSize

SMALL = SeedSize(customers=16, products=14, invoices=48, drafts=6)
"""Large enough for every quirk of the seed (credit notes, text lines, a deleted customer), imported in a blink."""

Launch = Callable[..., AbstractAsyncContextManager[Harness]]
SmallPages = Callable[[int], None]

_EMPTY = """do $$ declare name text; begin
    set local session_replication_role = replica;  -- no triggers, no order of tables to mind
    for name in select format('%I.%I', schemaname, tablename) from pg_tables where schemaname in ('economic', 'pike')
        and (schemaname, tablename) <> ('economic', 'entities')  -- which kinds there are, said by the migrations
    loop execute 'delete from ' || name; end loop;
end $$"""


async def empty_database(url: str) -> None:
    """Remove every row of the worker's and of the read model's tables."""
    connection = await asyncpg.connect(url)
    await connection.execute(_EMPTY)
    await connection.close()
