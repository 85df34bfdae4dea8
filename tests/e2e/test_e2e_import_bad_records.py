"""Broken records, broken pages, lists that lie: counted and kept with the reason, or a clear failure; never worse."""

from dataclasses import replace
from typing import Any

import pytest
from e2e_kit import SmallPages
from harness import WORKSPACE, Harness
from meddler import Meddler, once_on_page

from worker.sandbox import Agreement, Sandbox


async def rejects(running: Harness, entity: str) -> list[dict[str, Any]]:
    return await running.rows(
        "select * from economic.import_rejects where entity = $1 order by external_number", entity
    )


async def numbers(running: Harness, table: str, where: str = "true") -> set[str]:
    rows = await running.rows(f"select external_number from pike.{table} where {where}")
    return {row["external_number"] for row in rows}


# --- single records --------------------------------------------------------------------------------------


async def test_a_broken_customer_is_counted_and_the_page_goes_on(
    meddled: Harness, meddler: Meddler, agreement: Agreement
) -> None:
    meddler.edit("/customers$", "customerNumber", 2, name={"not": "a name"})
    done = await meddled.import_all("customers")
    counts = done.data.counts["customers"]
    assert (counts.created, counts.rejected) == (len(agreement.customers) - 1, 1)


async def test_a_broken_record_is_kept_with_number_reason_and_itself(meddled: Harness, meddler: Meddler) -> None:
    meddler.edit("/customers$", "customerNumber", 2, name={"not": "a name"})
    await meddled.import_all("customers")
    (reject,) = await rejects(meddled, "customers")
    assert reject["external_number"] == "2"
    assert "name" in reject["reason"]
    assert '"not": "a name"' in reject["raw"]


@pytest.mark.requirement("R11")
async def test_a_linked_record_that_cannot_be_read_has_not_vanished(meddled: Harness, meddler: Meddler) -> None:
    await meddled.import_all("customers")
    meddler.edit("/customers$", "customerNumber", 2, name={"not": "a name"})
    await meddled.import_all("customers")
    assert "2" in await numbers(meddled, "customers", "active")


@pytest.mark.requirement("R11")
async def test_a_record_without_a_number_makes_no_other_vanish(meddled: Harness, meddler: Meddler) -> None:
    await meddled.import_all("products")
    live = await numbers(meddled, "products", "active")
    meddler.edit("/products$", "productNumber", "1", productNumber=None)
    done = await meddled.import_all("products")
    assert await numbers(meddled, "products", "active") == live
    assert "could not be read" in done.data.report.remarks[0]


@pytest.mark.parametrize("number", ["A" * 26, ""])
async def test_a_product_number_that_economic_cannot_have_is_rejected(
    meddled: Harness, meddler: Meddler, agreement: Agreement, number: str
) -> None:
    meddler.edit("/products$", "productNumber", "1", productNumber=number)
    done = await meddled.import_all("products")
    assert done.data.counts["products"].rejected == 1
    assert await numbers(meddled, "products") == set(agreement.products.rows) - {"1"}


@pytest.mark.parametrize("price", ["NaN", "12,50", [], 1e40])
async def test_a_price_that_is_no_amount_is_rejected(meddled: Harness, meddler: Meddler, price: object) -> None:
    meddler.edit("/products$", "productNumber", "1", salesPrice=price)
    await meddled.import_all("products")
    (reject,) = await rejects(meddled, "products")
    assert reject["reason"].startswith("salesPrice")


async def test_control_characters_in_a_name_are_left_out(meddled: Harness, meddler: Meddler) -> None:
    meddler.edit("/products$", "productNumber", "1", name="Nul\u0000 og\u0007 klokke")
    await meddled.import_all("products")
    assert await meddled.value("select name from pike.products where external_number = '1'") == "Nul og klokke"


@pytest.mark.parametrize(("field", "text"), [("name", "halv\ud800"), ("productNumber", "nul\u0000")])
async def test_a_text_that_no_database_takes_is_rejected_and_kept_readable(
    meddled: Harness, meddler: Meddler, field: str, text: str
) -> None:
    meddler.edit("/products$", "productNumber", "1", **{field: text})
    done = await meddled.import_all("products")
    assert done.data.counts["products"].rejected == 1
    assert ["nul" in r["raw"] or "halv" in r["raw"] for r in await rejects(meddled, "products")] == [True]


@pytest.mark.requirement("B7")
async def test_a_broken_booked_invoice_shows_in_the_grand_total(
    meddled: Harness, meddler: Meddler, agreement: Agreement
) -> None:
    meddler.edit("/invoices/booked$", "bookedInvoiceNumber", 10001, date="2026-02-30")
    done = await meddled.import_all("invoices")
    row = done.data.report.rows[-1]
    assert (done.data.counts["invoices"].rejected, row.difference) == (1, -agreement.booked[10001].net_base)


async def test_a_broken_draft_has_not_vanished(meddled: Harness, meddler: Meddler, agreement: Agreement) -> None:
    await meddled.import_all("invoices")
    number = next(iter(agreement.drafts.rows))
    meddler.edit("/invoices/drafts$", "draftInvoiceNumber", number, date=None)
    await meddled.import_all("invoices")
    assert str(number) in await numbers(meddled, "invoices", "active and status = 'draft'")


async def test_an_invoice_of_a_customer_that_cannot_be_read_still_has_a_customer(
    meddled: Harness, meddler: Meddler, agreement: Agreement
) -> None:
    number = next(i.customer for i in agreement.booked if i.customer in agreement.customers)
    meddler.edit("/customers$", "customerNumber", number, name={"not": "a name"})
    await meddled.import_all()
    assert await meddled.value("select count(*) from pike.invoices where customer_id is null") == 0


# --- pages -----------------------------------------------------------------------------------------------


@pytest.mark.requirement("R11")
@pytest.mark.parametrize("kind", ["html", "truncated_json", "cut_body", "error_in_200", "drop_after"])
async def test_a_broken_page_fails_the_import_and_deactivates_nothing(
    meddled: Harness, sandbox: Sandbox, kind: str
) -> None:
    own = await meddled.value(
        "insert into pike.products (workspace_id, name) values ($1, 'Egen') returning id", WORKSPACE
    )
    sandbox.add_fault(kind, path="/legacy/products$", status=200)
    failed = await meddled.import_all("products")
    assert (failed.type, failed.data.problem.cause) == ("economic.import.failed", "economic_unavailable")
    assert await meddled.value("select active from pike.products where id = $1", own) is True


@pytest.mark.parametrize("kind", ["html", "truncated_json", "cut_body", "drop_after"])
async def test_a_page_that_breaks_once_is_read_again(
    running: Harness, sandbox: Sandbox, agreement: Agreement, kind: str
) -> None:
    sandbox.add_fault(kind, path="/legacy/products$", times=1, status=503)
    done = await running.import_all("products")
    assert done.data.counts["products"].created == len(agreement.products)


async def test_the_import_row_says_why_it_failed(meddled: Harness, sandbox: Sandbox) -> None:
    sandbox.add_fault("html", path="/legacy/products$")
    failed = await meddled.import_all("products")
    row = (await meddled.rows("select state, problem from economic.imports"))[0]
    assert row["state"] == "failed"
    assert failed.data.problem.user_message in row["problem"]


@pytest.mark.requirement("R11")
async def test_an_empty_page_that_announces_more_fails_the_import(
    meddled: Harness, meddler: Meddler, small_pages: SmallPages
) -> None:
    def empty(document: dict[str, Any], query: str) -> None:
        if "skippages=1" in query:
            document["collection"] = []

    small_pages(5)
    meddler.on("/products$", empty)
    failed = await meddled.import_all("products")
    assert failed.type == "economic.import.failed"


@pytest.mark.requirement("R11")
async def test_a_shorter_page_than_announced_fails_the_import(
    meddled: Harness, meddler: Meddler, small_pages: SmallPages
) -> None:
    await meddled.import_all("products")
    live = await numbers(meddled, "products", "active")

    def shorten(document: dict[str, Any], query: str) -> None:
        if "skippages=1" in query:
            document["collection"].pop()

    small_pages(5)
    meddler.on("/products$", shorten)
    failed = await meddled.import_all("products")
    assert failed.type == "economic.import.failed"
    assert await numbers(meddled, "products", "active") == live


@pytest.mark.requirement("R11")
async def test_a_list_that_shrinks_while_it_is_read_is_read_again(
    meddled: Harness, meddler: Meddler, small_pages: SmallPages, agreement: Agreement
) -> None:
    """Whoever deletes customer 1 moves the first of the second page to the first page, which is read already."""
    await meddled.import_all("customers")
    small_pages(5)
    meddler.before("/customers$", once_on_page(1, lambda: agreement.remove_customer(1)))
    done = await meddled.import_all("customers")
    assert await numbers(meddled, "customers", "active") == {str(number) for number in agreement.customers.rows}
    counts = done.data.counts["customers"]  # the deleted one may have been met first without its contact: changed
    assert counts.unchanged + counts.updated == len(agreement.customers)


@pytest.mark.requirement("R11", "R15")
async def test_a_first_import_of_a_list_that_shrinks_misses_nobody(
    meddled: Harness, meddler: Meddler, small_pages: SmallPages, agreement: Agreement
) -> None:
    small_pages(5)
    meddler.before("/customers$", once_on_page(1, lambda: agreement.remove_customer(1)))
    await meddled.import_all("customers")
    assert await numbers(meddled, "customers", "active") == {str(number) for number in agreement.customers.rows}


@pytest.mark.requirement("R11")
async def test_a_list_that_never_stops_shrinking_fails_the_import(
    meddled: Harness, meddler: Meddler, small_pages: SmallPages, agreement: Agreement
) -> None:
    def shrink(query: str) -> None:
        if "skippages=1&" in query:
            agreement.remove_customer(next(iter(agreement.customers.rows)))

    small_pages(5)
    meddler.before("/customers$", shrink)
    failed = await meddled.import_all("customers")
    assert failed.data.problem.cause == "import_incomplete"


@pytest.mark.requirement("R11")
async def test_a_record_passed_over_by_a_shifting_list_is_asked_for_before_it_counts_as_gone(
    meddled: Harness, meddler: Meddler, small_pages: SmallPages, agreement: Agreement
) -> None:
    """One product goes, another comes: the total stays, and the first of the next page moves to the page before."""
    await meddled.import_all("products")
    live = await numbers(meddled, "products", "active")
    ordered = sorted(agreement.products.rows)

    def shift() -> None:
        gone = agreement.products.remove(ordered[0])
        gone.number = "zzz"
        agreement.put_product(gone)

    small_pages(5)
    meddler.before("/products$", once_on_page(1, shift))
    done = await meddled.import_all("products")
    assert done.type == "economic.import.completed"
    assert await numbers(meddled, "products", "active") - {"zzz"} == live


async def test_an_invoice_booked_while_they_are_read_is_no_reason_to_fail(
    meddled: Harness, meddler: Meddler, small_pages: SmallPages, agreement: Agreement
) -> None:
    def book_one_more() -> None:
        newest = agreement.booked[max(agreement.booked.rows)]
        agreement.put_booked(replace(newest, number=newest.number + 1))

    small_pages(20)
    pages: list[str] = []

    def second_page(query: str) -> None:
        pages.append(query)
        if len(pages) == 2:
            book_one_more()

    meddler.before("/invoices/booked$", second_page)
    done = await meddled.import_all("invoices")
    assert done.type == "economic.import.completed"
    assert await meddled.value("select count(*) from pike.invoices where booked_number is not null") == len(
        agreement.booked
    )


@pytest.mark.requirement("B7")
async def test_bulk_lines_that_do_not_add_up_are_read_from_the_invoice_itself(
    running: Harness, sandbox: Sandbox, agreement: Agreement, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [line for line in agreement.booked_lines() if line.document.number != 10002]
    monkeypatch.setattr(agreement, "booked_lines", lambda: lines)
    await running.import_all("invoices")
    stored = await running.value(
        """select sum(l.net_amount) from pike.invoice_lines l join pike.invoices i on i.id = l.invoice_id
           where i.booked_number = 10002"""
    )
    assert stored == agreement.booked[10002].net
