"""Upserts: one statement per page, newer wins, what is not e-conomic's is never touched."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from store_kit import AGREEMENT, LATER, NOON, WS, customer, invoice, line, product

from worker.mapping.push import reference_for
from worker.store import invoices, records
from worker.store.pool import Database
from worker.store.tables import CUSTOMERS, PRODUCTS


async def put(database: Database, *products: Any, as_of: Any = NOON) -> list[records.Written]:
    async with database.transaction("test") as connection:
        return await records.upsert(connection, PRODUCTS, WS, AGREEMENT, products, as_of)


async def put_invoices(database: Database, *documents: Any, as_of: Any = NOON, **more: Any) -> list[records.Written]:
    async with database.transaction("test") as connection:
        return await invoices.upsert_invoices(connection, WS, AGREEMENT, documents, as_of, **more)


@asynccontextmanager
async def counted(database: Database) -> AsyncIterator[tuple[Any, list[str]]]:
    """A transaction with the texts of the statements that run in it."""
    seen: list[str] = []
    async with database.transaction("test") as connection:

        def note(record: Any) -> None:
            if "pike." in record.query:  # the driver's own look-ups of types are none of ours
                seen.append(record.query)

        with connection.query_logger(note):
            yield connection, seen


@pytest.mark.requirement("R10")
async def test_a_page_of_products_is_one_statement(database: Database) -> None:
    async with counted(database) as (connection, seen):
        await records.upsert(connection, PRODUCTS, WS, AGREEMENT, [product(str(n)) for n in range(500)], NOON)
    assert len(seen) == 1


async def test_a_page_of_customers_is_one_statement(database: Database) -> None:
    async with counted(database) as (connection, seen):
        await records.upsert(connection, CUSTOMERS, WS, AGREEMENT, [customer(str(n)) for n in range(500)], NOON)
    assert len(seen) == 1


async def test_a_page_of_invoices_is_as_many_statements_as_one_invoice(database: Database) -> None:
    async with counted(database) as (connection, one):
        await invoices.upsert_invoices(connection, WS, AGREEMENT, [invoice(1)], NOON)
    async with counted(database) as (connection, many):
        await invoices.upsert_invoices(connection, WS, AGREEMENT, [invoice(n) for n in range(2, 300)], NOON)
    assert len(many) == len(one)


async def test_newer_state_overwrites(database: Database, pike: asyncpg.Connection) -> None:
    await put(database, product("1", price="10.00"), as_of=NOON)
    await put(database, product("1", price="11.00"), as_of=LATER)
    assert await pike.fetchval("select price from pike.products") == Decimal("11.00")


async def test_older_state_that_arrives_late_changes_nothing(database: Database, pike: asyncpg.Connection) -> None:
    await put(database, product("1", price="11.00"), as_of=LATER)
    written = await put(database, product("1", price="10.00"), as_of=NOON)
    assert (written, await pike.fetchval("select price from pike.products")) == ([], Decimal("11.00"))


async def test_the_same_state_again_is_no_change(database: Database) -> None:
    await put(database, product("1"))
    (again,) = await put(database, product("1"), as_of=LATER)
    assert (again.created, again.changes) == (False, ())


@pytest.mark.requirement("B14")
async def test_an_upsert_says_which_fields_changed_from_what_to_what(database: Database) -> None:
    await put(database, product("1", name="Før", unit="stk."))
    (written,) = await put(database, product("1", name="Efter", unit="stk."), as_of=LATER)
    assert [change.as_dict() for change in written.changes] == [{"field": "name", "old": "Før", "new": "Efter"}]


@pytest.mark.requirement("R1")
async def test_one_number_is_one_row_per_workspace_and_agreement(database: Database, pike: asyncpg.Connection) -> None:
    async with database.transaction("test") as connection:
        for workspace, agreement in ((WS, 77), (WS, 78), ("other", 77), (WS, 77)):
            await records.upsert(connection, PRODUCTS, workspace, agreement, [product("1")], NOON)
    assert await pike.fetchval("select count(*) from pike.products") == 3


@pytest.mark.requirement("R30")
async def test_a_local_deactivation_is_not_undone_by_an_upsert(database: Database, pike: asyncpg.Connection) -> None:
    await put(database, product("1"))
    await pike.execute("update pike.products set active = false")
    await put(database, product("1", name="Ny"), as_of=LATER)
    assert await pike.fetchval("select active from pike.products") is False


@pytest.mark.requirement("R11")
async def test_barring_and_unbarring_move_active(database: Database, pike: asyncpg.Connection) -> None:
    await put(database, product("1"))
    await put(database, product("1", barred=True), as_of=LATER)
    barred = await pike.fetchval("select active from pike.products")
    await put(database, product("1"), as_of=LATER)
    assert (barred, await pike.fetchval("select active from pike.products")) == (False, True)


@pytest.mark.requirement("R2")
async def test_an_upsert_never_touches_the_project(database: Database, pike: asyncpg.Connection) -> None:
    await put_invoices(database, invoice(1))
    await pike.execute("update pike.invoices set project_id = 'P-1'")
    await put_invoices(database, invoice(1, title="Anden titel"), as_of=LATER)
    assert await pike.fetchval("select project_id from pike.invoices") == "P-1"


@pytest.mark.requirement("R21")
async def test_draft_and_booked_invoice_of_one_number_are_two_rows(
    database: Database, pike: asyncpg.Connection
) -> None:
    await put_invoices(database, invoice(485, draft=True))
    await put_invoices(database, invoice(485))
    assert await pike.fetchval("select count(*) from pike.invoices") == 2


@pytest.mark.requirement("R21")
async def test_a_booked_document_takes_over_the_draft_it_came_from_by_our_marker(
    database: Database, pike: asyncpg.Connection
) -> None:
    mine = uuid4()
    await put_invoices(database, invoice(5, draft=True, reference=reference_for(AGREEMENT, mine)))
    await put_invoices(database, invoice(900, reference=reference_for(AGREEMENT, mine)), as_of=LATER)
    rows = await pike.fetch("select id, external_number, booked_number, draft_number, status from pike.invoices")
    assert [tuple(row) for row in rows] == [(mine, "900", 900, 5, "booked")]


@pytest.mark.requirement("R21")
async def test_a_booked_document_takes_over_a_foreign_draft_by_its_order_number(
    database: Database, pike: asyncpg.Connection
) -> None:
    (draft,) = await put_invoices(database, invoice(5, draft=True, customer_number="1"))
    await put_invoices(database, invoice(900, customer_number="1"), as_of=LATER, order_numbers={"900": 5})
    assert [row["id"] for row in await pike.fetch("select id from pike.invoices")] == [draft.id]


@pytest.mark.requirement("R21")
@pytest.mark.parametrize("other", [{"customer_number": "2"}, {"net_amount": "99.00"}])
async def test_an_order_number_alone_proves_nothing(
    database: Database, pike: asyncpg.Connection, other: dict[str, str]
) -> None:
    await put_invoices(database, invoice(5, draft=True, customer_number="1"))
    await put_invoices(
        database, invoice(900, **{"customer_number": "1", **other}), as_of=LATER, order_numbers={"900": 5}
    )
    assert await pike.fetchval("select count(*) from pike.invoices") == 2


@pytest.mark.requirement("R21")
async def test_a_draft_page_read_before_the_booking_makes_no_second_invoice(
    database: Database, pike: asyncpg.Connection
) -> None:
    mine = uuid4()
    draft = invoice(5, draft=True, reference=reference_for(AGREEMENT, mine))
    await put_invoices(database, draft)
    await put_invoices(database, invoice(900, reference=reference_for(AGREEMENT, mine)), as_of=LATER)
    await put_invoices(database, draft)
    assert [tuple(r) for r in await pike.fetch("select external_number, status from pike.invoices")] == [
        ("900", "booked")
    ]


async def test_lines_that_are_gone_are_removed_and_the_others_keep_their_ids(
    database: Database, pike: asyncpg.Connection
) -> None:
    await put_invoices(database, invoice(1))
    before = await pike.fetchval("select id from pike.invoice_lines where position = 1")
    await put_invoices(database, invoice(1, lines=(line(1, "55.00"),)), as_of=LATER)
    assert [tuple(r) for r in await pike.fetch("select id, net_amount from pike.invoice_lines")] == [
        (before, Decimal("55.00"))
    ]


async def test_a_header_without_lines_leaves_the_lines_it_has(database: Database, pike: asyncpg.Connection) -> None:
    await put_invoices(database, invoice(1))
    await put_invoices(database, invoice(1, lines=None), as_of=LATER)
    assert await pike.fetchval("select count(*) from pike.invoice_lines") == 2


async def test_unchanged_lines_cost_no_write(database: Database, pike: asyncpg.Connection) -> None:
    await put_invoices(database, invoice(1))
    before = await pike.fetch("select xmin::text from pike.invoice_lines")
    await put_invoices(database, invoice(1, title="Anden titel"), as_of=LATER)
    assert await pike.fetch("select xmin::text from pike.invoice_lines") == before


@pytest.mark.requirement("R27")
async def test_tax_rates_are_upserted_by_rate_and_name(database: Database, pike: asyncpg.Connection) -> None:
    await put_invoices(database, invoice(1))
    await put_invoices(database, invoice(2))
    rows = await pike.fetch("select name, rate, vat_code, agreement_number from pike.tax_rates")
    assert [tuple(row) for row in rows] == [("25 %", Decimal(25), "U25", AGREEMENT)]


@pytest.mark.requirement("R29")
async def test_a_noted_attempt_leaves_the_last_success(database: Database, pike: asyncpg.Connection) -> None:
    (written,) = await put(database, product("1"))
    before = await pike.fetchrow("select last_synced_at, last_attempt_at, name from pike.products")
    async with database.transaction("test") as connection:
        await records.note_attempt(connection, "product", WS, written.id, {"cause": "not_found"})
    after = await pike.fetchrow("select last_synced_at, last_attempt_at, name from pike.products")
    assert (after["last_synced_at"], after["name"]) == (before["last_synced_at"], before["name"])
    assert after["last_attempt_at"] > before["last_attempt_at"]
