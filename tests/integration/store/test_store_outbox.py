"""The outbox: written with the work, leased to one relay at a time, kept until it is confirmed."""

import asyncio
from typing import Any

import asyncpg
import pytest

from worker.store import outbox
from worker.store.outbox import OutboxMessage
from worker.store.pool import Database


def message(name: str = "e1") -> OutboxMessage:
    return OutboxMessage(
        event_id=name, type="economic.x", workspace_id="ws", exchange="pike.events", routing_key="economic.x",
        body=b"{}", content_type="application/json", headers={"traceparent": "00-1"},
    )  # fmt: skip


async def add(database: Database, *names: str, lease_s: float = 0.0) -> list[outbox.OutboxRow]:
    async with database.transaction("test") as connection:
        return await outbox.append(connection, [message(name) for name in names], lease_s)


async def take(database: Database, limit: int = 10) -> list[outbox.OutboxRow]:
    async with database.connection("test") as connection:
        return await outbox.take(connection, limit)


@pytest.mark.requirement("B2")
async def test_a_message_of_a_rolled_back_transaction_never_was(database: Database) -> None:
    async def fail() -> None:
        async with database.transaction("test") as connection:
            await outbox.append(connection, [message()], 0.0)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    assert await take(database) == []


async def test_messages_are_taken_as_they_were_written_oldest_first(database: Database) -> None:
    await add(database, "e1", "e2", "e3")
    assert [row.message for row in await take(database)] == [message("e1"), message("e2"), message("e3")]


async def test_a_fresh_message_belongs_to_its_writer(database: Database) -> None:
    await add(database, "e1", lease_s=15.0)
    assert await take(database) == []


async def test_a_message_whose_writer_died_is_taken_by_another(database: Database, pike: asyncpg.Connection) -> None:
    await add(database, "e1", lease_s=15.0)
    await pike.execute("update economic.outbox set leased_until = now() - interval '1 second'")
    assert [row.message.event_id for row in await take(database)] == ["e1"]


async def test_two_relays_never_get_the_same_message(database: Database) -> None:
    await add(database, *(f"e{n}" for n in range(60)))
    batches = await asyncio.gather(*(take(database, 20) for _ in range(4)))
    ids = [row.id for batch in batches for row in batch]
    assert (len(ids), len(set(ids))) == (60, 60)


async def test_a_confirmed_message_is_gone(database: Database, pike: asyncpg.Connection) -> None:
    rows = await add(database, "e1", "e2")
    async with database.connection("test") as connection:
        await outbox.delete(connection, [rows[0].id])
    assert [row["event_id"] for row in await pike.fetch("select event_id from economic.outbox")] == ["e2"]


async def failed(database: Database, row_id: int, *, unheard: bool = False) -> None:
    async with database.connection("test") as connection:
        await outbox.failed(connection, [(row_id, "no broker", unheard)])


async def test_a_failed_message_waits_longer_each_time_but_an_hour_at_most(
    database: Database, pike: asyncpg.Connection
) -> None:
    (row,) = await add(database, "e1")
    waits = []
    for _ in range(12):
        await failed(database, row.id)
        waits.append(await pike.fetchval("select round(extract(epoch from leased_until - now())) from economic.outbox"))
    assert [int(wait) for wait in waits[:3]] == [5, 10, 20]
    assert waits == sorted(waits)
    assert waits[-1] == 3600


async def test_a_failed_message_keeps_its_error_and_counts_its_tries(database: Database, pike: Any) -> None:
    (row,) = await add(database, "e1")
    await failed(database, row.id)
    assert tuple(await pike.fetchrow("select attempts, last_error from economic.outbox")) == (1, "no broker")


async def test_only_what_nobody_listens_to_is_given_up_and_only_when_it_is_old(
    database: Database, pike: asyncpg.Connection
) -> None:
    old, heard, young = await add(database, "old", "heard", "young")
    for row, unheard in ((old, True), (heard, False), (young, True)):
        await failed(database, row.id, unheard=unheard)
    await pike.execute("update economic.outbox set created_at = now() - interval '8 days' where event_id <> 'young'")
    async with database.connection("test") as connection:
        dropped = await outbox.drop_unheard(connection, 7 * 86_400)
    left = {row["event_id"] for row in await pike.fetch("select event_id from economic.outbox")}
    assert (dropped, left) == (1, {"heard", "young"})
