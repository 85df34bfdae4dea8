"""A migrated database, reached as the worker reaches it and as one of Pike's own services does.

Cloning a database takes longer than most of these tests: each module has one, emptied before every test.
"""

from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
from support import Databases

from worker.store.pool import Database

_EMPTY = """do $$ declare name text; begin
    set local session_replication_role = replica;  -- no triggers, no order of tables to mind
    for name in select format('%I.%I', schemaname, tablename) from pg_tables where schemaname in ('economic', 'pike')
        and (schemaname, tablename) <> ('economic', 'entities')  -- which kinds there are, said by the migrations
    loop execute 'delete from ' || name; end loop;
end $$"""


@pytest.fixture(scope="module")
def module_database_url(databases: Databases) -> Iterator[str]:
    """The module's database."""
    url = databases.create(migrated=True)
    yield url
    databases.drop(url)


@pytest.fixture
async def pike(module_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection that does not say it is the worker: the lock triggers apply. The database is empty."""
    connection = await asyncpg.connect(module_database_url)
    await connection.execute(_EMPTY)
    yield connection
    await connection.close()


@pytest.fixture
async def database(module_database_url: str, pike: asyncpg.Connection) -> AsyncIterator[Database]:
    """The worker's pool."""
    database = Database(module_database_url, max_size=4)
    await database.connect()
    yield database
    await database.close()
