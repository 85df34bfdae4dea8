"""A migrated database, reached as the worker reaches it and as one of Pike's own services does."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from worker.store.pool import Database


@pytest.fixture
async def database(migrated_database_url: str) -> AsyncIterator[Database]:
    """The worker's pool."""
    database = Database(migrated_database_url, max_size=4)
    await database.connect()
    yield database
    await database.close()


@pytest.fixture
async def pike(migrated_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection that does not say it is the worker: the lock triggers apply."""
    connection = await asyncpg.connect(migrated_database_url)
    yield connection
    await connection.close()
