"""Lists for people: paged by key in both directions, of one workspace only, whatever is searched for."""

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from worker.store import import_history, lists, record_pages, workspaces
from worker.store.lists import FILTERS, Record
from worker.store.pool import Database

WS, OTHER = "ws-lists", "ws-other"
ODD = ("<script>alert(1)</script>", "'; drop table pike.products; --", "100 % æøå_", "\\", "x" * 100_000, "")
_LISTS: dict[str, Callable[..., Awaitable[list[Any]]]] = {
    "product": lists.products,
    "customer": lists.customers,
    "invoice": lists.invoices,
}


async def fill(pike: asyncpg.Connection, count: int) -> None:
    """Write as many products, customers and invoices into each of two workspaces; some share a name or a day."""
    for workspace in (WS, OTHER):
        for table in ("products", "customers"):
            await pike.execute(
                f"""insert into pike.{table} (workspace_id, name)
                    select $1, 'Name ' || i / 3 from generate_series(1, $2::int) i""",
                workspace,
                count,
            )
        await pike.execute(
            """insert into pike.invoices (workspace_id, title, issue_date, customer_id)
               select $1, 'Title ' || i, case when i % 10 > 0 then date '2026-01-01' + i / 4 end,
                      (select id from pike.customers where workspace_id = $1 and name = 'Name 1' limit 1)
               from generate_series(1, $2::int) i""",
            workspace,
            count,
        )


def key(row: Record) -> tuple[Any, Any]:
    return (row.key, row.id)


async def walk(database: Database, entity: str, **options: Any) -> list[list[Any]]:
    """Follow a list to its end; returns its pages."""
    pages: list[list[Any]] = []
    edge = None
    while True:
        async with database.connection("list") as connection:
            found = await _LISTS[entity](connection, WS, edge=edge, **options)
        pages.append(found[: lists.PAGE])
        if len(found) <= lists.PAGE:
            return pages
        edge = key(pages[-1][-1])


@pytest.mark.parametrize("entity", ["product", "customer", "invoice"])
async def test_pages_have_every_record_of_the_workspace_once_and_in_order(
    database: Database, pike: asyncpg.Connection, entity: str
) -> None:
    await fill(pike, 130)
    pages = await walk(database, entity)
    ids = [row.id for page in pages for row in page]
    assert [len(page) for page in pages] == [50, 50, 30]
    known = await pike.fetch(f"select id from pike.{entity}s where workspace_id = $1", WS)
    assert sorted(ids) == sorted(row["id"] for row in known)
    keys = [key(row) for page in pages for row in page]
    assert keys == sorted(keys, reverse=entity == "invoice")


@pytest.mark.parametrize("entity", ["product", "customer", "invoice"])
async def test_going_back_shows_the_page_before(database: Database, pike: asyncpg.Connection, entity: str) -> None:
    await fill(pike, 130)
    pages = await walk(database, entity)
    async with database.connection("list") as connection:
        back = await _LISTS[entity](connection, WS, edge=key(pages[2][0]), backwards=True)
    assert [row.id for row in back[: lists.PAGE]][::-1] == [row.id for row in pages[1]]


async def test_an_invoice_without_a_date_comes_first(database: Database, pike: asyncpg.Connection) -> None:
    await fill(pike, 40)
    async with database.connection("list") as connection:
        found = await lists.invoices(connection, WS)
    assert [row.issue_date for row in found[:5]] == [None] * 4 + [date(2026, 1, 10)]


@pytest.mark.parametrize("entity", ["product", "customer", "invoice"])
async def test_each_filter_shows_what_its_condition_says(
    database: Database, pike: asyncpg.Connection, entity: str
) -> None:
    await fill(pike, 20)
    await pike.execute("set session_replication_role = replica")
    problem = '\'{"user_message": "No."}\'::jsonb'
    await pike.execute(
        f"""with few as (select id from pike.{entity}s where workspace_id = $1 order by id limit 3)
                           update pike.{entity}s set last_problem = {problem} where id in (select id from few)""",
        WS,
    )
    if entity == "invoice":
        for place, status in enumerate(("draft", "booked", "paid", "failed", "outcome_unknown")):
            await pike.execute(
                """with few as (select id from pike.invoices where workspace_id = $1 order by id offset $3 limit 2)
                   update pike.invoices set status = $2, remainder = 10, due_date = date '2020-01-01'
                   where id in (select id from few)""",
                WS, status, place * 2,
            )  # fmt: skip
    async with database.connection("list") as connection:
        for name, condition in FILTERS[entity].items():  # type: ignore[index]
            found = await _LISTS[entity](connection, WS, narrow=name)
            expected = await pike.fetchval(
                f"select count(*) from pike.{entity}s r where workspace_id = $1 and {condition}", WS
            )
            assert len(found) == expected, name
        assert len(await _LISTS[entity](connection, WS, narrow="problem")) == 3


@pytest.mark.parametrize("text", ODD[:4])
async def test_a_search_finds_a_name_whatever_signs_are_in_it(
    database: Database, pike: asyncpg.Connection, text: str
) -> None:
    await fill(pike, 10)
    await pike.execute("insert into pike.products (workspace_id, name) values ($1, $2)", WS, f"before {text} after")
    async with database.connection("list") as connection:
        found = await lists.products(connection, WS, search=text)
    assert [row.name for row in found] == [f"before {text} after"]


async def test_names_of_any_length_can_be_kept_and_listed(database: Database, pike: asyncpg.Connection) -> None:
    for text in ODD:
        await pike.execute("insert into pike.products (workspace_id, name) values ($1, $2)", WS, text)
        await pike.execute("insert into pike.customers (workspace_id, name) values ($1, $2)", WS, text)
        await pike.execute("insert into pike.invoices (workspace_id, title) values ($1, $2)", WS, text)
    async with database.connection("list") as connection:
        for page in _LISTS.values():
            assert {row.name for row in await page(connection, WS)} == set(ODD)


async def test_invoices_are_found_by_number_and_by_customer_of_the_workspace_only(
    database: Database, pike: asyncpg.Connection
) -> None:
    await fill(pike, 10)
    await pike.execute("set session_replication_role = replica")
    await pike.execute("update pike.invoices set external_number = '77' where title = 'Title 4'")
    async with database.connection("list") as connection:
        assert [row.name for row in await lists.invoices(connection, WS, search="77")] == ["Title 4"]
        assert len(await lists.invoices(connection, WS, search="name 1")) == 10
        assert await lists.invoices(connection, "ws-none", search="name 1") == []


async def test_a_record_of_another_workspace_is_not_found(database: Database, pike: asyncpg.Connection) -> None:
    await fill(pike, 3)
    foreign = await pike.fetchval("select id from pike.invoices where workspace_id = $1 limit 1", OTHER)
    await pike.execute(
        """insert into economic.audit (workspace_id, entity, entity_id, actor, changes)
           values ($1, 'invoice', $2, 'import:x', '[]')""",
        OTHER,
        foreign,
    )
    async with database.connection("record") as connection:
        assert await record_pages.find(connection, "invoice", WS, foreign) is None
        assert await record_pages.lines(connection, WS, foreign) == []
        assert await record_pages.history(connection, WS, foreign) == []
        assert len(await record_pages.history(connection, OTHER, foreign)) == 1


async def test_the_tag_is_that_of_the_connected_agreement(database: Database, pike: asyncpg.Connection) -> None:
    await pike.execute("set session_replication_role = replica")
    await pike.execute(
        """insert into economic.connections (id, workspace_id, agreement_number, company_name, base_currency, status,
                                             grant_sealed, grant_key_id)
           values (gen_random_uuid(), $1, 7, 'A', 'DKK', 'active', 'x', 'k')""",
        WS,
    )
    for number, agreement in (("1", 7), ("2", 8), (None, None)):
        await pike.execute(
            """insert into pike.products (workspace_id, name, external_number, agreement_number)
               values ($1, coalesce($2, 'own'), $2, $3)""",
            WS,
            number,
            agreement,
        )
    async with database.connection("list") as connection:
        tags = {row.name: row.tagged for row in await lists.products(connection, WS)}
        assert tags == {"1": True, "2": False, "own": False}
        await pike.execute("update economic.connections set status = 'closed', grant_sealed = null")
        assert not any(row.tagged for row in await lists.products(connection, WS))


async def test_workspaces_and_imports_are_paged_by_key(database: Database, pike: asyncpg.Connection) -> None:
    for number in range(7):
        await pike.execute(
            """insert into economic.connections
                   (id, workspace_id, agreement_number, company_name, base_currency, status)
               values (gen_random_uuid(), $1, $2, $3, 'DKK', 'closed')""",
            f"w-{number}", number, f"Firma {number} A/S",
        )  # fmt: skip
        await pike.execute(
            """insert into economic.imports (id, event_source, event_id, workspace_id, agreement_number, entities, mode,
                                             state, started_at, scheduled)
               values ($1, '/pike', $2, 'w-1', 1, '{products}', 'full', 'completed', $3, false),
                      ($4, '/worker', $5, 'w-1', 1, '{products}', 'changes', 'completed', $3, true)""",
            uuid4(), f"e-{number}", datetime(2026, 1, 1 + number // 2, tzinfo=UTC), uuid4(), f"round-{number}",
        )  # fmt: skip
    async with database.connection("lists") as connection:
        first = await workspaces.page(connection, limit=3)
        assert [row.workspace_id for row in first] == ["w-0", "w-1", "w-2", "w-3"]
        second = await workspaces.page(connection, limit=3, edge="w-2")
        assert [row.workspace_id for row in second] == ["w-3", "w-4", "w-5", "w-6"]
        back = await workspaces.page(connection, limit=3, edge="w-3", backwards=True)
        assert [row.workspace_id for row in back] == ["w-2", "w-1", "w-0"]
        assert [row.workspace_id for row in await workspaces.page(connection, search="FIRMA 4")] == ["w-4"]
        assert await workspaces.page(connection, states=["active"]) == []
        seen: list[str] = []
        edge = None
        while True:
            found = await import_history.page(connection, "w-1", edge, limit=2)
            seen += [row.event_id for row in found[:2]]
            if len(found) <= 2:
                break
            edge = (found[1].started_at, found[1].id)
        assert sorted(seen) == [f"e-{number}" for number in range(7)], (
            "what was asked for, none of the schedule's rounds"
        )
        assert await import_history.page(connection, "w-2") == []
