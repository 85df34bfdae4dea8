"""R30, R31: the database itself refuses edits of what e-conomic rules, whoever asks and however."""

import asyncpg
import pytest
from store_kit import AGREEMENT, NOON, WS, customer, invoice, product

from worker.store import invoices, records
from worker.store.pool import Database
from worker.store.tables import CUSTOMERS, PRODUCTS

LOCKED = "PE001"


@pytest.fixture(autouse=True)
async def rows(database: Database) -> None:
    async with database.transaction("test") as connection:
        await records.upsert(connection, PRODUCTS, WS, AGREEMENT, [product("1")], NOON)
        await records.upsert(connection, CUSTOMERS, WS, AGREEMENT, [customer("1")], NOON)
        await invoices.upsert_invoices(connection, WS, AGREEMENT, [invoice(10)], NOON)
        await connection.execute("insert into pike.products (workspace_id, name) values ('ws', 'Egen')")
        await connection.execute("insert into pike.invoices (workspace_id, title) values ('ws', 'Egen')")


async def refusal(pike: asyncpg.Connection, sql: str) -> asyncpg.PostgresError:
    with pytest.raises(asyncpg.PostgresError) as caught:
        await pike.execute(sql)
    assert caught.value.sqlstate == LOCKED, caught.value
    return caught.value


@pytest.mark.requirement("R30")
@pytest.mark.parametrize(
    "change",
    ["name = 'x'", "price = 1", "sku = 'x'", "finance_account = 1", "external_number = null", "locked = false"],
)
async def test_a_synced_product_cannot_be_edited(pike: asyncpg.Connection, change: str) -> None:
    await refusal(pike, f"update pike.products set {change} where external_number = '1'")


@pytest.mark.requirement("R30")
async def test_the_refusal_names_the_product_and_the_fields_and_says_what_to_do(pike: asyncpg.Connection) -> None:
    error = await refusal(pike, "update pike.products set name = 'x', price = 1 where external_number = '1'")
    assert error.args[0] == "Product 1 is in e-conomic and cannot be edited in Pike: name, price."
    assert error.hint == "Change the product in e-conomic and press Refresh."  # type: ignore[attr-defined]


@pytest.mark.requirement("R30")
async def test_a_synced_product_cannot_be_deleted(pike: asyncpg.Connection) -> None:
    await refusal(pike, "delete from pike.products where external_number = '1'")


@pytest.mark.requirement("R30")
async def test_a_bulk_edit_that_meets_one_synced_product_changes_none(pike: asyncpg.Connection) -> None:
    await refusal(pike, "update pike.products set name = 'x'")
    assert await pike.fetchval("select count(*) from pike.products where name = 'x'") == 0


@pytest.mark.requirement("R30")
async def test_a_csv_copied_over_synced_rows_is_refused(pike: asyncpg.Connection) -> None:
    await pike.execute("create temp table csv (number text, name text); insert into csv values ('1', 'fra CSV')")
    await refusal(pike, "update pike.products p set name = csv.name from csv where p.external_number = csv.number")


@pytest.mark.requirement("R30")
async def test_a_synced_product_may_be_deactivated_and_activated(pike: asyncpg.Connection) -> None:
    await pike.execute("update pike.products set active = false where external_number = '1'")
    await pike.execute("update pike.products set active = true where external_number = '1'")


@pytest.mark.requirement("R30")
async def test_a_write_of_the_same_values_is_no_edit(pike: asyncpg.Connection) -> None:
    await pike.execute("update pike.products set name = name where external_number = '1'")


@pytest.mark.requirement("R30")
async def test_pikes_own_product_stays_editable(pike: asyncpg.Connection) -> None:
    await pike.execute("update pike.products set name = 'Rettet' where external_number is null")
    await pike.execute("delete from pike.products where external_number is null")


@pytest.mark.requirement("R31")
@pytest.mark.parametrize(
    "change", ["title = 'x'", "due_date = now()", "status = 'paid'", "customer_id = null, net_amount = 1"]
)
async def test_a_synced_invoice_cannot_be_edited(pike: asyncpg.Connection, change: str) -> None:
    await refusal(pike, f"update pike.invoices set {change} where booked_number = 10")


@pytest.mark.requirement("R31", "R2")
async def test_the_project_of_a_synced_invoice_may_be_set(pike: asyncpg.Connection) -> None:
    await pike.execute("update pike.invoices set project_id = 'P-1' where booked_number = 10")


@pytest.mark.requirement("R31")
async def test_a_synced_invoice_cannot_be_deleted(pike: asyncpg.Connection) -> None:
    await refusal(pike, "delete from pike.invoices where booked_number = 10")


@pytest.mark.requirement("R31")
@pytest.mark.parametrize(
    "sql",
    [
        "update pike.invoice_lines set quantity = 7 where position = 1",
        "delete from pike.invoice_lines where position = 1",
        "insert into pike.invoice_lines (invoice_id, position) select invoice_id, 9 from pike.invoice_lines limit 1",
        "update pike.invoice_lines set invoice_id = (select id from pike.invoices where booked_number is null)",
    ],
)
async def test_lines_of_a_synced_invoice_cannot_be_edited(pike: asyncpg.Connection, sql: str) -> None:
    await refusal(pike, sql)


@pytest.mark.requirement("R22")
async def test_an_invoice_with_an_unknown_outcome_is_frozen(pike: asyncpg.Connection) -> None:
    await pike.execute("update pike.invoices set status = 'outcome_unknown' where booked_number is null")
    await refusal(pike, "update pike.invoices set title = 'x' where booked_number is null")


@pytest.mark.requirement("R22")
@pytest.mark.parametrize("status", ["pending", "failed"])
async def test_an_invoice_that_is_not_in_economic_stays_editable(pike: asyncpg.Connection, status: str) -> None:
    await pike.execute("update pike.invoices set status = $1 where booked_number is null", status)
    await pike.execute("update pike.invoices set title = 'Rettet' where booked_number is null")


@pytest.mark.requirement("R32")
async def test_customers_are_not_on_the_lock_list(pike: asyncpg.Connection) -> None:
    await pike.execute("update pike.customers set name = 'Rettet' where external_number = '1'")
    assert await pike.fetchval("select name from pike.customers") == "Rettet"
