"""A kind of record added by ``economic.add_entity`` has everything that the kinds of before have."""

import asyncpg
import pytest
from store_kit import AGREEMENT, LATER, NOON, WS

from schemas.base import Strict
from schemas.kinds import LIST_OF
from worker.store import records
from worker.store.pool import Database
from worker.store.tables import Table

LOCKED = "PE001"


class PikeUnit(Strict):
    external_number: str
    name: str
    decimals: int | None = None
    barred: bool = False


UNITS = Table("unit", "pike.units", Table.of("product", PikeUnit).columns, locked=True)  # type: ignore[arg-type]


async def write(database: Database, *units: PikeUnit, as_of: object = NOON) -> list[records.Written]:
    async with database.transaction("test") as connection:
        return await records.upsert(connection, UNITS, WS, AGREEMENT, units, as_of)  # type: ignore[arg-type]


@pytest.fixture
def module_database_url(migrated_database_url: str) -> str:
    """A database per test: a table stays, where rows can be removed."""
    return migrated_database_url


@pytest.fixture(autouse=True)
async def units(database: Database) -> None:
    async with database.transaction("test") as connection:
        await connection.execute("create table pike.units (name text not null, decimals int)")
        await connection.execute("call economic.add_entity('unit', 'units', 'decimals')")


async def test_migrations_and_code_name_the_same_kinds(pike: asyncpg.Connection) -> None:
    rows = await pike.fetch("select entity, table_name from economic.entities where entity <> 'unit'")
    assert {row["entity"]: row["table_name"] for row in rows} == LIST_OF


async def test_rows_are_written_newer_wins_and_changes_come_back(database: Database) -> None:
    (created,) = await write(database, PikeUnit(external_number="1", name="Stk"))
    (changed,) = await write(database, PikeUnit(external_number="1", name="stk.", barred=True), as_of=LATER)
    assert created.created
    assert {change.field: (change.old, change.new) for change in changed.changes} == {
        "name": ("Stk", "stk."),
        "barred": (False, True),
        "active": (True, False),
    }
    assert await write(database, PikeUnit(external_number="1", name="late"), as_of=NOON) == []


async def test_linked_rows_are_locked_but_for_what_a_person_may_change(
    database: Database, pike: asyncpg.Connection
) -> None:
    await write(database, PikeUnit(external_number="1", name="Stk"))
    await pike.execute("update pike.units set decimals = 2")
    with pytest.raises(
        asyncpg.PostgresError, match=r"Unit 1 is in e-conomic and cannot be edited in Pike: name\."
    ) as no:
        await pike.execute("update pike.units set name = 'mine'")
    assert no.value.sqlstate == LOCKED
    with pytest.raises(asyncpg.PostgresError, match="external_number can only be set by the e-conomic sync"):
        await pike.execute("insert into pike.units (workspace_id, name, external_number) values ('ws', 'x', '2')")
    await pike.execute("insert into pike.units (workspace_id, name) values ('ws', 'own')")
    assert await pike.fetchval("select count(*) from pike.units") == 2


async def test_it_is_in_the_views_and_row_security_holds(database: Database, pike: asyncpg.Connection) -> None:
    await write(database, PikeUnit(external_number="1", name="Stk"))
    status = await pike.fetch("select entity, linked from pike_reporting.sync_status where workspace_id = $1", WS)
    assert [tuple(row) for row in status] == [("unit", 1)]
    assert await pike.fetchval("select relrowsecurity from pg_class where oid = 'pike.units'::regclass")
    assert await pike.fetchval("select count(*) from pg_policies where tablename = 'units'") == 1


async def test_views_keep_their_columns(pike: asyncpg.Connection, database: Database) -> None:
    columns = """select string_agg(attname || ' ' || atttypid::regtype, ', ' order by attnum)
                 from pg_attribute where attrelid = $1::regclass and attnum > 0"""
    names = ("pike_reporting.sync_status", "pike_reporting.economic_tags")
    before = [await pike.fetchval(columns, name) for name in names]
    async with database.transaction("test") as connection:
        await connection.execute("call economic.rebuild_entity_views()")
    assert [await pike.fetchval(columns, name) for name in names] == before
    assert before[0].startswith("workspace_id text, entity text, records bigint")
