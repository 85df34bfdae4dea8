"""Migrations: applied once, in order, under a lock; history and files must agree or nothing starts."""

import asyncio

import asyncpg
import pytest

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
