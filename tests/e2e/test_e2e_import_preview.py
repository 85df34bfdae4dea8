"""B5: what an import would do, field by field, before anything is written; and how the import then differed."""

from decimal import Decimal
from typing import Any

import pytest
from e2e_kit import Launch, SmallPages
from harness import WORKSPACE, Harness
from meddler import Meddler, once_on_page

from worker.sandbox import Agreement, Sandbox

pytestmark = pytest.mark.requirement("B5")

ENDS = ("economic.import.previewed", "economic.import.failed", "economic.import.completed")
ALL = ["products", "customers", "invoices"]


async def preview(running: Harness, *entities: str) -> Any:
    done = await running.request("pike.import.requested", {"entities": list(entities) or ALL, "dry_run": True}, *ENDS)
    assert done.type == "economic.import.previewed", done.data
    return done


async def everything(running: Harness) -> dict[str, list[dict[str, Any]]]:
    """Every row of the read model and of the audit."""
    tables = ["products", "customers", "invoices", "invoice_lines", "tax_rates"]
    found = {name: await running.rows(f"select * from pike.{name} order by id") for name in tables}
    return {**found, "audit": await running.rows("select * from economic.audit order by id")}


async def test_a_first_preview_counts_what_would_come_and_writes_nothing(
    running: Harness, agreement: Agreement
) -> None:
    await running.rows("insert into pike.products (workspace_id, name) values ($1, 'Egen')", WORKSPACE)
    before = await everything(running)
    done = await preview(running)
    assert await everything(running) == before
    counts = done.data.counts
    assert counts["customers"].created == len(agreement.customers)
    assert counts["invoices"].created == len(agreement.drafts) + len(agreement.booked)
    assert counts["products"].deactivated == 1
    assert running.answers(done.correlation_id, "economic.records.changed") == []


@pytest.mark.requirement("B14")
async def test_a_preview_names_each_field_that_would_change(running: Harness, agreement: Agreement) -> None:
    await running.import_all()
    number = next(iter(agreement.products)).number
    old = await running.value("select price from pike.products where external_number = $1", number)
    agreement.set_price(number, Decimal("77.25"))
    agreement.rename_customer(2, "Nyt Navn ApS")
    before = await everything(running)
    done = await preview(running)
    assert await everything(running) == before
    changes = {(e.entity, e.external_number): e.changes for e in done.data.examples if e.action == "change"}
    assert set(changes) == {("product", number), ("customer", "2")}
    (price,) = changes["product", number]
    assert (price.field, Decimal(str(price.old)), Decimal(str(price.new))) == ("price", old, Decimal("77.25"))


async def test_a_preview_names_what_would_be_deactivated_first(running: Harness, agreement: Agreement) -> None:
    await running.import_all("customers")
    agreement.remove_customer(3)
    done = await preview(running, "customers")
    assert [(e.action, e.external_number) for e in done.data.examples] == [("deactivate", "3")]
    assert done.data.counts["customers"].deactivated == 1


@pytest.mark.requirement("B11")
async def test_a_preview_lists_the_ambiguous_and_asks_nobody_yet(running: Harness, agreement: Agreement) -> None:
    agreement.change_customer(2, name="Samme Navn", cvr=None, email=None)
    for _ in range(2):
        await running.rows("insert into pike.customers (workspace_id, name) values ($1, 'Samme Navn')", WORKSPACE)
    done = await preview(running, "customers")
    (match,) = done.data.ambiguous
    assert (match.external_number, match.matched_by, len(match.candidates)) == ("2", "name", 2)
    assert await running.rows("select 1 from economic.customer_matches") == []


async def test_a_preview_in_many_slices_is_the_same(
    launch: Launch, small_pages: SmallPages, agreement: Agreement
) -> None:
    small_pages(4)
    async with launch(import_slice_s="0.001") as running:
        await running.connect()
        done = await preview(running)
        assert done.data.counts["invoices"].created == len(agreement.drafts) + len(agreement.booked)
        assert await running.value("select count(*) from pike.invoices") == 0


async def test_a_preview_counts_once_what_changes_while_it_reads(
    meddled: Harness, meddler: Meddler, small_pages: SmallPages, agreement: Agreement
) -> None:
    """What changed meanwhile is read again at the end, and after a deletion the whole list is."""
    small_pages(5)

    def meddle() -> None:
        agreement.remove_customer(1)
        agreement.rename_customer(2, "Omdøbt Undervejs")

    meddler.before("/customers$", once_on_page(1, meddle))
    done = await preview(meddled, "customers")
    assert done.data.counts["customers"].created == len(agreement.customers)
    assert done.data.counts["customers"].unchanged == 0
    shown = [example.external_number for example in done.data.examples]
    assert len(shown) == len(set(shown)) == len(agreement.customers)


async def test_the_import_does_what_the_preview_said_and_says_where_it_did_not(
    running: Harness, agreement: Agreement
) -> None:
    foreseen = await preview(running)
    agreement.remove_customer(3)
    done = await running.import_all()
    same = {kind: c for kind, c in done.data.counts.items() if kind == "products"}
    assert same["products"] == foreseen.data.counts["products"]
    remarks = [remark for remark in done.data.report.remarks if remark.startswith("The preview of")]
    created = len(agreement.customers)
    assert [r.partition("foresaw ")[2] for r in remarks] == [f"{created + 1} customers created; it were {created}."]


async def test_no_preview_no_remark(running: Harness) -> None:
    done = await running.import_all("products")
    assert done.data.report.remarks == ()


async def test_a_preview_does_not_count_as_an_import(running: Harness, sandbox: Sandbox) -> None:
    await preview(running)
    before = len(sandbox.requests)
    done = await running.request(
        "pike.import.requested", {"entities": ["customers"], "mode": "changes"}, "economic.import.completed"
    )
    assert done.data.counts["customers"].created > 0, "nothing was imported yet, so changes are everything"
    assert len(sandbox.requests) > before
