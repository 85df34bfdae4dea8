"""Borrowing connections: nobody waits for one that lies at hand, and none carries anything over to the next user."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import asyncpg
import pytest
import structlog
from support import eventually

from worker.errors import StoreUnavailable
from worker.store import pool
from worker.store.pool import Connection, Database


@pytest.fixture(autouse=True)
def at_hand_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for a connection at hand to be put away waits longer than a test may take."""
    monkeypatch.setattr(pool, "AT_HAND_S", 3600.0)


@pytest.fixture
async def single(module_database_url: str, pike: asyncpg.Connection) -> AsyncIterator[Database]:
    """A pool of one connection."""
    database = Database(module_database_url, max_size=1)
    await database.connect()
    yield database
    await asyncio.wait_for(database.close(), 10)


async def process_of(database: Database) -> int:
    async with database.connection("a test") as connection:
        return int(connection.get_server_pid())


@pytest.fixture(autouse=True)
async def table_of_marks(pike: asyncpg.Connection) -> None:
    await pike.execute("create table if not exists public.marks (); delete from public.marks")


async def write_a_mark(connection: Connection) -> None:
    await connection.execute("insert into public.marks default values")


async def marks(database: Database) -> int:
    async with database.connection("a test") as connection:
        return int(await connection.fetchval("select count(*) from public.marks"))


async def test_what_was_borrowed_last_is_borrowed_next(database: Database) -> None:
    first = await process_of(database)
    async with database.transaction("a test") as connection:
        assert connection.get_server_pid() == first
    assert await process_of(database) == first


async def test_two_at_once_have_two_connections(database: Database) -> None:
    await process_of(database)
    async with database.connection("a test") as one, database.transaction("a test") as two:
        assert one.get_server_pid() != two.get_server_pid()


async def test_whoever_waits_for_the_last_connection_gets_it_when_it_is_given_back(single: Database) -> None:
    async with single.connection("a test"):
        waiting = [asyncio.create_task(process_of(single)) for _ in range(3)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
    assert len(set(await asyncio.wait_for(asyncio.gather(*waiting), 10))) == 1


async def test_a_session_finds_the_only_connection_at_hand_and_leaves_no_setting_behind(single: Database) -> None:
    await process_of(single)
    async with asyncio.timeout(10), single.session("a test") as connection:
        await connection.execute("set statement_timeout = 4321")
    async with single.connection("a test") as connection:
        assert await connection.fetchval("show statement_timeout") == "0"


async def test_a_transaction_that_failed_is_rolled_back_before_the_next_use(single: Database) -> None:
    async def fail(sql: str) -> None:
        async with single.transaction("a test") as connection:
            await write_a_mark(connection)
            await connection.execute(sql)
            raise ValueError("ours")

    with pytest.raises(asyncpg.DivisionByZeroError):
        await fail("select 1 / 0")
    with pytest.raises(ValueError, match="ours"):
        await fail("select 1")
    assert await marks(single) == 0
    async with single.transaction("a test") as connection:
        await write_a_mark(connection)
    assert await marks(single) == 1


@pytest.mark.parametrize("error", [None, ValueError("ours")])
async def test_what_somebody_began_by_hand_and_left_is_undone_before_the_next_use(
    single: Database, error: Exception | None
) -> None:
    async def leave_it_begun() -> None:
        async with single.connection("a test") as connection:
            await connection.execute("begin")
            await write_a_mark(connection)
            if error is not None:
                raise error

    with contextlib.suppress(ValueError):
        await leave_it_begun()
    assert await marks(single) == 0


@pytest.mark.parametrize("kind", ["connection", "transaction"])
async def test_a_statement_that_was_broken_off_is_over_before_the_next_use(single: Database, kind: str) -> None:
    async def wait_for_long() -> None:
        async with getattr(single, kind)("a test") as connection:
            asleep.set()
            await connection.execute("select pg_sleep(3600)")

    asleep = asyncio.Event()
    task = asyncio.create_task(wait_for_long())
    await asleep.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.wait_for(marks(single), 10) == 0


async def test_a_connection_that_died_at_hand_is_not_used_again(single: Database, pike: asyncpg.Connection) -> None:
    async with single.connection("a test") as connection:
        gone = connection.get_server_pid()
    await pike.execute("select pg_terminate_backend($1)", gone)

    def dead() -> bool:
        try:
            return bool(connection.is_closed())
        except asyncpg.InterfaceError:
            return True

    await eventually(dead)
    assert await process_of(single) != gone


async def test_a_connection_that_dies_in_use_is_given_up(single: Database, pike: asyncpg.Connection) -> None:
    async def lose_it() -> None:
        async with single.transaction("a test") as connection:
            await write_a_mark(connection)
            await pike.execute("select pg_terminate_backend($1)", connection.get_server_pid())
            await connection.execute("select pg_sleep(10)")

    with pytest.raises(StoreUnavailable, match="went away during a test"):
        await lose_it()
    assert await marks(single) == 0


async def test_what_nobody_wants_goes_back_to_the_pool(single: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "AT_HAND_S", 0.01)
    await process_of(single)
    assert single.at_hand == 1
    await eventually(lambda: single.at_hand == 0)
    assert await marks(single) == 0


async def test_putting_away_what_is_at_hand_is_logged_about_no_event(
    single: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "AT_HAND_S", 0.01)
    told: list[object] = []
    monkeypatch.setattr(single, "_give_back", lambda _: told.append(structlog.contextvars.get_contextvars()))
    with structlog.contextvars.bound_contextvars(event_id="e1"):
        async with single.connection("a test") as connection:
            pass
        await eventually(lambda: told)
    assert told == [{}]
    monkeypatch.undo()
    single.put_back(connection, intact=False)


async def test_closing_does_not_wait_for_what_is_at_hand(module_database_url: str) -> None:
    database = Database(module_database_url, max_size=2)
    await database.connect()
    in_use = asyncio.Event()

    async def use() -> None:
        async with database.connection("a test") as connection:
            in_use.set()
            await connection.execute("select pg_sleep(0.2)")

    await process_of(database)
    task = asyncio.create_task(use())
    await in_use.wait()
    await asyncio.wait_for(database.close(), 10)
    await task
