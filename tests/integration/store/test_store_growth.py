"""Tables that grow fast: a plan made while one was empty reads all of it for every commit, until it is analysed."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from worker.clock import SystemClock
from worker.runtime.growing import Growing
from worker.store import endings, growth, inbox
from worker.store.endings import End
from worker.store.inbox import Received
from worker.store.pool import Connection, Database

PLANNED = 8
"""Postgres may settle on one plan for all parameters after five executions."""
MANY = 20_000


@pytest.fixture
async def unattended(pike: Any) -> AsyncIterator[Any]:
    """An inbox of which Postgres knows nothing yet, without autovacuum, which might be there first."""
    await pike.execute("truncate economic.inbox")
    await pike.execute("alter table economic.inbox set (autovacuum_enabled = false)")
    yield pike
    await pike.execute("alter table economic.inbox reset (autovacuum_enabled)")


async def claimed(connection: Connection, number: int) -> inbox.Claim:
    event = Received("/pike", f"e{number}", "pike.x", "ws", "work", b"{}", b"h", None, {}, "owner")
    return (await inbox.claim(connection, event, 60.0)).need_claim()


async def scans(connection: Connection) -> int:
    """Return how often this session has read all of the inbox; grows only, while a transaction lasts."""
    found: int = await connection.fetchval(
        "select seq_scan from pg_stat_xact_user_tables where relid = 'economic.inbox'::regclass"
    )
    return found


async def reads_all(connection: Connection, number: int) -> bool:
    """End an event; return whether the statement read the inbox from one end to the other."""
    claim = await claimed(connection, number)
    async with connection.transaction():
        before = await scans(connection)
        assert await endings.write(connection, [End(claim, "x", 0.0)], []) == ([], set())
        return await scans(connection) > before


async def fill(pike: Any) -> None:
    await pike.execute(
        """insert into economic.inbox (source, event_id, type, workspace_id, lane, body_hash, state, finished_at)
           select '/old', n::text, 'pike.x', 'ws', 'work', 'h', 'done', now() from generate_series(1, $1::int) as n""",
        MANY,
    )


async def test_events_are_ended_by_looking_them_up_as_soon_as_the_inbox_was_seen_to_have_grown(
    database: Database, unattended: Any
) -> None:
    growing = Growing(database, SystemClock())
    async with database.connection("a worker's session") as connection:
        for number in range(PLANNED):
            await reads_all(connection, number)
        await fill(unattended)
        assert await reads_all(connection, PLANNED)
        assert await growing.look() == ["economic.inbox"]
        assert not await reads_all(connection, PLANNED + 1)
        assert await growing.look() == []


async def test_what_belongs_to_somebody_else_is_left_to_them(unattended: Any) -> None:
    await fill(unattended)
    assert "economic.inbox" in await growth.outgrown(unattended)
    transaction = unattended.transaction()
    await transaction.start()
    try:
        await unattended.execute("create role growth_guest; grant usage on schema economic, pike to growth_guest")
        await unattended.execute("set local role growth_guest")
        assert await growth.outgrown(unattended) == []
    finally:
        await transaction.rollback()
