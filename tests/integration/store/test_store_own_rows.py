"""R30, R31: Pike makes rows of its own; what ties a row to e-conomic or to a workspace is not for Pike to write."""

from uuid import UUID, uuid4

import asyncpg
import pytest
from store_kit import AGREEMENT, NOON, WS, customer, invoice, product

from worker.store import customers, effects, invoices, own_invoices, ownership, records
from worker.store.pool import Database
from worker.store.tables import CUSTOMERS, PRODUCTS

OTHER = "ws-b"


@pytest.fixture(autouse=True)
async def rows(database: Database) -> None:
    async with database.transaction("test") as connection:
        await records.upsert(connection, PRODUCTS, WS, AGREEMENT, [product("1")], NOON)
        await records.upsert(connection, CUSTOMERS, WS, AGREEMENT, [customer("1")], NOON)
        await invoices.upsert_invoices(connection, WS, AGREEMENT, [invoice(10)], NOON)
        await connection.execute("insert into pike.products (workspace_id, name) values ('ws', 'Egen')")
        await connection.execute("insert into pike.customers (workspace_id, name) values ('ws', 'Egen')")
        await connection.execute("insert into pike.invoices (workspace_id, title) values ('ws', 'Egen')")


async def refusal(pike: asyncpg.Connection, sql: str) -> str:
    with pytest.raises(asyncpg.PostgresError) as caught:
        await pike.execute(sql)
    assert caught.value.sqlstate == "PE001", caught.value
    assert caught.value.hint  # type: ignore[attr-defined]
    return str(caught.value.args[0])


@pytest.mark.requirement("R30", "R31")
@pytest.mark.parametrize(
    ("table", "name"), [("products", "name"), ("customers", "name"), ("invoices", "title")], ids=lambda each: each
)
async def test_pike_inserts_rows_of_its_own(pike: asyncpg.Connection, table: str, name: str) -> None:
    await pike.execute(f"insert into pike.{table} (workspace_id, {name}) values ('{OTHER}', 'Egen')")
    await pike.execute(f"update pike.{table} set {name} = 'Rettet' where workspace_id = '{OTHER}'")
    assert await pike.fetchval(f"select {name} from pike.{table} where workspace_id = '{OTHER}'") == "Rettet"


@pytest.mark.requirement("R30", "R31")
@pytest.mark.parametrize(("table", "name"), [("products", "name"), ("customers", "name"), ("invoices", "title")])
@pytest.mark.parametrize(
    ("column", "value"),
    [("external_number", "'99'"), ("agreement_number", "77"), ("locked", "true"), ("last_synced_at", "now()")],
)
async def test_pike_cannot_insert_a_row_that_looks_synced(
    pike: asyncpg.Connection, table: str, name: str, column: str, value: str
) -> None:
    said = await refusal(
        pike, f"insert into pike.{table} (workspace_id, {name}, {column}) values ('ws', 'Falsk', {value})"
    )
    assert said.endswith(f": {column} can only be set by the e-conomic sync.")
    assert await pike.fetchval(f"select count(*) from pike.{table} where {name} = 'Falsk'") == 0


@pytest.mark.requirement("R31")
@pytest.mark.parametrize("column", ["booked_number", "draft_number"])
async def test_pike_cannot_number_an_invoice(pike: asyncpg.Connection, column: str) -> None:
    await refusal(pike, f"update pike.invoices set {column} = 11 where external_number is null")


@pytest.mark.requirement("R30", "R31")
@pytest.mark.parametrize("table", ["products", "invoices"])
@pytest.mark.parametrize("change", ["external_number = '99'", "agreement_number = 78", "locked = true"])
async def test_pike_cannot_link_its_own_row(pike: asyncpg.Connection, table: str, change: str) -> None:
    await refusal(pike, f"update pike.{table} set {change} where external_number is null")


@pytest.mark.requirement("R32")
async def test_a_person_may_link_a_customer(pike: asyncpg.Connection) -> None:
    await pike.execute(
        "update pike.customers set agreement_number = 77, external_number = '5' where external_number is null"
    )
    assert await pike.fetchval("select count(*) from pike.customers where external_number = '5'") == 1


@pytest.mark.parametrize("table", ["products", "customers", "invoices"])
async def test_a_row_does_not_move_to_another_workspace(pike: asyncpg.Connection, table: str) -> None:
    said = await refusal(pike, f"update pike.{table} set workspace_id = '{OTHER}' where external_number is null")
    assert "workspace_id" in said


async def test_an_invoice_cannot_point_at_a_customer_of_another_workspace(pike: asyncpg.Connection) -> None:
    said = await refusal(
        pike,
        f"""insert into pike.invoices (workspace_id, title, customer_id)
            select '{OTHER}', 'Falsk', id from pike.customers where workspace_id = 'ws' limit 1""",
    )
    assert "customer of this workspace" in said


async def test_a_line_cannot_point_at_a_product_of_another_workspace(pike: asyncpg.Connection) -> None:
    await pike.execute(f"insert into pike.invoices (workspace_id, title) values ('{OTHER}', 'Egen')")
    said = await refusal(
        pike,
        f"""insert into pike.invoice_lines (invoice_id, position, product_id)
            select i.id, 1, p.id from pike.invoices i, pike.products p
            where i.workspace_id = '{OTHER}' and p.workspace_id = 'ws' limit 1""",
    )
    assert "product of this workspace" in said


async def intend(database: Database, agreement: int, subject: UUID, workspace: str, step: effects.Step) -> bool:
    """Write an intent in a commit of its own."""
    async with database.transaction("test") as connection:
        return await effects.intend(
            connection, agreement=agreement, subject_id=subject, step=step, workspace_id=workspace,
            reference="Pike x", idempotency_key=str(uuid4()), body=b"{}", fence=1,
        )  # fmt: skip


async def refuse(database: Database, agreement: int, subject: UUID) -> None:
    """e-conomic said no."""
    async with database.transaction("test") as connection:
        await effects.record(connection, agreement=agreement, subject_id=subject, step="draft", state="refused")


@pytest.mark.requirement("B1")
async def test_an_invoice_is_intended_in_one_agreement_only(database: Database) -> None:
    subject = uuid4()
    assert await intend(database, 1, subject, WS, "draft")
    assert not await intend(database, 2, subject, WS, "draft")
    async with database.connection("test") as connection:
        found = await effects.elsewhere(connection, 2, subject)
        assert found == effects.Elsewhere(1, open=True)
        assert await effects.elsewhere(connection, 1, subject) is None
    await refuse(database, 1, subject)
    assert await intend(database, 2, subject, WS, "draft")


async def test_a_customer_may_be_made_in_each_agreement(database: Database) -> None:
    subject = uuid4()
    assert await intend(database, 1, subject, WS, "customer")
    assert await intend(database, 2, subject, WS, "customer")


@pytest.mark.requirement("B1")
async def test_a_refused_intent_of_another_workspace_is_not_taken_over(database: Database) -> None:
    subject = uuid4()
    assert await intend(database, 1, subject, WS, "draft")
    await refuse(database, 1, subject)
    assert not await intend(database, 1, subject, OTHER, "draft")
    assert await intend(database, 1, subject, WS, "draft")


async def test_an_id_belongs_to_the_workspace_that_used_it_first_even_without_a_row(database: Database) -> None:
    subject = uuid4()
    await intend(database, 1, subject, WS, "draft")
    mark = f"Pike {subject}"
    async with database.transaction("test") as connection:
        taken = await ownership.taken(
            connection, OTHER, invoice_id=subject, customer_id=uuid4(), product_ids=[], line_ids=[]
        )
        assert taken == {"invoice"}
        (theirs,) = await invoices.upsert_invoices(connection, OTHER, 1, [invoice(5, draft=True, reference=mark)], NOON)
        assert theirs.id != subject
        (ours,) = await invoices.upsert_invoices(connection, WS, 1, [invoice(5, draft=True, reference=mark)], NOON)
        assert ours.id == subject


async def test_only_its_own_workspace_holds_an_invoice(database: Database) -> None:
    async with database.transaction("test") as connection:
        mine = await connection.fetchval("select id from pike.invoices where workspace_id = 'ws' limit 1")
        assert await own_invoices.hold(connection, WS, mine)
        assert not await own_invoices.hold(connection, OTHER, mine)
        assert not await own_invoices.hold(connection, WS, uuid4())


async def test_links_reach_no_customer_of_another_workspace(database: Database) -> None:
    async with database.transaction("test") as connection:
        own = await connection.fetchval("select id from pike.customers where external_number is null")
        assert await customers.link(connection, OTHER, AGREEMENT, {own: "9"}) == []
        assert await customers.link(connection, WS, AGREEMENT, {own: "9"}) == [own]
