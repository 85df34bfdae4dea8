"""Migrations: applied once, in order, under a lock; history and files must agree or nothing starts."""

import asyncio
import os
import signal
import sys
import time

import asyncpg
import pytest
from support import eventually

from worker.errors import SchemaMismatch, StoreUnavailable
from worker.store import migrate
from worker.store.migrate import Migration

NAMES = [migration.name for migration in migrate.load()]
NEXT = f"{len(NAMES) + 1:04}_next.sql"


async def execute(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(sql)
    await connection.close()


async def value(url: str, sql: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


def with_one_more(monkeypatch: pytest.MonkeyPatch, sql: str) -> None:
    known = migrate.load()
    monkeypatch.setattr(migrate, "load", lambda: [*known, Migration(len(known) + 1, NEXT, sql)])


async def test_an_empty_database_gets_every_migration_in_order(database_url: str) -> None:
    assert await migrate.migrate(database_url) == NAMES


async def test_a_migrated_database_gets_nothing_more(database_url: str) -> None:
    await migrate.migrate(database_url)
    assert await migrate.migrate(database_url) == []


async def test_check_names_what_is_missing_and_changes_nothing(database_url: str) -> None:
    missing = await migrate.check(database_url)
    assert missing == NAMES
    assert await value(database_url, "select to_regclass('public.pike_economic_migrations')") is None


async def test_a_file_changed_after_it_was_applied_is_refused(migrated_database_url: str) -> None:
    await execute(migrated_database_url, "update public.pike_economic_migrations set checksum = 'x' where version = 2")
    with pytest.raises(SchemaMismatch, match=f"{NAMES[1]} was changed after it was applied"):
        await migrate.check(migrated_database_url)


async def test_a_newer_database_is_refused(migrated_database_url: str) -> None:
    await execute(
        migrated_database_url,
        "insert into public.pike_economic_migrations (version, name, checksum) values (99, '0099_later.sql', 'x')",
    )
    with pytest.raises(SchemaMismatch, match="is at migration 99"):
        await migrate.check(migrated_database_url)


async def test_many_processes_migrate_at_once_and_each_file_is_applied_once(database_url: str) -> None:
    applied = await asyncio.gather(*(migrate.migrate(database_url) for _ in range(4)))
    assert sorted(applied, key=len) == [[], [], [], NAMES]


async def test_a_failing_migration_rolls_back_and_is_not_recorded(
    migrated_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_one_more(monkeypatch, "create table public.half (id int); select 1 / 0;")
    with pytest.raises(SchemaMismatch, match=f"{NEXT} failed and was rolled back: division by zero"):
        await migrate.migrate(migrated_database_url)
    assert await value(migrated_database_url, "select to_regclass('public.half')") is None
    assert await value(migrated_database_url, "select max(version) from public.pike_economic_migrations") == len(NAMES)


async def test_a_migration_that_cannot_be_recorded_is_rolled_back(
    migrated_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil = f"insert into public.pike_economic_migrations (version, name, checksum) values ({len(NAMES) + 1}, 'x', 'x')"
    with_one_more(monkeypatch, f"create table public.half (id int); {spoil};")
    with pytest.raises(SchemaMismatch):
        await migrate.migrate(migrated_database_url)
    assert await value(migrated_database_url, "select to_regclass('public.half')") is None


async def test_a_corrected_migration_is_applied_after_the_failure(
    migrated_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        with_one_more(broken, "select 1 / 0;")
        with pytest.raises(SchemaMismatch):
            await migrate.migrate(migrated_database_url)
    with_one_more(monkeypatch, "create table public.whole (id int);")
    assert await migrate.migrate(migrated_database_url) == [NEXT]


async def test_a_database_that_is_not_there_is_named_without_its_password() -> None:
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1/pike") as caught:
        await migrate.migrate("postgresql://pike:geheim@127.0.0.1:1/pike")
    assert "geheim" not in str(caught.value)


_KILLED = """
import asyncio, sys
SLOW = "create table public.half (id int); select pg_sleep(600)"
from worker.store import migrate
from worker.store.migrate import Migration
known = migrate.load()
n = len(known)
migrate.load = lambda: [*known, Migration(n + 1, f"{n + 1:04}_whole.sql", "create table public.whole (id int)"),
                        Migration(n + 2, f"{n + 2:04}_slow.sql", SLOW)]
asyncio.run(migrate.migrate(sys.argv[1]))
"""


_SLEEPING = """
select pid from pg_stat_activity
where query like '%pg_sleep(600)%' and pid <> pg_backend_pid() and datname = current_database()
"""


async def test_a_migrate_that_is_killed_leaves_whole_files_and_the_next_run_goes_on(
    migrated_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", _KILLED, migrated_database_url)

    async def sleeping() -> object:
        return await value(migrated_database_url, _SLEEPING)

    await eventually(sleeping)
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    assert await value(migrated_database_url, "select to_regclass('public.whole')") == "whole"
    assert await value(migrated_database_url, "select to_regclass('public.half')") is None
    known = migrate.load()
    healed = [
        *known,
        Migration(len(known) + 1, f"{len(known) + 1:04}_whole.sql", "create table public.whole (id int)"),
        Migration(len(known) + 2, f"{len(known) + 2:04}_slow.sql", "create table public.half (id int)"),
    ]
    monkeypatch.setattr(migrate, "load", lambda: healed)
    assert await migrate.migrate(migrated_database_url) == [healed[-1].name]
    assert await migrate.check(migrated_database_url) == []


async def test_a_migration_waits_for_a_table_in_moments_and_nobody_waits_long_behind_it(
    migrated_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report that takes long holds the migration back; whoever reads meanwhile is not held back by the migration."""
    with_one_more(monkeypatch, "alter table pike.products add column more int")
    report, reader = await asyncpg.connect(migrated_database_url), await asyncpg.connect(migrated_database_url)
    try:
        transaction = report.transaction()
        await transaction.start()
        await report.execute("select count(*) from pike.products")
        migrating = asyncio.create_task(migrate.migrate(migrated_database_url))
        longest, began = 0.0, time.monotonic()
        while time.monotonic() - began < 3:
            asked = time.monotonic()
            await reader.fetchval("select count(*) from pike.products")
            longest = max(longest, time.monotonic() - asked)
            await asyncio.sleep(0.01)
        assert not migrating.done()
        assert 0.1 < longest < 10, "it was held back for a moment at least once, and never for as long as the report"
        await transaction.rollback()
        assert await asyncio.wait_for(migrating, 20) == [NEXT]
    finally:
        await report.close()
        await reader.close()


async def test_a_migration_that_never_gets_its_lock_says_who_holds_it(
    migrated_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_one_more(monkeypatch, "alter table pike.products add column more int")
    monkeypatch.setattr(migrate, "_TRIES", 2)
    monkeypatch.setattr(migrate, "_PAUSE_S", 0.01)
    report = await asyncpg.connect(migrated_database_url, server_settings={"application_name": "monthly report"})
    try:
        async with report.transaction():
            await report.execute("select count(*) from pike.products")
            with pytest.raises(StoreUnavailable, match=r"changed nothing.*\(monthly report\), open since .* UTC"):
                await migrate.migrate(migrated_database_url)
    finally:
        await report.close()
    assert await migrate.migrate(migrated_database_url) == [NEXT]


async def test_another_migrate_that_takes_too_long_is_said(
    migrated_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "_TURN_WAIT", "100ms")
    other = await asyncpg.connect(migrated_database_url)
    try:
        await other.execute("select pg_advisory_lock($1)", migrate._LOCK)
        with pytest.raises(StoreUnavailable, match="another pike-economic migrate has been at work"):
            await migrate.migrate(migrated_database_url)
    finally:
        await other.close()


def test_the_tables_that_migrations_leave_are_known() -> None:
    found = migrate.relations(migrate.load())
    assert {"economic.inbox", "pike.invoices", "pike_reporting.sync_status"} <= set(found)
    dropped = Migration(1, "0001_x.sql", "create table a.b (id int);\ndrop table a.b;\ncreate view a.c as select 1;")
    assert migrate.relations([dropped]) == ["a.c"]
