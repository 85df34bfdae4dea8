"""Shared statements: what events ask for together is one statement, and each is as if it had been alone."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest

from tests.integration.store.test_store_commits import Told, answer, claims, states
from tests.support import eventually
from worker import cadence
from worker.errors import StoreUnavailable
from worker.store import sharing
from worker.store.commits import Commits, Ending, OwnTransaction, Spoiled
from worker.store.group_commit import MAX_PARTS, GroupCommit
from worker.store.inbox import Claim
from worker.store.pool import Connection, Database
from worker.store.sharing import Shared

pytestmark = pytest.mark.requirement("B1")

_WRITE = """
update economic.inbox i set type = t.type from unnest($1::text[], $2::text[]) as t(event_id, type)
where i.event_id = t.event_id and 1 / length(t.type) >= 0 returning i.event_id
"""


class Writer:
    """A statement that writes a word into each event's row; the word that has no letters cannot be written."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.gate: asyncio.Event | None = None
        self.statement = Shared(self._many, lambda item: {item[0]})

    async def _many(self, connection: Connection, items: Sequence[tuple[str, str]]) -> list[str]:
        self.steps.append("+".join(event for event, _ in items))
        if self.gate is not None:
            await self.gate.wait()
        rows = await connection.fetch(_WRITE, [event for event, _ in items], [word for _, word in items])
        assert {row["event_id"] for row in rows} == {event for event, _ in items}
        return [f"{event}={word}" for event, word in items]

    @property
    def statements(self) -> list[list[str]]:
        """Who shared each statement."""
        return [step.split("+") for step in self.steps if not step.startswith(("then ", "end "))]


async def share(
    commits: Commits, claim: Claim, told: Told, writer: Writer, *, word: str = "written", row: str | None = None
) -> str:
    """Finish one event with a shared statement and one of its own after it."""
    async with commits.open("test") as part:
        result = await sharing.run(part.connection, writer.statement, (row or claim.event_id, word))
        await part.connection.execute("select 1")
        writer.steps.append(f"then {claim.event_id}")
        await asyncio.sleep(0)
        writer.steps.append(f"end {claim.event_id}")
        part.ending = Ending(claim, "completed", 60.0, [answer(claim)], told)
    return result


async def test_what_is_asked_for_together_is_one_statement_and_bodies_stay_whole(database: Database, pike: Any) -> None:
    held, told, writer = await claims(database, 20), Told(), Writer()
    commits = GroupCommit(database)
    results = await asyncio.gather(*(share(commits, claim, told, writer) for claim in held))
    assert results == [f"{claim.event_id}=written" for claim in held]
    assert set((await states(pike)).values()) == {("done", "written")}
    assert len(writer.statements) <= 2  # the first may have gone ahead alone
    bodies = [step for step in writer.steps if step.startswith(("then ", "end "))]
    assert all(a.split()[1] == b.split()[1] for a, b in zip(bodies[::2], bodies[1::2], strict=True))
    assert len(told.rows) == 20


async def test_one_alone_is_done_at_once_and_so_is_one_in_a_transaction_of_its_own(
    database: Database, pike: Any
) -> None:
    one, other = await claims(database, 2)
    writer = Writer()
    assert await share(GroupCommit(database), one, Told(), writer) == "e0=written"
    assert await share(OwnTransaction(database), other, Told(), writer) == "e1=written"
    assert set((await states(pike)).values()) == {("done", "written")}


async def test_two_that_write_the_same_row_follow_each_other_whole(database: Database, pike: Any) -> None:
    held, told, writer = await claims(database, 4), Told(), Writer()
    commits = GroupCommit(database)
    words = ["a", "b", "c", "d"]
    await asyncio.gather(
        *(
            share(commits, claim, told, writer, word=word, row="e0")
            for claim, word in zip(held, words, strict=True)
        )
    )  # fmt: skip
    assert writer.statements == [["e0"]] * 4
    assert writer.steps == [step for n in range(4) for step in ("e0", f"then e{n}", f"end e{n}")]
    assert (await states(pike))["e0"] == ("done", "d")


async def test_only_what_a_body_begins_with_is_shared(database: Database, pike: Any) -> None:
    held, told, writer = await claims(database, 3), Told(), Writer()
    commits = GroupCommit(database)

    async def late(claim: Claim) -> None:
        async with commits.open("test") as part:
            await part.connection.execute("select 1")
            await sharing.run(part.connection, writer.statement, (claim.event_id, "written"))
            part.ending = Ending(claim, "completed", 60.0, [answer(claim)], told)

    await asyncio.gather(*(late(claim) for claim in held))
    assert writer.statements == [["e0"], ["e1"], ["e2"]]
    assert set((await states(pike)).values()) == {("done", "written")}


@pytest.mark.parametrize("bad", [1, 4, 7])
async def test_one_that_cannot_be_written_takes_nobody_along(database: Database, pike: Any, bad: int) -> None:
    held, told, writer = await claims(database, 8), Told(), Writer()
    commits = GroupCommit(database)

    def word(n: int) -> str:
        return "" if n == bad else "written"

    results = await asyncio.gather(
        *(share(commits, claim, told, writer, word=word(n)) for n, claim in enumerate(held)), return_exceptions=True
    )
    spoiled = [n for n, result in enumerate(results) if isinstance(result, Spoiled)]
    assert bad in spoiled  # nobody can tell who is to blame: all go alone
    seen = await states(pike)
    assert all(seen[f"e{n}"] == ("running", "pike.x") for n in spoiled)
    assert all(seen[f"e{n}"] == ("done", "written") for n in range(8) if n not in spoiled)
    for n in spoiled:
        if n == bad:
            with pytest.raises(asyncpg.DivisionByZeroError):
                await share(OwnTransaction(database), held[n], told, writer, word="")
        else:
            await share(OwnTransaction(database), held[n], told, writer)
    assert len(told.rows) == 7
    await share(commits, held[bad], told, writer)  # and the next group works


async def test_who_asks_alone_for_what_cannot_be_done_hears_why(database: Database, pike: Any) -> None:
    (claim,) = await claims(database, 1)
    with pytest.raises(asyncpg.DivisionByZeroError):
        await share(GroupCommit(database), claim, Told(), Writer(), word="")
    assert await states(pike) == {"e0": ("running", "pike.x")}


async def test_a_neighbour_that_fails_afterwards_spoils_those_in_its_transaction(database: Database, pike: Any) -> None:
    held, told, writer = await claims(database, 3), Told(), Writer()
    commits = GroupCommit(database)

    async def fails(claim: Claim) -> None:
        async with commits.open("test") as part:
            await sharing.run(part.connection, writer.statement, (claim.event_id, "written"))
            raise ValueError("no")

    results = await asyncio.gather(
        fails(held[0]), *(share(commits, claim, told, writer) for claim in held[1:]), return_exceptions=True
    )
    assert isinstance(results[0], ValueError)
    assert all(isinstance(result, Spoiled) for result in results[1:])
    assert set((await states(pike)).values()) == {("running", "pike.x")}
    assert told.rows == []


@pytest.mark.parametrize("under_way", [False, True])
async def test_a_body_broken_off_while_it_waits_leaves_nothing_and_hangs_nobody(
    database: Database, pike: Any, under_way: bool
) -> None:
    held, told, writer = await claims(database, 4), Told(), Writer()
    writer.gate = asyncio.Event()
    commits = GroupCommit(database)
    first = asyncio.create_task(share(commits, held[0], told, writer))
    await eventually(lambda: writer.steps)
    others = [asyncio.create_task(share(commits, claim, told, writer)) for claim in held[1:]]
    await eventually(lambda: len(commits._waiting) == 3)
    (first if under_way else others[1]).cancel()
    await asyncio.sleep(0)
    writer.gate.set()
    results = await asyncio.wait_for(asyncio.gather(first, *others, return_exceptions=True), 10)
    gone = held[0 if under_way else 2].event_id
    seen = await states(pike)
    assert seen[gone] == ("running", "pike.x")
    for claim, result in zip(held, results, strict=True):
        if claim.event_id != gone and not isinstance(result, BaseException):
            assert seen[claim.event_id] == ("done", "written")
        else:
            assert isinstance(result, asyncio.CancelledError if claim.event_id == gone else Spoiled)
            assert seen[claim.event_id] == ("running", "pike.x")
    if not under_way:
        assert len(told.rows) == 3
    await share(GroupCommit(database), held[0 if under_way else 2], told, writer)


async def test_a_connection_lost_under_a_shared_statement_is_the_store_that_is_away(
    database: Database, pike: Any
) -> None:
    held, told = await claims(database, 3), Told()
    commits = GroupCommit(database)

    async def killed(connection: Connection, items: Sequence[Any]) -> list[Any]:
        pid = await connection.fetchval("select pg_backend_pid()")
        await pike.fetchval("select pg_terminate_backend($1, 5000)", pid)
        await connection.fetchval("select 1")
        return list(items)

    writer = Writer()
    writer.statement = Shared(killed, lambda item: {item[0]})
    results = await asyncio.gather(*(share(commits, claim, told, writer) for claim in held), return_exceptions=True)
    assert {type(result) for result in results} == {StoreUnavailable}
    writer = Writer()
    await asyncio.gather(*(share(commits, claim, told, writer) for claim in held))
    assert set((await states(pike)).values()) == {("done", "written")}


async def test_sharing_keeps_to_the_limit_of_a_commit(database: Database, pike: Any) -> None:
    held, told, writer = await claims(database, 3 * MAX_PARTS), Told(), Writer()
    commits = GroupCommit(database)
    await asyncio.gather(*(share(commits, claim, told, writer) for claim in held))
    largest = await pike.fetchval("select max(n) from (select count(*) n from economic.inbox group by xmin::text) x")
    assert largest <= MAX_PARTS
    assert max(len(names) for names in writer.statements) <= MAX_PARTS
    assert len(told.rows) == 3 * MAX_PARTS


async def test_two_commits_at_most_are_under_way_and_whoever_comes_meanwhile_shares_the_next(
    database: Database, pike: Any, module_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cadence, "LEAST_S", 0.0)  # only rounds of the loop to wait for
    held, told, writer = await claims(database, 5), Told(), Writer()
    commits = GroupCommit(database)
    watching = await asyncpg.connect(module_database_url)
    finishing = []
    async with pike.transaction():
        await pike.execute("lock table economic.outbox in share mode")  # no end of a group can be written
        for n, claim in enumerate(held):
            finishing.append(asyncio.create_task(share(commits, claim, told, writer)))
            if n < 2:
                await eventually(lambda n=n: len(writer.statements) > n)
        begun = "select count(*) from pg_stat_activity where datname = current_database() and query = 'BEGIN;'"
        await eventually(lambda: watching.fetchval(begun))
        for _ in range(2 * cadence.ROUNDS):
            await asyncio.sleep(0)
        assert writer.statements == [["e0"], ["e1"]]
    await asyncio.gather(*finishing)
    assert writer.statements == [["e0"], ["e1"], ["e2", "e3", "e4"]]
    await watching.close()


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_breaks_off_when_every_event_is_whole(database: Database, pike: Any, seed: int) -> None:
    """Cancellations and failures at random moments: done means written and announced, all else means untouched."""
    chance = random.Random(seed)
    held, told, writer = await claims(database, 40), Told(), Writer()
    commits = GroupCommit(database)

    async def one(claim: Claim) -> Any:
        await asyncio.sleep(chance.random() * 0.05)
        row = chance.choice([None, None, "e0", "e1"]) if claim.event_id not in ("e0", "e1") else None
        word = "" if chance.random() < 0.05 else "written"
        try:
            async with asyncio.timeout(chance.random() * 0.08 if chance.random() < 0.5 else 10):
                return await share(commits, claim, told, writer, word=word, row=row)
        except TimeoutError as exc:
            return exc

    results = await asyncio.wait_for(asyncio.gather(*(one(claim) for claim in held), return_exceptions=True), 30)
    await eventually(lambda: commits.idle)  # those that went meanwhile are committed, or rolled back
    seen, announced = await states(pike), {row.message.event_id for row in told.rows}
    for claim, result in zip(held, results, strict=True):
        done = seen[claim.event_id][0] == "done"
        assert done == (f"answer-{claim.event_id}" in announced)
        if isinstance(result, str):
            assert done
        elif not isinstance(result, TimeoutError):  # a commit may win over a time limit
            assert not done


async def test_a_statement_with_a_bug_leaves_nobody_waiting(database: Database, pike: Any) -> None:
    held, told = await claims(database, 3), Told()
    commits = GroupCommit(database)

    def no_keys(item: object) -> set[str]:
        raise LookupError(f"no key for {item}")

    writer = Writer()
    writer.statement = Shared(writer._many, no_keys)
    async with asyncio.timeout(10):
        results = await asyncio.gather(
            *(share(commits, claim, told, writer) for claim in held), return_exceptions=True
        )  # fmt: skip
    assert [type(result) for result in results] == [Spoiled] * 3
    await eventually(lambda: commits.idle, message="idle")
    writer.statement = Writer().statement
    assert await share(commits, held[0], told, writer) == "e0=written"
