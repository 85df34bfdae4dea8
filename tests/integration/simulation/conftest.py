"""Two stores for one suite: Postgres, and the tables in memory that the simulation runs on."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Protocol

import asyncpg
import pytest
from support import Databases

from tests.simulation.memory_store import MemoryDatabase, MemoryPostgres
from tests.simulation.world import Odds, World
from worker.store.pool import Database

_TIMES = {
    "economic.inbox": ("lease_until", "received_at"),
    "economic.effects": ("first_sent_at", "checked_at"),
    "economic.outbox": ("leased_until", "created_at"),
}


class Stage(Protocol):
    """A store under test, and the hours that pass by in it."""

    database: Database

    async def later(self, seconds: float) -> None:
        """Let time go by for every row."""
        ...


class MemoryStage:
    """The tables in memory; fair weather."""

    def __init__(self) -> None:
        self._world = World(1, Odds())
        self.database: Database = MemoryDatabase(MemoryPostgres(self._world))

    async def later(self, seconds: float) -> None:
        self._world.database_offset_s += seconds


class PostgresStage:
    """Postgres; its clock stands for nobody, so its rows grow older instead."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def later(self, seconds: float) -> None:
        async with self.database.transaction("later") as connection:
            for table, columns in _TIMES.items():
                sets = ", ".join(f"{column} = {column} - $1::interval" for column in columns)
                await connection.execute(f"update {table} set {sets}", timedelta(seconds=seconds))


@pytest.fixture(scope="module")
def module_database_url(databases: Databases) -> Iterator[str]:
    url = databases.create(migrated=True)
    yield url
    databases.drop(url)


@pytest.fixture(params=["memory", "postgres"])
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    if request.param == "memory":
        yield MemoryStage()
        return
    url: str = request.getfixturevalue("module_database_url")
    cleaner = await asyncpg.connect(url)
    tables = await cleaner.fetch(
        "select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname in ('economic', 'pike')"
    )
    await cleaner.execute(f"truncate {', '.join(row['name'] for row in tables)}")
    await cleaner.close()
    database = Database(url, max_size=4)
    await database.connect()
    yield PostgresStage(database)
    await database.close()
