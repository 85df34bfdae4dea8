"""Imports of what changed (B10, B14): few calls, no write without a difference, payments, numbers out of order."""

from collections import Counter
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from e2e_kit import Launch, SmallPages
from harness import WORKSPACE, Harness

from worker.sandbox import Agreement, Sandbox

ENDS = ("economic.import.completed", "economic.import.failed")
ALL = ["products", "customers", "invoices"]


async def changes(running: Harness, *entities: str) -> Any:
    """Import what changed and return the answer."""
    data = {"entities": list(entities) or ALL, "mode": "changes"}
    done = await running.request("pike.import.requested", data, *ENDS)
    assert done.type == "economic.import.completed", done.data
    return done


@pytest.fixture
async def imported(running: Harness) -> Harness:
    await running.import_all()
    return running


async def versions(running: Harness) -> set[tuple[str, Any, str, str]]:
    """Every row version of Pike's entities: what is written again gets another place and transaction."""
    return {
        (table, row["id"], row["place"], row["writer"])
        for table in ("products", "customers", "invoices", "invoice_lines", "tax_rates")
        for row in await running.rows(f"select id, ctid::text as place, xmin::text as writer from pike.{table}")
    }


@pytest.mark.requirement("B10")
async def test_a_round_in_which_nothing_changed_costs_at_most_twelve_calls(imported: Harness, sandbox: Sandbox) -> None:
    before = len(sandbox.requests)
    done = await changes(imported)
    assert len(sandbox.requests) - before <= 12
    counts = done.data.counts.values()
    assert sum(c.created + c.updated + c.deactivated + c.rejected for c in counts) == 0


async def test_a_full_import_in_which_nothing_changed_writes_no_row_and_announces_none(imported: Harness) -> None:
    before = await versions(imported)
    done = await imported.import_all()
    assert done.data.counts["invoices"].unchanged > 0
    assert await versions(imported) == before
    assert imported.answers(done.correlation_id or "", "economic.records.changed") == []


@pytest.mark.requirement("R29")
async def test_a_record_met_unchanged_is_stamped_once_its_stamp_is_an_hour_old(imported: Harness) -> None:
    sql = "select last_synced_at from pike.customers where external_number = '2'"
    old = await imported.value(sql)
    await imported.import_all("customers")
    assert await imported.value(sql) == old
    await imported.rows(
        "do $$ begin perform set_config('pike_economic.writer', 'worker', true); "
        "update pike.customers set last_synced_at = last_synced_at - interval '2 hours'; end $$"
    )
    await imported.import_all("customers")
    assert await imported.value(sql) > old


@pytest.mark.requirement("B10", "B14")
async def test_a_changed_product_and_customer_are_read_alone_and_audited(
    imported: Harness, agreement: Agreement
) -> None:
    number = next(iter(agreement.products)).number
    agreement.set_price(number, Decimal("77.25"))
    agreement.rename_customer(2, "Nyt Navn ApS")
    done = await changes(imported)
    counts = {kind: (c.created, c.updated) for kind, c in done.data.counts.items()}
    assert counts == {"products": (0, 1), "customers": (0, 1), "invoices": (0, 0)}
    price = await imported.value("select price from pike.products where external_number = $1", number)
    assert price == Decimal("77.25")
    audit = await imported.rows("select entity, actor, changes from economic.audit order by entity")
    assert [row["entity"] for row in audit] == ["customer", "product"]
    assert {row["actor"] for row in audit} == {f"import:{done.correlation_id}"}
    assert '"Nyt Navn ApS"' in audit[0]["changes"]


@pytest.mark.requirement("B10", "R17")
async def test_a_changed_contact_reaches_its_customer_although_the_customer_did_not_change(
    imported: Harness, agreement: Agreement
) -> None:
    alone = Counter(c.customer for c in agreement.contacts if c.active)
    contact = next(c for c in agreement.contacts if c.active and alone[c.customer] == 1)
    stamp = agreement.customers[contact.customer].last_updated
    agreement.put_contact(replace(contact, name="Grethe Nybo", last_updated=agreement.now()))
    agreement.customers[contact.customer].last_updated = stamp
    await changes(imported, "customers")
    sql = "select primary_contact_full_name from pike.customers where external_number = $1"
    assert await imported.value(sql, str(contact.customer)) == "Grethe Nybo"


@pytest.mark.requirement("B10", "R21")
async def test_a_payment_makes_an_invoice_paid(imported: Harness, agreement: Agreement) -> None:
    number = next(b.number for b in agreement.booked if b.remainder > 0)
    agreement.register_payment(number)
    done = await changes(imported, "invoices")
    row = await imported.rows("select status, remainder from pike.invoices where booked_number = $1", number)
    assert row == [{"status": "paid", "remainder": Decimal(0)}]
    moved = imported.answers(done.correlation_id or "", "economic.invoice.changed")
    assert [(e.data.external_number, e.data.previous_status, e.data.status) for e in moved] == [
        (str(number), "booked", "paid")
    ]


@pytest.mark.requirement("B10", "R21")
async def test_a_part_payment_and_one_taken_back_move_the_remainder(imported: Harness, agreement: Agreement) -> None:
    number = next(b.number for b in agreement.booked if b.remainder > 1)
    sql = "select status, remainder from pike.invoices where booked_number = $1"
    (before,) = await imported.rows(sql, number)
    agreement.register_payment(number, Decimal(1))
    await changes(imported, "invoices")
    assert await imported.rows(sql, number) == [{"status": "booked", "remainder": before["remainder"] - 1}]
    agreement.register_payment(number)
    await changes(imported, "invoices")
    assert (await imported.rows(sql, number))[0]["status"] == "paid"
    agreement.register_payment(number, -before["remainder"])
    await changes(imported, "invoices")
    assert await imported.rows(sql, number) == [before]


@pytest.mark.requirement("B10")
async def test_new_booked_invoices_come_with_their_lines_and_known_ones_are_not_read_again(
    imported: Harness, agreement: Agreement, sandbox: Sandbox
) -> None:
    newest = max(b.number for b in agreement.booked)
    agreement.put_booked(replace(agreement.booked[newest], number=newest + 5))
    before = len(sandbox.requests)
    done = await changes(imported, "invoices")
    assert done.data.counts["invoices"].created == 1
    of_new = "(select id from pike.invoices where booked_number = $1)"
    lines = await imported.value(f"select count(*) from pike.invoice_lines where invoice_id = {of_new}", newest + 5)
    assert lines == len(agreement.booked[newest].lines)
    asked = [r for r in sandbox.requests[before:] if r.path.endswith("/invoices/booked/lines")]
    assert len(asked) == 1


@pytest.mark.requirement("B10")
async def test_an_invoice_booked_with_a_number_of_choice_below_the_highest_is_found(
    imported: Harness, agreement: Agreement
) -> None:
    newest = max(b.number for b in agreement.booked)
    agreement.put_booked(replace(agreement.booked[newest], number=newest + 5))
    await changes(imported, "invoices")
    today = agreement.now().date()
    agreement.put_booked(replace(agreement.booked[newest], number=newest + 2, date=today))
    done = await changes(imported, "invoices")
    assert done.data.counts["invoices"].created == 1
    assert await imported.value("select count(*) from pike.invoices where booked_number = $1", newest + 2) == 1
    assert done.data.report.remarks == ()


@pytest.mark.requirement("B7")
async def test_an_old_invoice_that_was_passed_over_is_reported(imported: Harness, agreement: Agreement) -> None:
    lowest = min(b.number for b in agreement.booked)
    newest = max(b.number for b in agreement.booked)
    old = replace(agreement.booked[lowest], number=newest + 2)
    agreement.put_booked(replace(agreement.booked[newest], number=newest + 5))
    await changes(imported, "invoices")
    agreement.put_booked(replace(old, date=old.date.replace(year=old.date.year - 3)))
    done = await changes(imported, "invoices")
    (remark,) = done.data.report.remarks
    assert "import everything once" in remark


@pytest.mark.requirement("R11")
async def test_changes_deactivate_nothing(imported: Harness, agreement: Agreement) -> None:
    await imported.rows("insert into pike.products (workspace_id, name) values ($1, 'Egen')", WORKSPACE)
    agreement.remove_customer(1)
    done = await changes(imported)
    assert sum(c.deactivated for c in done.data.counts.values()) == 0
    assert await imported.value("select count(*) from pike.products where active and external_number is null") == 1


@pytest.mark.requirement("B10", "R11")
async def test_changes_before_any_import_are_a_whole_import(running: Harness, agreement: Agreement) -> None:
    done = await changes(running)
    assert done.data.counts["customers"].created == len(agreement.customers)
    assert done.data.counts["invoices"].created == len(agreement.booked) + len(agreement.drafts)


@pytest.mark.requirement("B6", "R11")
async def test_what_changes_on_a_page_that_was_read_already_is_caught_up_with(
    running: Harness, agreement: Agreement, small_pages: SmallPages, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody renames customer 1 while the last page is being read."""
    from worker.handlers.importing import handler

    small_pages(5)
    commits = 0
    plain = handler._commit

    async def renaming(page: Any, sweep: Any, report: bool) -> bool:
        nonlocal commits
        commits += 1
        if commits == 3:
            agreement.rename_customer(1, "Omdøbt Undervejs")
        return await plain(page, sweep, report)

    monkeypatch.setattr(handler, "_commit", renaming)
    done = await running.import_all("customers")
    assert await running.value("select name from pike.customers where external_number = '1'") == "Omdøbt Undervejs"
    counts = done.data.counts["customers"]
    assert counts.created + counts.unchanged == len(agreement.customers)
