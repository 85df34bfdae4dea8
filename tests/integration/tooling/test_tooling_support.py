"""The helpers that other tests stand on: waiting, throw-away databases, throw-away virtual hosts."""

import time

import aio_pika
import asyncpg
import pytest
from support import Databases, SharedVhost, eventually

from worker.broker.topology import DEAD_QUEUE
from worker.servers import Servers


async def test_eventually_returns_the_first_true_value() -> None:
    seen = iter([0, None, "", "at last"])
    assert await eventually(lambda: next(seen)) == "at last"


async def test_eventually_awaits_and_takes_a_failed_assertion_for_not_yet() -> None:
    tries: list[int] = []

    async def check() -> bool:
        tries.append(1)
        assert len(tries) == 3
        return True

    assert await eventually(check)


async def test_eventually_fails_with_its_message_and_the_last_thing_seen() -> None:
    began = time.monotonic()
    with pytest.raises(AssertionError, match=r"^not true within 0.1 s: two rows are there; last saw \[\]$"):
        await eventually(list, timeout_s=0.1, message="two rows are there")
    assert time.monotonic() - began < 2


async def test_eventually_lets_other_errors_through_at_once() -> None:
    def broken() -> bool:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await eventually(broken)


async def tables(url: str) -> set[str]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            "select schemaname || '.' || tablename as name from pg_tables "
            "where schemaname not in ('pg_catalog', 'information_schema')"
        )
        return {row["name"] for row in rows}
    finally:
        await connection.close()


async def test_an_empty_database_is_empty_and_a_migrated_one_has_the_tables(
    database_url: str, migrated_database_url: str
) -> None:
    assert await tables(database_url) == set()
    assert {"pike.invoices", "economic.inbox"} <= await tables(migrated_database_url)


def test_each_database_is_another_and_goes_even_when_somebody_is_connected(databases: Databases) -> None:
    first, second = databases.create(migrated=True), databases.create(migrated=True)
    assert first != second
    databases.drop(first)
    databases.drop(second)


async def test_a_dropped_database_is_gone_with_its_connections(databases: Databases) -> None:
    url = databases.create(migrated=False)
    connection = await asyncpg.connect(url)
    databases.drop(url)
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await connection.execute("select 1")
    connection.terminate()
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(url)


async def queue_exists(url: str, name: str) -> bool:
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        try:
            await channel.declare_queue(name, passive=True)
        except aio_pika.exceptions.ChannelNotFoundEntity:
            return False
        return True


async def declare(url: str, name: str) -> None:
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        await channel.declare_queue(name, durable=True)


async def delete(url: str, name: str) -> None:
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        await channel.queue_delete(name)


@pytest.mark.parametrize("_turn", ["first", "second"])
async def test_a_queue_of_one_test_is_not_there_in_the_next(amqp_url: str, _turn: str) -> None:
    assert not await queue_exists(amqp_url, DEAD_QUEUE)
    await declare(amqp_url, DEAD_QUEUE)


async def test_a_shared_virtual_host_is_cleaned_of_our_queues_only(servers: Servers) -> None:
    await declare(servers.amqp_url, DEAD_QUEUE)
    await declare(servers.amqp_url, "somebody-elses")
    shared = SharedVhost(servers.amqp_url)
    assert shared.take() == servers.amqp_url
    assert not await queue_exists(servers.amqp_url, DEAD_QUEUE)
    assert await queue_exists(servers.amqp_url, "somebody-elses")
    await delete(servers.amqp_url, "somebody-elses")
