"""The overflow: nothing is lost, nothing is handed out twice, and every workspace gets its turn."""

import asyncio
from typing import Any

import asyncpg
import pytest

from worker.store import overflow
from worker.store.overflow import OverflowRow, SetAside
from worker.store.pool import Database


def message(workspace: str, number: int = 0, **fields: Any) -> SetAside:
    values = {
        "lane": "work", "workspace_id": workspace, "routing_key": "pike.refresh.requested", "message_id": f"m{number}",
        "content_type": "application/json", "headers": {"traceparent": "00-1"}, "body": b"\x00\xff", **fields,
    }  # fmt: skip
    return SetAside(**values)


async def put(database: Database, *messages: SetAside) -> None:
    async with database.connection("test") as connection:
        await overflow.put(connection, messages)


async def take(
    database: Database, limit: int = 10, *, lane: str = "work", without: tuple[str, ...] = ()
) -> list[OverflowRow]:
    async with database.connection("test") as connection:
        return await overflow.take(connection, lane, limit, without=without, lease_s=60.0)


async def test_a_message_comes_back_as_it_was(database: Database) -> None:
    odd = message("æ", message_id=None, content_type=None, headers={})
    await put(database, message("w"), odd)
    found = [row.message for row in await take(database)]
    assert sorted(found, key=lambda each: each.workspace_id) == [message("w"), odd]


async def test_what_is_taken_is_leased_and_comes_again_when_its_taker_died(
    database: Database, pike: asyncpg.Connection
) -> None:
    await put(database, message("w"))
    (row,) = await take(database)
    assert await take(database) == []
    await pike.execute("update economic.overflow set due_at = now() - interval '1 second'")
    assert await take(database) == [row]


async def test_two_takers_never_get_the_same_message(database: Database) -> None:
    await put(database, *(message(f"w{n % 3}", n) for n in range(90)))
    batches = await asyncio.gather(*(take(database, 20) for _ in range(8)))
    batches.append(await take(database, 90))
    taken = [row.id for batch in batches for row in batch]
    assert (len(taken), len(set(taken))) == (90, 90)


async def test_every_workspace_gives_the_same_number_oldest_first(database: Database) -> None:
    await put(database, *(message("large", n) for n in range(100)))
    await put(database, *(message(f"small {n}", n) for n in range(3)))
    taken = await take(database, 20)
    large = [row.message.message_id for row in taken if row.message.workspace_id == "large"]
    assert {row.message.workspace_id for row in taken} == {"large", "small 0", "small 1", "small 2"}
    assert sorted(large) == sorted(f"m{n}" for n in range(5))


async def test_a_workspace_that_is_alone_gives_all(database: Database) -> None:
    await put(database, *(message("large", n) for n in range(30)))
    assert len(await take(database, 20)) == 20


async def test_more_workspaces_than_are_wanted_take_turns(database: Database) -> None:
    await put(database, *(message(f"w{n}", n) for n in range(40)))
    assert len(await take(database, 8)) == 8
    assert len(await take(database, 40)) == 32


async def test_workspaces_and_lanes_can_be_left_alone(database: Database) -> None:
    await put(database, message("w"), message("x"), message("y", lane="bulk"))
    assert [row.message.workspace_id for row in await take(database, without=("w",))] == ["x"]
    assert [row.message.workspace_id for row in await take(database, lane="bulk")] == ["y"]


async def test_what_is_settled_is_gone_and_what_waits_is_due_later_with_its_new_headers(
    database: Database, pike: asyncpg.Connection
) -> None:
    await put(database, message("w", 1), message("w", 2))
    first, second = sorted(await take(database), key=lambda row: row.id)
    async with database.connection("test") as connection:
        await overflow.delete(connection, [first.id])
        await overflow.later(connection, [(second.id, 3600.0, {"pike-economic-try": "00-2"})])
    assert await take(database) == []
    await pike.execute("update economic.overflow set due_at = due_at - interval '1 hour'")
    (again,) = await take(database)
    assert (again.id, again.message.headers) == (second.id, {"traceparent": "00-1", "pike-economic-try": "00-2"})


async def test_what_waits_is_counted_by_lane_and_by_workspace(database: Database) -> None:
    await put(database, *(message("large", n) for n in range(5)), message("small"), message("small", lane="bulk"))
    async with database.connection("test") as connection:
        lanes = {row["lane"]: row for row in await overflow.waiting(connection)}
        largest = await overflow.largest(connection)
    assert {lane: (row["messages"], row["workspaces"]) for lane, row in lanes.items()} == {
        "work": (6, 2),
        "bulk": (1, 1),
    }
    assert lanes["work"]["oldest_s"] >= 0
    first = largest[0]
    assert (first["lane"], first["workspace_id"], first["messages"]) == ("work", "large", 5)


async def test_a_message_that_postgres_cannot_hold_is_refused(database: Database) -> None:
    with pytest.raises(asyncpg.PostgresError):
        await put(database, message("w", headers={"odd": "\x00"}))
    assert await take(database) == []
