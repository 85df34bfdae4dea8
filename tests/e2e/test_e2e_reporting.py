"""What people read afterwards: Pike's report views, the data report with its differences, the audit of changes."""

import json
from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from harness import WORKSPACE, Harness
from meddler import Meddler

from worker.sandbox import Agreement

ZERO = Decimal(0)


async def view(running: Harness, name: str) -> list[dict[str, Any]]:
    return await running.rows(f"select * from pike_reporting.{name} where workspace_id = $1", WORKSPACE)


@pytest.mark.requirement("R2")
async def test_revenue_by_month_is_the_sum_of_the_booked_invoices(running: Harness, agreement: Agreement) -> None:
    await running.import_all("invoices")
    expected: dict[tuple[Any, str], list[Any]] = defaultdict(lambda: [0, ZERO, ZERO, ZERO])
    for invoice in agreement.booked:
        sums = expected[invoice.date.replace(day=1), invoice.currency]
        for index, amount in enumerate((1, invoice.net, invoice.vat, invoice.gross)):
            sums[index] += amount
    found = {
        (row["month"], row["currency"]): [row["invoices"], row["net"], row["vat"], row["gross"]]
        for row in await view(running, "revenue_by_month")
    }
    assert found == expected


@pytest.mark.requirement("R2")
async def test_receivables_are_what_is_unpaid_and_how_long_overdue(running: Harness, agreement: Agreement) -> None:
    await running.import_all("invoices")
    today = datetime.now(UTC).date()
    expected: dict[str, list[Any]] = defaultdict(lambda: [0, *[ZERO] * 6])
    for invoice in agreement.booked:
        if not invoice.remainder:
            continue
        sums = expected[invoice.currency]
        days = (today - invoice.due_date).days if invoice.due_date else 0
        sums[0] += 1
        sums[1] += invoice.remainder
        if days > 0:
            sums[2] += invoice.remainder
            sums[3 + min((days - 1) // 30, 3)] += invoice.remainder
    names = ("invoices", "outstanding", "overdue", "overdue_1_30", "overdue_31_60", "overdue_61_90", "overdue_over_90")
    found = {row["currency"]: [row[name] for name in names] for row in await view(running, "receivables")}
    assert found == expected


@pytest.mark.requirement("R2")
async def test_top_customers_are_ranked_by_net_per_currency(running: Harness, agreement: Agreement) -> None:
    await running.import_all("invoices")
    nets: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for invoice in agreement.booked:
        customer = agreement.customers.get(invoice.customer)
        nets[invoice.currency, customer.name if customer else invoice.recipient.name] += invoice.net
    expected = {
        key: (net, 1 + sum(other > net for (currency, _), other in nets.items() if currency == key[0]))
        for key, net in nets.items()
    }
    rows = await view(running, "top_customers")
    assert {(row["currency"], row["name"]): (row["net"], row["place"]) for row in rows} == expected


@pytest.mark.requirement("R2")
async def test_customer_context_has_drafts_invoices_net_and_outstanding(running: Harness, agreement: Agreement) -> None:
    await running.import_all()
    expected: dict[tuple[str, str | None], list[Any]] = defaultdict(lambda: [0, 0, ZERO, ZERO])
    for customer in agreement.customers:
        expected[customer.name, None]
    for invoice in agreement.booked:
        customer = agreement.customers.get(invoice.customer)
        sums = expected[customer.name if customer else invoice.recipient.name, invoice.currency]
        sums[0] += 1
        sums[2] += invoice.net
        sums[3] += invoice.remainder
    for draft in agreement.drafts:
        expected[agreement.customers[draft.customer].name, draft.currency][1] += 1
    busy = {name for name, currency in expected if currency}
    expected = {key: sums for key, sums in expected.items() if key[1] or key[0] not in busy}  # type: ignore[assignment]
    found = {
        (row["name"], row["currency"]): [row["invoices"], row["drafts"], row["net"], row["outstanding"]]
        for row in await view(running, "customer_context")
    }
    assert found == expected


@pytest.mark.requirement("R2")
async def test_project_context_sums_the_invoices_a_person_put_on_it(running: Harness, agreement: Agreement) -> None:
    await running.import_all("invoices")
    mine = [i for i in agreement.booked if i.currency == "DKK"][:5]
    async with running.pike() as pike:
        await pike.execute(
            "update pike.invoices set project_id = 'P-1' where booked_number = any($1::int[])", [i.number for i in mine]
        )
    (row,) = await view(running, "project_context")
    assert (row["project_id"], row["invoices"], row["net"], row["outstanding"]) == (
        "P-1", 5, sum(i.net for i in mine), sum(i.remainder for i in mine),
    )  # fmt: skip


@pytest.mark.requirement("R1", "R20")
async def test_sync_status_counts_linked_rows_and_problems(running: Harness, agreement: Agreement) -> None:
    await running.import_all("customers")
    async with running.pike() as pike:
        await pike.execute("insert into pike.customers (workspace_id, name) values ($1, 'Egen')", WORKSPACE)
    agreement.remove_customer(2)
    await running.refresh("customer", external_number="2")
    (row,) = await view(running, "sync_status")
    linked = len(agreement.customers) + 1
    assert (row["entity"], row["records"], row["linked"], row["with_problem"]) == ("customer", linked + 1, linked, 1)


@pytest.mark.requirement("B7")
async def test_a_difference_is_shown_where_rows_and_documents_differ(
    meddled: Harness, meddler: Meddler, agreement: Agreement
) -> None:
    """A draft that Pike's newer state keeps out of an import's page is a difference to be seen, not hidden."""
    await meddled.import_all("invoices")
    invoice = agreement.booked[10001]
    async with meddled.worker.dispatcher.database.transaction("test") as connection:
        await connection.execute(
            "update pike.invoices set gross_amount = gross_amount + 1, synced_as_of = now() + interval '1 hour' "
            "where booked_number = 10001"
        )
    done = await meddled.import_all("invoices")
    differing = [row for row in done.data.report.rows if row.difference]
    assert [(row.currency, row.year, row.difference) for row in differing] == [
        (invoice.currency, invoice.date.year, Decimal("1.00"))
    ]


@pytest.mark.requirement("B7")
async def test_the_report_is_kept_with_the_import(running: Harness) -> None:
    done = await running.import_all("invoices")
    stored = await running.value("select report from economic.imports")
    assert json.loads(stored) == done.data.report.model_dump(mode="json")


@pytest.mark.requirement("B7")
async def test_economics_own_grand_total_is_compared_not_our_sum(
    meddled: Harness, meddler: Meddler, agreement: Agreement
) -> None:
    def one_krone_more(document: dict[str, Any], _query: str) -> None:
        document["netAmountInBaseCurrency"] += 1

    meddler.on("/invoices/totals/booked$", one_krone_more)
    done = await meddled.import_all("invoices")
    assert done.data.report.rows[-1].difference == -1


@pytest.mark.requirement("B14")
@pytest.mark.parametrize("way", ["import", "refresh"])
async def test_every_changed_field_is_kept_before_and_after(running: Harness, agreement: Agreement, way: str) -> None:
    await running.import_all("products")
    old = agreement.products["1"].sales_price
    agreement.set_price("1", Decimal("7.50"))
    done = await (
        running.import_all("products") if way == "import" else running.refresh("product", external_number="1")
    )
    (row,) = await running.rows("select entity, actor, changes from economic.audit")
    assert (row["entity"], row["actor"]) == ("product", f"{way}:{done.correlation_id}")
    assert json.loads(row["changes"]) == [{"field": "price", "old": str(old), "new": "7.50"}]


@pytest.mark.requirement("B14")
async def test_an_import_that_changes_nothing_leaves_no_audit(running: Harness) -> None:
    await running.import_all()
    await running.import_all()
    assert await running.value("select count(*) from economic.audit") == 0


async def test_an_import_that_changes_nothing_announces_nothing(running: Harness) -> None:
    await running.import_all()
    again = await running.import_all()
    assert running.answers(again.correlation_id or "", "economic.records.changed") == []


async def test_an_import_that_changes_nothing_moves_no_updated_at(running: Harness) -> None:
    await running.import_all()
    sql = """select id, updated_at from pike.products union all select id, updated_at from pike.customers
             union all select id, updated_at from pike.invoices order by id"""
    before = await running.rows(sql)
    await running.import_all()
    assert await running.rows(sql) == before


@pytest.mark.requirement("B13", "B14")
async def test_a_payment_reaches_pike_with_the_next_import(running: Harness, agreement: Agreement) -> None:
    await running.import_all("invoices")
    invoice = next(i for i in agreement.booked if i.remainder > 0)
    agreement.register_payment(invoice.number)
    done = await running.import_all("invoices")
    status = await running.value("select status from pike.invoices where booked_number = $1", invoice.number)
    assert (status, done.data.counts["invoices"].updated) == ("paid", 1)


@pytest.mark.requirement("R21")
async def test_an_invoice_that_moved_on_is_announced_by_the_import_too(running: Harness, agreement: Agreement) -> None:
    await running.import_all("invoices")
    invoice = next(i for i in agreement.booked if i.remainder > 0)
    agreement.register_payment(invoice.number)
    done = await running.import_all("invoices")
    events = running.answers(done.correlation_id or "", "economic.invoice.changed")
    assert [(e.data.external_number, e.data.previous_status, e.data.status) for e in events] == [
        (str(invoice.number), "booked", "paid")
    ]
