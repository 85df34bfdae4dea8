"""Group commit: many events in one transaction, each with all of its writes or none, and no neighbour taken along."""

import asyncio
from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest

from worker.errors import StoreUnavailable
from worker.store import endings, inbox
from worker.store.commits import Commits, Ending, OwnTransaction, Spoiled
from worker.store.endings import End
from worker.store.group_commit import MAX_PARTS, GroupCommit
from worker.store.inbox import Claim, FenceLost, Received
from worker.store.outbox import OWN_LEASE_S, OutboxMessage, OutboxRow
from worker.store.pool import Database

pytestmark = pytest.mark.requirement("B1")


async def claims(database: Database, count: int) -> list[Claim]:
    events = [
        Received("/pike", f"e{n}", "pike.x", "ws", "work", b"{}", b"h", None, {}, f"owner-{n}") for n in range(count)
    ]
    async with database.connection("test") as connection:
        results = await inbox.claim_many(connection, events, 60.0)
    return [result.claim for result in results if result.claim]


class Told:
    """Hears what is announced."""

    def __init__(self) -> None:
        self.rows: list[OutboxRow] = []

    def __call__(self, rows: Sequence[OutboxRow]) -> None:
        self.rows.extend(rows)


def answer(claim: Claim) -> OutboxMessage:
    return OutboxMessage(f"answer-{claim.event_id}", "economic.x", "ws", "pike.events", "economic.x", b"{}", "a/b")


async def work(
    commits: Commits, claim: Claim, told: Told, *, sql: str = "select 1", outcome: str | None = "completed"
) -> None:
    """Finish one event; its write is a note in the inbox's ``type``, which only a commit makes visible."""
    async with commits.open("test") as part:
        await part.connection.execute("update economic.inbox set type = 'written' where event_id = $1", claim.event_id)
        await part.connection.execute(sql)
        part.ending = Ending(claim, outcome, 60.0, [answer(claim)], told)


async def states(pike: asyncpg.Connection) -> dict[str, tuple[str, str]]:
    rows = await pike.fetch("select event_id, state, type from economic.inbox")
    return {row["event_id"]: (row["state"], row["type"]) for row in rows}


async def answers(pike: asyncpg.Connection) -> list[str]:
    return [row["event_id"] for row in await pike.fetch("select event_id from economic.outbox order by id")]


async def transactions_of(pike: asyncpg.Connection) -> int:
    """Count the distinct transactions that wrote the inbox rows as they are."""
    count: int = await pike.fetchval("select count(distinct xmin::text) from economic.inbox")
    return count


async def test_events_that_are_ready_together_are_committed_together(database: Database, pike: Any) -> None:
    told, commits = Told(), GroupCommit(database)
    held = await claims(database, 50)
    await asyncio.gather(*(work(commits, claim, told) for claim in held))
    assert set((await states(pike)).values()) == {("done", "written")}
    assert sorted(await answers(pike)) == sorted(f"answer-{claim.event_id}" for claim in held)
    assert sorted(row.message.event_id for row in told.rows) == sorted(await answers(pike))
    assert await transactions_of(pike) <= 3


async def test_an_event_alone_is_committed_at_once(database: Database, pike: Any) -> None:
    told = Told()
    (claim,) = await claims(database, 1)
    await work(GroupCommit(database), claim, told)
    assert await states(pike) == {"e0": ("done", "written")}
    assert len(told.rows) == 1


async def test_no_commit_holds_more_events_than_its_limit(database: Database, pike: Any) -> None:
    held = await claims(database, 3 * MAX_PARTS)
    told, commits = Told(), GroupCommit(database)
    await asyncio.gather(*(work(commits, claim, told) for claim in held))
    largest = await pike.fetchval("select max(n) from (select count(*) n from economic.inbox group by xmin::text) x")
    assert largest <= MAX_PARTS
    assert len(told.rows) == 3 * MAX_PARTS


async def test_a_checkpoint_leaves_the_event_running(database: Database, pike: Any) -> None:
    one, other = await claims(database, 2)
    told, commits = Told(), GroupCommit(database)
    await asyncio.gather(work(commits, one, told, outcome=None), work(commits, other, told))
    assert await states(pike) == {"e0": ("running", "written"), "e1": ("done", "written")}


async def test_a_checkpoint_beside_an_end_changes_nothing_of_its_event_but_the_lease(
    database: Database, pike: Any
) -> None:
    one, other = await claims(database, 2)
    await pike.execute("update economic.inbox set outcome = 'of another life', finished_at = now()")

    async def kept() -> Any:
        return await pike.fetchrow(
            """select to_jsonb(i) - '{lease_until,updated_at}'::text[], lease_until
               from economic.inbox i where event_id = 'e0'"""
        )

    before = await kept()
    async with database.transaction("test") as connection:
        assert (await endings.write(connection, [End(one, None, 600.0), End(other, "x", 0.0)], []))[1] == set()
    after = await kept()
    assert after[0] == before[0]
    assert after["lease_until"] > before["lease_until"]
    ended = await pike.fetchrow("select state, outcome, body, lease_until from economic.inbox where event_id = 'e1'")
    assert tuple(ended) == ("done", "x", None, None)


@pytest.mark.parametrize("bad", [0, 3, 7])
async def test_a_failing_neighbour_gets_its_error_and_the_others_are_told_to_go_alone(
    database: Database, pike: Any, bad: int
) -> None:
    held = await claims(database, 8)
    told, commits = Told(), GroupCommit(database)
    results = await asyncio.gather(
        *(work(commits, claim, told, sql="select 1/0" if n == bad else "select 1") for n, claim in enumerate(held)),
        return_exceptions=True,
    )
    assert isinstance(results[bad], asyncpg.DivisionByZeroError)
    spoiled = [claim for claim, result in zip(held, results, strict=True) if isinstance(result, Spoiled)]
    assert len(spoiled) == bad  # those whose writes were in the same transaction before it
    seen = await states(pike)
    assert all(seen[claim.event_id] == ("running", "pike.x") for claim in [*spoiled, held[bad]])
    assert len(told.rows) == 7 - bad
    for claim in spoiled:
        await work(OwnTransaction(database), claim, told)
    assert len(await answers(pike)) == 7


async def test_who_fails_before_touching_the_database_spoils_nothing(database: Database, pike: Any) -> None:
    one, other = await claims(database, 2)
    told, commits = Told(), GroupCommit(database)

    async def refuses() -> None:
        async with commits.open("test"):
            raise ValueError("no")

    results = await asyncio.gather(
        work(commits, one, told), refuses(), work(commits, other, told), return_exceptions=True
    )
    assert isinstance(results[1], ValueError)
    assert [results[0], results[2]] == [None, None]
    assert set((await states(pike)).values()) == {("done", "written")}


async def test_a_lost_fence_writes_nothing_and_spoils_the_group(database: Database, pike: Any) -> None:
    held = await claims(database, 3)
    await pike.execute("update economic.inbox set fence = fence + 1 where event_id = 'e1'")
    told, commits = Told(), GroupCommit(database)
    results = await asyncio.gather(*(work(commits, claim, told) for claim in held), return_exceptions=True)
    assert [type(result) for result in results] == [Spoiled, FenceLost, Spoiled]
    assert set((await states(pike)).values()) == {("running", "pike.x")}
    assert await answers(pike) == []
    assert told.rows == []


@pytest.mark.parametrize("outcome", ["completed", None])
async def test_a_lost_fence_in_a_transaction_of_its_own(database: Database, pike: Any, outcome: str | None) -> None:
    (claim,) = await claims(database, 1)
    await pike.execute("update economic.inbox set fence = fence + 1")
    with pytest.raises(FenceLost):
        await work(OwnTransaction(database), claim, Told(), outcome=outcome)
    assert await states(pike) == {"e0": ("running", "pike.x")}


async def test_an_event_cancelled_while_it_waits_for_the_commit_is_committed_and_announced(
    database: Database, pike: Any
) -> None:
    one, other = await claims(database, 2)
    told, commits = Told(), GroupCommit(database)
    written, leave = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        async with commits.open("test") as part:
            await part.connection.execute("select 1")
            written.set()
            await leave.wait()
            part.ending = Ending(other, "completed", 60.0, [answer(other)], told)

    async def quick() -> None:
        async with commits.open("test") as part:
            part.ending = Ending(one, "completed", 60.0, [answer(one)], told)

    joined = asyncio.create_task(quick())
    slowly = asyncio.create_task(slow())
    await written.wait()  # both are in one group, and the quick one has ended in it
    joined.cancel()
    leave.set()
    await slowly
    with pytest.raises(asyncio.CancelledError):
        await joined
    assert {state for state, _ in (await states(pike)).values()} == {"done"}
    assert len(told.rows) == 2


async def test_an_event_cancelled_in_its_block_takes_its_own_writes_back(database: Database, pike: Any) -> None:
    one, other = await claims(database, 2)
    told, commits = Told(), GroupCommit(database)
    entered = asyncio.Event()

    async def hangs() -> None:
        async with commits.open("test") as part:
            await part.connection.execute("update economic.inbox set type = 'half' where event_id = 'e0'")
            entered.set()
            await asyncio.Event().wait()

    hanging = asyncio.create_task(hangs())
    await entered.wait()
    waiting = asyncio.create_task(work(commits, other, told))
    hanging.cancel()
    await waiting
    with pytest.raises(asyncio.CancelledError):
        await hanging
    assert await states(pike) == {"e0": ("running", "pike.x"), "e1": ("done", "written")}
    assert one.event_id == "e0"


async def test_a_connection_lost_in_the_group_is_the_store_that_is_away_and_the_next_group_works(
    database: Database, pike: Any
) -> None:
    one, other = await claims(database, 2)
    told, commits = Told(), GroupCommit(database)

    async def killed() -> None:
        async with commits.open("test") as part:
            pid = await part.connection.fetchval("select pg_backend_pid()")
            await pike.fetchval("select pg_terminate_backend($1, 5000)", pid)
            await part.connection.execute("select 1")

    with pytest.raises(StoreUnavailable):
        await killed()
    await asyncio.gather(work(commits, one, told), work(commits, other, told))
    assert {state for state, _ in (await states(pike)).values()} == {"done"}


async def test_a_connection_lost_before_the_commit_leaves_everybody_with_the_store_away(
    database: Database, pike: Any
) -> None:
    one, other = await claims(database, 2)
    told, commits = Told(), GroupCommit(database)

    async def last() -> None:
        async with commits.open("test") as part:
            pid = await part.connection.fetchval("select pg_backend_pid()")
            part.ending = Ending(other, "completed", 60.0, [answer(other)], told)
            await pike.fetchval("select pg_terminate_backend($1, 5000)", pid)

    results = await asyncio.gather(work(commits, one, told), last(), return_exceptions=True)
    assert [type(result) for result in results] == [StoreUnavailable, StoreUnavailable]
    assert {state for state, _ in (await states(pike)).values()} == {"running"}
    assert told.rows == []


async def test_a_message_that_postgres_cannot_store_spoils_only_for_a_moment(database: Database, pike: Any) -> None:
    one, other = await claims(database, 2)
    told, commits = Told(), GroupCommit(database)

    async def bad(how: Commits) -> None:
        async with how.open("test") as part:
            message = OutboxMessage("nul\0", "economic.x", "ws", "pike.events", "economic.x", b"{}", "a/b")
            part.ending = Ending(one, "completed", 60.0, [message], told)

    results = await asyncio.gather(bad(commits), work(commits, other, told), return_exceptions=True)
    assert [type(result) for result in results] == [Spoiled, Spoiled]
    with pytest.raises(asyncpg.CharacterNotInRepertoireError):
        await bad(OwnTransaction(database))
    await work(OwnTransaction(database), other, told)
    assert (await states(pike))["e1"] == ("done", "written")


async def test_nothing_ends_before_it_was_received_however_long_the_transaction_was_open(
    database: Database, pike: Any
) -> None:
    async with database.transaction("test") as connection:
        await connection.execute("select pg_sleep(0.05)")
        (claim,) = await claims(database, 1)
        await endings.write(connection, [End(claim, "completed", 0.0)], [answer(claim)])
    assert await pike.fetchval("select finished_at >= received_at from economic.inbox")
    lease = await pike.fetchval("select leased_until - (select received_at from economic.inbox) from economic.outbox")
    assert lease.total_seconds() >= OWN_LEASE_S
