"""Refresh: one record by id or number, nothing else; a failed one leaves data and last success as they are."""

from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from harness import WORKSPACE, Harness

from worker.mapping.push import reference_for
from worker.sandbox import Agreement, Sandbox


async def row_of(running: Harness, table: str, number: object, where: str = "true") -> dict[str, Any]:
    rows = await running.rows(f"select * from pike.{table} where external_number = $1 and {where}", str(number))
    assert len(rows) == 1
    return rows[0]


async def book(running: Harness, draft: int) -> int:
    """Book a draft as a person in e-conomic does; returns the invoice number."""
    headers = {
        "X-AppSecretToken": running.sandbox.app_secret_token,
        "X-AgreementGrantToken": running.agreement.grant_token,
    }
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(
            f"{running.sandbox.legacy_url}/invoices/booked", json={"draftInvoice": {"draftInvoiceNumber": draft}}
        ) as answer,
    ):
        assert answer.status == 201, await answer.text()
        return int((await answer.json())["bookedInvoiceNumber"])


def bookable(agreement: Agreement) -> int:
    """A draft that e-conomic would book: nothing on it is barred, its period is open."""
    return next(
        draft.number
        for draft in agreement.drafts
        if any(line.product for line in draft.lines)
        and not agreement.customers[draft.customer].barred
        and not any(agreement.products[line.product].barred for line in draft.lines if line.product)
    )


@pytest.mark.requirement("R13", "R28")
async def test_a_product_is_refreshed_by_id(running: Harness, agreement: Agreement) -> None:
    await running.import_all("products")
    agreement.set_price("1", Decimal("12.34"))
    row = await row_of(running, "products", 1)
    await running.refresh("product", id=str(row["id"]))
    assert (await row_of(running, "products", 1))["price"] == Decimal("12.34")


@pytest.mark.requirement("R28", "R32")
async def test_a_customer_is_refreshed_by_number(running: Harness, agreement: Agreement) -> None:
    await running.import_all("customers")
    agreement.rename_customer(2, "Nyt Navn A/S")
    await running.refresh("customer", external_number="2")
    assert (await row_of(running, "customers", 2))["name"] == "Nyt Navn A/S"


@pytest.mark.requirement("R28")
async def test_a_booked_invoice_is_refreshed_by_number(running: Harness, agreement: Agreement) -> None:
    await running.import_all("invoices")
    unpaid = next(i.number for i in agreement.booked if i.remainder != 0)
    agreement.register_payment(unpaid)
    await running.refresh("invoice", external_number=str(unpaid))
    row = await row_of(running, "invoices", unpaid, "booked_number is not null")
    assert (row["status"], row["remainder"]) == ("paid", 0)


@pytest.mark.requirement("R28")
async def test_the_answer_lists_what_changed_old_and_new(running: Harness, agreement: Agreement) -> None:
    await running.import_all("customers")
    old = agreement.customers[2].name
    agreement.rename_customer(2, "Nyt Navn A/S")
    done = await running.refresh("customer", external_number="2")
    assert [(c.field, c.old, c.new) for c in done.data.changes] == [("name", old, "Nyt Navn A/S")]


@pytest.mark.requirement("R28")
async def test_an_unchanged_record_is_answered_with_no_changes(running: Harness) -> None:
    await running.import_all("products")
    done = await running.refresh("product", external_number="1")
    assert (done.type, done.data.changes) == ("economic.refresh.completed", ())


@pytest.mark.requirement("R29")
async def test_a_refresh_moves_last_synced_even_when_nothing_changed(running: Harness) -> None:
    await running.import_all("products")
    before = await row_of(running, "products", 1)
    await running.refresh("product", external_number="1")
    assert (await row_of(running, "products", 1))["last_synced_at"] > before["last_synced_at"]


@pytest.mark.requirement("R28")
@pytest.mark.parametrize("entity", ["product", "customer", "invoice"])
async def test_a_number_pike_does_not_have_yet_is_imported(running: Harness, agreement: Agreement, entity: str) -> None:
    number = "10001" if entity == "invoice" else "1"
    done = await running.refresh(entity, external_number=number)
    row = await row_of(running, f"{entity}s", number)
    assert (done.data.id, row["agreement_number"]) == (row["id"], agreement.number)


@pytest.mark.requirement("R28", "R21")
async def test_a_draft_pike_does_not_have_yet_is_imported(running: Harness, agreement: Agreement) -> None:
    number = next(iter(agreement.drafts.rows))
    await running.refresh("invoice", external_number=str(number), document="draft")
    assert (await row_of(running, "invoices", number))["status"] == "draft"


@pytest.mark.requirement("R24", "R25")
async def test_a_refreshed_invoice_brings_its_customer_and_products(running: Harness, agreement: Agreement) -> None:
    invoice = next(i for i in agreement.booked if i.customer in agreement.customers)
    await running.refresh("invoice", external_number=str(invoice.number))
    customers = await running.rows("select external_number from pike.customers")
    products = await running.rows("select external_number from pike.products")
    assert {row["external_number"] for row in customers} == {str(invoice.customer)}
    assert {row["external_number"] for row in products} == {line.product for line in invoice.lines if line.product}


@pytest.mark.requirement("R24")
async def test_a_refreshed_invoice_of_a_deleted_customer_makes_it_from_the_recipient(
    running: Harness, agreement: Agreement
) -> None:
    invoice = next(i for i in agreement.booked if i.customer not in agreement.customers)
    await running.refresh("invoice", external_number=str(invoice.number))
    row = await row_of(running, "customers", invoice.customer)
    assert (row["name"], row["active"]) == (invoice.recipient.name, False)


@pytest.mark.requirement("R13")
async def test_a_product_refresh_deactivates_no_other(running: Harness) -> None:
    async with running.pike() as pike:
        await pike.execute("insert into pike.products (workspace_id, name) values ($1, 'Pikes egen')", WORKSPACE)
    await running.refresh("product", external_number="1")
    assert await running.value("select active from pike.products where external_number is null") is True


@pytest.mark.requirement("R13", "R11")
async def test_a_refresh_of_a_barred_product_makes_it_inactive(running: Harness, agreement: Agreement) -> None:
    await running.import_all("products")
    agreement.bar_product("1")
    await running.refresh("product", external_number="1")
    assert (await row_of(running, "products", 1))["active"] is False


@pytest.mark.requirement("R30")
async def test_a_local_deactivation_survives_refresh_and_import(running: Harness, agreement: Agreement) -> None:
    await running.import_all("products")
    async with running.pike() as pike:
        await pike.execute("update pike.products set active = false where external_number = '1'")
    agreement.set_price("1", Decimal("99.00"))
    await running.refresh("product", external_number="1")
    await running.import_all("products")
    row = await row_of(running, "products", 1)
    assert (row["active"], row["price"]) == (False, Decimal("99.00"))


@pytest.mark.requirement("R32")
async def test_a_customer_edited_in_pike_is_overwritten_by_refresh_and_recorded(
    running: Harness, agreement: Agreement
) -> None:
    await running.import_all("customers")
    async with running.pike() as pike:
        await pike.execute("update pike.customers set name = 'Rettet i Pike' where external_number = '2'")
    done = await running.refresh("customer", external_number="2")
    audit = await running.rows("select changes, actor from economic.audit")
    assert [(c.field, c.old) for c in done.data.changes] == [("name", "Rettet i Pike")]
    assert [row["actor"] for row in audit] == [f"refresh:{done.correlation_id}"]


@pytest.mark.requirement("R32")
async def test_a_customer_edited_in_pike_is_not_pushed(running: Harness, agreement: Agreement) -> None:
    await running.import_all("customers")
    theirs = agreement.customers[2].name
    async with running.pike() as pike:
        await pike.execute("update pike.customers set name = 'Rettet i Pike' where external_number = '2'")
    await running.refresh("product", external_number="1")
    assert agreement.customers[2].name == theirs


@pytest.mark.requirement("R28", "R29")
async def test_a_failed_refresh_leaves_data_and_last_success_and_shows_the_problem(
    running: Harness, agreement: Agreement
) -> None:
    await running.import_all("products")
    before = await row_of(running, "products", 1)
    agreement.products.remove("1")
    failed = await running.refresh("product", id=str(before["id"]))
    after = await row_of(running, "products", 1)
    told = {"last_attempt_at", "last_problem"}
    assert {k: v for k, v in after.items() if k not in told} == {k: v for k, v in before.items() if k not in told}
    assert after["last_attempt_at"] > before["last_attempt_at"]
    assert failed.data.problem.cause == "not_found"
    assert '"not_found"' in after["last_problem"]


@pytest.mark.requirement("R28")
async def test_a_refresh_while_economic_is_down_fails_after_its_tries(meddled: Harness, sandbox: Sandbox) -> None:
    await meddled.import_all("products")
    before = await row_of(meddled, "products", 1)
    sandbox.add_fault("html", status=502, path="products/1")
    failed = await meddled.refresh("product", external_number="1")
    after = await row_of(meddled, "products", 1)
    assert (failed.type, failed.data.problem.cause) == ("economic.refresh.failed", "economic_unavailable")
    assert (after["name"], after["last_synced_at"]) == (before["name"], before["last_synced_at"])


@pytest.mark.requirement("R29")
async def test_the_next_success_clears_the_problem(running: Harness, agreement: Agreement) -> None:
    await running.import_all("products")
    product = agreement.products.remove("1")
    await running.refresh("product", external_number="1")
    agreement.put_product(product)
    await running.refresh("product", external_number="1")
    assert (await row_of(running, "products", 1))["last_problem"] is None


@pytest.mark.requirement("R28")
async def test_a_record_that_is_in_pike_only_cannot_be_refreshed(running: Harness) -> None:
    mine = await running.value(
        "insert into pike.customers (workspace_id, name) values ($1, 'Kun i Pike') returning id", WORKSPACE
    )
    failed = await running.refresh("customer", id=str(mine))
    assert (failed.type, failed.data.problem.cause) == ("economic.refresh.failed", "not_found")


@pytest.mark.requirement("R21")
async def test_a_draft_booked_under_our_reference_is_followed_from_draft_to_booked_to_paid(
    running: Harness, agreement: Agreement
) -> None:
    await running.import_all("invoices")
    draft = bookable(agreement)
    row = await row_of(running, "invoices", draft, "booked_number is null")
    agreement.drafts[draft].other = reference_for(agreement.number, row["id"])
    agreement.drafts.touch(draft)
    number = await book(running, draft)
    await running.refresh("invoice", id=str(row["id"]))
    booked = await running.rows(
        "select status, booked_number, external_number from pike.invoices where id = $1", row["id"]
    )
    agreement.register_payment(number)
    await running.refresh("invoice", id=str(row["id"]))
    paid = await running.value("select status from pike.invoices where id = $1", row["id"])
    assert booked == [{"status": "booked", "booked_number": number, "external_number": str(number)}]
    assert paid == "paid"


@pytest.mark.requirement("R21")
async def test_a_draft_booked_by_hand_stays_one_invoice_over_the_next_import(
    running: Harness, agreement: Agreement
) -> None:
    await running.import_all()
    draft = bookable(agreement)
    row = await row_of(running, "invoices", draft, "booked_number is null")
    number = await book(running, draft)
    await running.import_all()
    rows = await running.rows(
        "select id, status, active, draft_number from pike.invoices where external_number = $1 or draft_number = $2",
        str(number), draft,
    )  # fmt: skip
    assert rows == [{"id": row["id"], "status": "booked", "active": True, "draft_number": draft}]


@pytest.mark.requirement("R21")
async def test_following_an_invoice_is_announced_with_both_statuses(running: Harness, agreement: Agreement) -> None:
    await running.import_all("invoices")
    unpaid = next(i.number for i in agreement.booked if i.remainder != 0)
    agreement.register_payment(unpaid)
    done = await running.refresh("invoice", external_number=str(unpaid))
    changed = await running.answer(done.correlation_id or "", "economic.invoice.changed")
    assert (changed.data.previous_status, changed.data.status) == ("booked", "paid")


@pytest.mark.requirement("R28")
async def test_refreshing_a_draft_that_was_deleted_says_so_and_leaves_it(
    running: Harness, agreement: Agreement
) -> None:
    await running.import_all("invoices")
    number = next(iter(agreement.drafts.rows))
    agreement.remove_draft(number)
    failed = await running.refresh("invoice", external_number=str(number), document="draft")
    row = await row_of(running, "invoices", number)
    assert (failed.data.problem.cause, row["status"], row["active"]) == ("draft_deleted", "draft", True)


@pytest.mark.requirement("R2")
async def test_a_project_survives_refresh_and_import(running: Harness, agreement: Agreement) -> None:
    await running.import_all("invoices")
    async with running.pike() as pike:
        await pike.execute("update pike.invoices set project_id = 'P-7' where booked_number = 10001")
    agreement.register_payment(10001, Decimal("-5.00"))
    await running.refresh("invoice", external_number="10001")
    await running.import_all("invoices")
    assert await running.value("select project_id from pike.invoices where booked_number = 10001") == "P-7"
