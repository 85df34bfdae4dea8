"""The inbox: every event once; a claim is a lease with a fence, and a late writer changes nothing."""

import asyncio
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from tests.integration.store.store_kit import finish
from worker.store import inbox
from worker.store.inbox import Claim, ClaimResult, FenceLost, Received, Standing
from worker.store.pool import Database

EVENT = Received(
    source="/pike", event_id="e1", type="pike.x", workspace_id="ws", lane="work", body=b"{}", body_hash=b"h1",
    content_type="application/json", headers={"traceparent": "00-1"}, owner="process-1",
)  # fmt: skip


async def claim(database: Database, owner: str = "process-1", lease_s: float = 60.0, **fields: Any) -> ClaimResult:
    async with database.connection("test") as connection:
        return await inbox.claim(connection, replace(EVENT, owner=owner, **fields), lease_s)


async def claimed(database: Database, owner: str = "process-1") -> Claim:
    result = await claim(database, owner)
    assert result.claim is not None
    return result.claim


async def expire(pike: asyncpg.Connection) -> None:
    await pike.execute("update economic.inbox set lease_until = now() - interval '1 second'")


async def done(database: Database, held: Claim) -> None:
    async with database.connection("test") as connection:
        await finish(connection, held, "completed")


async def put_back(database: Database, held: Claim, **options: Any) -> None:
    async with database.connection("test") as connection:
        await inbox.put_back(connection, held, **{"parked": False, "free": False, "note": None, **options})


async def test_of_many_claims_at_once_one_succeeds(database: Database) -> None:
    results = await asyncio.gather(*(claim(database, f"process-{n}") for n in range(8)))
    assert sorted(result.standing for result in results) == [Standing.CLAIMED, *[Standing.HELD] * 7]


async def test_a_held_event_says_how_long_it_may_be_held(database: Database) -> None:
    await claim(database, lease_s=60.0)
    other = await claim(database, "process-2")
    assert (other.standing, 50 < other.lease_left_s <= 60) == (Standing.HELD, True)


async def test_a_finished_event_is_done_for_ever(database: Database) -> None:
    await done(database, await claimed(database))
    assert (await claim(database, "process-2")).standing is Standing.DONE


async def test_a_finished_event_keeps_no_body(database: Database, pike: asyncpg.Connection) -> None:
    await done(database, await claimed(database))
    assert await pike.fetchval("select body from economic.inbox") is None


async def test_an_expired_lease_is_taken_over_with_a_higher_fence(database: Database, pike: asyncpg.Connection) -> None:
    first = await claimed(database)
    await expire(pike)
    second = await claimed(database, "process-2")
    assert (second.fence, second.attempts) == (first.fence + 1, 2)


@pytest.mark.requirement("B1")
@pytest.mark.parametrize("late", ["finish", "extend", "bury", "put_back"])
async def test_whoever_was_overtaken_writes_nothing_any_more(
    database: Database, pike: asyncpg.Connection, late: str
) -> None:
    first = await claimed(database)
    await expire(pike)
    await claimed(database, "process-2")
    calls = {
        "finish": lambda c: finish(c, first, "completed"),
        "extend": lambda c: inbox.extend(c, first, 60.0),
        "bury": lambda c: inbox.bury(c, first, "locked"),
        "put_back": lambda c: inbox.put_back(c, first, parked=False, free=False, note=None),
    }
    async with database.connection("test") as connection:
        with pytest.raises(FenceLost):
            await calls[late](connection)


async def test_the_holder_may_claim_again_at_once_without_spending_an_attempt(database: Database) -> None:
    first = await claimed(database)
    again = await claimed(database)
    assert (again.fence, again.attempts) == (first.fence + 1, first.attempts)


async def test_extending_keeps_others_out(database: Database, pike: asyncpg.Connection) -> None:
    held = await claimed(database)
    await pike.execute("update economic.inbox set lease_until = now() + interval '10 milliseconds'")
    async with database.connection("test") as connection:
        await inbox.extend(connection, held, 60.0)
    await pike.execute("select pg_sleep(0.02)")
    assert (await claim(database, "process-2")).standing is Standing.HELD


async def test_the_same_id_with_another_body_is_a_conflict(database: Database) -> None:
    await claimed(database)
    assert (await claim(database, "process-2", body_hash=b"h2")).standing is Standing.CONFLICT


async def test_another_body_does_not_take_over_an_event_that_waits(database: Database) -> None:
    await put_back(database, await claimed(database))
    assert (await claim(database, "process-2", body_hash=b"h2")).standing is Standing.CONFLICT


async def test_a_conflict_leaves_the_first_event_as_it_is(database: Database, pike: asyncpg.Connection) -> None:
    await claimed(database)
    before = await pike.fetchrow("select * from economic.inbox")
    await claim(database, "process-2", body_hash=b"h2")
    assert await pike.fetchrow("select * from economic.inbox") == before


async def test_the_same_id_of_another_source_is_another_event(database: Database) -> None:
    await claimed(database)
    assert (await claim(database, "process-2", source="/other")).standing is Standing.CLAIMED


async def test_a_put_back_event_is_claimed_again_and_the_attempt_counts(database: Database) -> None:
    await put_back(database, await claimed(database), note={"error": "down"})
    again = await claimed(database, "process-2")
    assert (again.attempts, again.snoozes, again.history) == (2, 0, ({"error": "down"},))


async def test_a_free_put_back_spends_no_attempt(database: Database) -> None:
    await put_back(database, await claimed(database), free=True)
    again = await claimed(database, "process-2")
    assert (again.attempts, again.snoozes) == (1, 1)


async def test_the_history_keeps_the_last_twenty_failures(database: Database) -> None:
    for number in range(25):
        await put_back(database, await claimed(database), note={"n": number})
    assert [note["n"] for note in (await claimed(database)).history] == list(range(5, 25))


async def test_a_parked_event_is_released_with_its_body(database: Database) -> None:
    await put_back(database, await claimed(database), parked=True, free=True)
    parked = (await claim(database, "process-2")).standing
    async with database.transaction("test") as connection:
        released = await inbox.release_parked(connection, "ws")
    assert (parked, [row["body"] for row in released]) == (Standing.PARKED, [b"{}"])
    assert (await claim(database, "process-2")).standing is Standing.CLAIMED


async def test_a_dead_event_can_be_reopened_under_its_old_id(database: Database) -> None:
    async with database.transaction("test") as connection:
        await inbox.bury(connection, await claimed(database), "locked")
        reopened = await inbox.reopen(connection, EVENT.source, EVENT.event_id)
    assert (reopened, (await claim(database, "process-2")).standing) == (True, Standing.CLAIMED)


async def test_a_reopened_event_keeps_its_history_and_counts_its_tries_anew(database: Database) -> None:
    await put_back(database, await claimed(database), note={"error": "first", "ended": 1})
    await put_back(database, await claimed(database), note={"error": "second", "ended": 2})
    async with database.transaction("test") as connection:
        await inbox.bury(connection, await claimed(database), "locked")
        await inbox.reopen(connection, EVENT.source, EVENT.event_id)
    again = await claimed(database, "process-2")
    assert (again.attempts, again.history) == (1, ({"error": "first"}, {"error": "second"}))


async def test_a_done_event_cannot_be_reopened(database: Database) -> None:
    await done(database, await claimed(database))
    async with database.transaction("test") as connection:
        assert await inbox.reopen(connection, EVENT.source, EVENT.event_id) is False
