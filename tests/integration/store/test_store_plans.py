"""Events are looked up by their keys, whatever Postgres believes about tables that are now empty and now full.

Inbox and outbox are often analysed while nothing waits. A plan made by such figures takes any index for as good as
another, and reads all that waits once there is a backlog.
"""

import re
from dataclasses import replace
from typing import Any

import pytest

from worker.store import endings, growth, inbox, outbox, overflow
from worker.store.endings import End
from worker.store.inbox import Received
from worker.store.pool import Connection, Database

BACKLOG = 3_001
SAMPLE = 3_000
"""Rows that Postgres reads for a column whose statistics target is 10; 300 times the target."""


@pytest.fixture
async def idle(pike: Any) -> Any:
    """Inbox, outbox and overflow as they are analysed in a quiet moment: much was there, nothing waits."""
    await pike.execute("truncate economic.inbox, economic.outbox, economic.overflow")
    await pike.execute(
        """insert into economic.inbox (source, event_id, type, workspace_id, lane, body_hash, state, finished_at)
           select '/old', n::text, 'pike.x', 'ws', 'work', 'h', 'done', now() from generate_series(1, 2000) as n"""
    )
    await write_messages(pike, 1)
    await set_aside(pike)
    await pike.execute("delete from economic.outbox")
    await pike.execute("delete from economic.overflow")
    for table in ("inbox", "outbox", "overflow"):
        await pike.execute(f"vacuum (analyze, truncate false) economic.{table}")
    return pike


async def write_messages(connection: Connection, due_in_s: int) -> None:
    await connection.execute(
        """insert into economic.outbox
               (event_id, type, workspace_id, exchange, routing_key, content_type, body, leased_until)
           select 'm' || n, 'economic.x', 'ws', 'pike.events', 'economic.x', 'application/json', '{}',
                  now() + make_interval(secs => $2)
           from generate_series(1, $1::int) as n""",
        BACKLOG,
        due_in_s,
    )


async def set_aside(connection: Connection) -> None:
    await connection.execute(
        """insert into economic.overflow (lane, workspace_id, routing_key, body)
           select 'work', 'ws', 'pike.x', '{}' from generate_series(1, $1::int)""",
        BACKLOG,
    )


TRIED = 5
"""Executions that Postgres plans for their parameters before it compares (``choose_custom_plan`` in plancache.c)."""
RECEIVED = Received("/pike", "e1", "pike.x", "ws", "work", b"{}", b"h", None, {}, "owner")


async def fetched(connection: Connection) -> int:
    """Return how many rows of the inbox this transaction has read, through indexes or from one end to the other."""
    found: int = await connection.fetchval(
        "select idx_tup_fetch + seq_tup_read from pg_stat_xact_user_tables where relid = 'economic.inbox'::regclass"
    )
    return found


@pytest.mark.parametrize("step", ["finish", "prolong", "extend", "put back", "bury"])
async def test_what_becomes_of_an_event_is_written_without_reading_what_waits(
    database: Database, idle: Any, step: str
) -> None:
    async with database.transaction("a test") as connection:
        claim = (await inbox.claim(connection, RECEIVED, 60.0)).need_claim()
        await idle.execute(
            """insert into economic.inbox (source, event_id, type, workspace_id, lane, body_hash, state)
               select '/waits', n::text, 'pike.x', 'ws', 'work', 'h', 'waiting'
               from generate_series(1, $1::int) as n""",
            BACKLOG,
        )
        before = await fetched(connection)
        match step:
            case "finish":
                assert await endings.write(connection, [End(claim, "x", 0.0)], []) == ([], set())
            case "prolong":
                assert await endings.write(connection, [End(claim, None, 60.0)], []) == ([], set())
            case "extend":
                await inbox.extend(connection, claim, 60.0)
            case "put back":
                await inbox.put_back(connection, claim, parked=False, free=True, note=None)
            case _:
                await inbox.bury(connection, claim, "x")
        assert await fetched(connection) - before < 10


async def test_the_statement_that_ends_events_keeps_its_plan_however_many_they_are(
    database: Database, idle: Any
) -> None:
    async with database.session("a test") as connection:
        for group in range(3 * TRIED):
            claims = [
                (await inbox.claim(connection, replace(RECEIVED, event_id=f"{group}/{n}"), 60.0)).need_claim()
                for n in range(1 + group % 3)
            ]
            assert (await endings.write(connection, [End(claim, "x", 0.0) for claim in claims], []))[1] == set()
        plans = await connection.fetchrow(
            "select generic_plans, custom_plans from pg_prepared_statements where statement = $1", endings.WRITE
        )
    assert tuple(plans) == (2 * TRIED, TRIED)


@pytest.mark.parametrize(("table", "delete"), [("outbox", outbox.DELETE), ("overflow", overflow._DELETE)])
async def test_confirmed_rows_are_found_by_their_number(database: Database, idle: Any, table: str, delete: str) -> None:
    async with database.connection("a test") as connection:
        plan = "\n".join(row[0] for row in await connection.fetch("explain " + delete, [1, 2, 3]))
    assert set(re.findall(rf"(?:using|on) ({table}_\w+)", plan)) == {f"{table}_pkey"}, plan


async def test_no_more_messages_are_taken_than_asked_for_whatever_the_plan(database: Database, idle: Any) -> None:
    await write_messages(idle, -1)
    async with database.session("a test") as connection:
        for kind in ("hashjoin", "mergejoin", "hashagg", "sort", "material", "memoize"):
            await connection.execute(f"set enable_{kind} = off")
        taken = await outbox.take(connection, 10)
    assert len({row.id for row in taken}) == len(taken) == 10
    left = await idle.fetchval("select count(*)::int from economic.outbox where leased_until < now()")
    assert left == BACKLOG - 10


async def test_looking_for_messages_that_nobody_hears_reads_none_of_the_others(database: Database, idle: Any) -> None:
    await write_messages(idle, 60)
    async with database.transaction("a test") as connection:
        assert await outbox.drop_unheard(connection, 60.0) == 0
        scans = await connection.fetchval(
            "select seq_scan from pg_stat_xact_user_tables where relid = 'economic.outbox'::regclass"
        )
    assert scans == 0


@pytest.mark.parametrize("table", growth.WATCHED)
async def test_an_analysis_looks_at_a_tenth_of_what_postgres_usually_does(
    database: Database, idle: Any, table: str
) -> None:
    await write_messages(idle, 60)
    await set_aside(idle)
    await idle.execute(
        """insert into economic.inbox (source, event_id, type, workspace_id, lane, body_hash, state)
           select '/many', n::text, 'pike.x', 'ws', 'work', 'h', 'done' from generate_series(1, $1::int) as n""",
        BACKLOG,
    )
    said: list[str] = []
    idle.add_log_listener(lambda _connection, message: said.append(str(message)))
    await idle.execute(f"analyze verbose {table}")
    found = re.search(r"(\d+) rows in sample", "\n".join(said))
    assert found, said
    assert 0 < int(found[1]) <= SAMPLE
