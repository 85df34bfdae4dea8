"""A migrated database of each test's own, reached as the worker reaches it."""

from collections.abc import AsyncIterator

import pytest

from worker.store.pool import Database


@pytest.fixture
async def database(migrated_database_url: str) -> AsyncIterator[Database]:
    """The worker's pool."""
    database = Database(migrated_database_url, max_size=4)
    await database.connect()
    yield database
    await database.close()
