"""New connections are warmed up: what events run all day is prepared there before the first event comes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
import structlog.testing
from store_kit import AGREEMENT, NOON, WS, customer, product

from worker.errors import StoreUnavailable
from worker.store import admission, endings, outbox, records
from worker.store.endings import End
from worker.store.inbox import Received
from worker.store.outbox import OutboxMessage
from worker.store.pool import Connection, Database
from worker.store.tables import CUSTOMERS, PRODUCTS
from worker.store.warming import HOT, warm_up

_PREPARED = "select statement from pg_prepared_statements where from_sql = false"
MANY = 3


@asynccontextmanager
async def connected(url: str, **options: Any) -> AsyncIterator[Database]:
    database = Database(url, max_size=MANY, **options)
    await database.connect()
    yield database
    await database.close()


async def prepared(connection: Connection) -> set[str]:
    return {row["statement"] for row in await connection.fetch(_PREPARED)} - {_PREPARED}


async def live_through_an_event(connection: Connection) -> None:
    event = Received(
        source="/pike", event_id="e1", type="pike.refresh.requested", workspace_id=WS, lane="work", body=b"{}",
        body_hash=b"h", content_type=None, headers={}, owner="one",
    )  # fmt: skip
    ((result, _),) = await admission.claim(connection, [event], 60.0)
    await records.upsert(connection, PRODUCTS, WS, AGREEMENT, [product("1")], NOON)
    await records.upsert(connection, CUSTOMERS, WS, AGREEMENT, [customer("1")], NOON)
    answer = OutboxMessage("a1", "economic.x", WS, "pike.events", "economic.x", b"{}", "application/json")
    rows, lost = await endings.write(connection, [End(result.need_claim(), "done", 0.0)], [answer])
    assert not lost
    await outbox.delete(connection, [row.id for row in rows])


async def test_an_event_finds_all_of_its_statements_prepared(
    module_database_url: str, pike: asyncpg.Connection
) -> None:
    async with connected(module_database_url, warm_up=warm_up) as database, database.connection("a test") as connection:
        before = await prepared(connection)
        assert before >= set(HOT)
        await live_through_an_event(connection)
        assert await prepared(connection) == before
    async with connected(module_database_url) as database, database.connection("a test") as connection:
        assert not await prepared(connection)  # so that the test above can fail


async def test_warming_up_writes_nothing(module_database_url: str, pike: asyncpg.Connection) -> None:
    tables = ("economic.inbox", "economic.outbox", "pike.products", "pike.customers", "economic.audit")

    async def counted() -> list[int]:
        return [await pike.fetchval(f"select count(*) from {table}") for table in tables]

    before = await counted()
    async with connected(module_database_url, warm_up=warm_up, ready=MANY):
        assert await counted() == before


async def test_as_many_as_asked_for_are_there_and_warm_before_anybody_asks_and_so_is_each_later_one(
    module_database_url: str, pike: asyncpg.Connection
) -> None:
    warmed = []

    async def note(connection: Connection) -> None:
        warmed.append(connection.get_server_pid())

    async with connected(module_database_url, warm_up=note, ready=2) as database:
        assert len(set(warmed)) == 2
        async with database.connection("one"), database.connection("two"), database.connection("three") as third:
            assert third.get_server_pid() == warmed[2]
    assert len(warmed) == 3


async def test_a_connection_that_cannot_be_warmed_up_works_all_the_same(
    module_database_url: str, pike: asyncpg.Connection
) -> None:
    async def wrong(connection: Connection) -> None:
        await connection.execute("select * from economic.no_such_table")

    with structlog.testing.capture_logs() as logged:
        async with (
            connected(module_database_url, warm_up=wrong) as database,
            database.connection("a test") as connection,
        ):
            assert await connection.fetchval("select 1") == 1
    assert [entry["event"] for entry in logged] == ["store.not_warmed_up"]
    assert "no_such_table" in logged[0]["error"]


async def test_a_connection_that_breaks_while_it_is_warmed_up_is_told_as_such(
    module_database_url: str, pike: asyncpg.Connection
) -> None:
    async def cut(connection: Connection) -> None:
        await connection.execute("select pg_terminate_backend(pg_backend_pid())")

    with structlog.testing.capture_logs() as logged, pytest.raises(StoreUnavailable, match="cannot reach Postgres at"):
        async with connected(module_database_url, warm_up=cut):
            pass
    assert not logged
