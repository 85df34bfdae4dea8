"""What an import leaves in Pike, field by field beside the local e-conomic's own books."""

import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio
from e2e_kit import SMALL
from harness import Harness, harness
from support import Databases, SharedVhost, Vhosts

from events import EVENTS
from events.envelope import Envelope
from worker.clock import SystemClock
from worker.errors import Unroutable
from worker.handlers import handlers
from worker.sandbox import Agreement, Sandbox

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Imported:
    """A worker after its first import; nothing here changes anything any more."""

    running: Harness
    agreement: Agreement
    done: Envelope[Any]
    began: datetime
    gone_product: str


@pytest.fixture(scope="module")
def corner(databases: Databases, vhosts: Vhosts | SharedVhost) -> Iterator[tuple[str, str]]:
    database, broker = databases.create(migrated=True), vhosts.take()
    yield broker, database
    vhosts.give_back(broker)
    databases.drop(database)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def imported(corner: tuple[str, str]) -> AsyncIterator[Imported]:
    async with Sandbox(seed=1, size=SMALL) as sandbox:
        agreement = sandbox.agreements[0]
        on_drafts = {line.product for draft in agreement.drafts for line in draft.lines}
        gone = next(
            line.product
            for invoice in agreement.booked
            for line in invoice.lines
            if line.product and line.product not in on_drafts
        )
        agreement.products.remove(gone)
        async with harness(*corner, sandbox) as running:
            await running.connect()
            began = datetime.now(UTC)
            done = await running.import_all()
            yield Imported(running, agreement, done, began, gone)


def plain(text: str | None) -> str | None:
    """Line breaks as Pike keeps them."""
    return re.sub(r"\r\n?", "\n", text).replace("\t", " ") if text else None


async def by_number(imported: Imported, table: str, where: str = "true") -> dict[str, dict[str, Any]]:
    rows = await imported.running.rows(f"select * from pike.{table} where {where}")
    return {row["external_number"]: row for row in rows}


async def booked_by_number(imported: Imported) -> dict[int, dict[str, Any]]:
    rows = await imported.running.rows("select * from pike.invoices where booked_number is not null")
    return {row["booked_number"]: row for row in rows}


async def lines_of(imported: Imported, document: str) -> dict[int, list[dict[str, Any]]]:
    rows = await imported.running.rows(
        f"""select i.{document}_number as number, l.*, p.external_number as product, x.rate, x.name as tax_name
            from pike.invoice_lines l join pike.invoices i on i.id = l.invoice_id
            left join pike.products p on p.id = l.product_id left join pike.tax_rates x on x.id = l.tax_rate_id
            where i.{document}_number is not null order by 1, l.position"""
    )
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row["number"]].append(row)
    return found


@pytest.mark.requirement("R1")
@pytest.mark.parametrize("table", ["products", "customers", "invoices"])
async def test_every_row_carries_agreement_number_and_last_success(imported: Imported, table: str) -> None:
    bare = await imported.running.rows(
        f"""select * from pike.{table} where agreement_number is distinct from $1 or external_number is null
            or last_synced_at is null or last_attempt_at is null or last_problem is not null""",
        imported.agreement.number,
    )
    assert bare == []


@pytest.mark.requirement("R1", "R9")
async def test_every_record_of_economic_is_one_row(imported: Imported) -> None:
    books = imported.agreement
    products, customers = await by_number(imported, "products"), await by_number(imported, "customers")
    drafts = await by_number(imported, "invoices", "booked_number is null")
    assert set(products) == {*books.products.rows, imported.gone_product}
    assert {int(number) for number in customers} == set(books.customers.rows) | set(books.booked_of)
    assert {int(number) for number in drafts} == set(books.drafts.rows)
    assert set(await booked_by_number(imported)) == set(books.booked.rows)


@pytest.mark.requirement("R29")
@pytest.mark.parametrize("table", ["products", "customers", "invoices"])
async def test_last_synced_is_the_time_of_the_import(imported: Imported, table: str) -> None:
    earliest, latest = (
        await imported.running.rows(f"select min(last_synced_at) as a, max(last_synced_at) as b from pike.{table}")
    )[0].values()
    assert imported.began <= earliest <= latest <= datetime.now(UTC)


@pytest.mark.requirement("R4")
async def test_look_ups_get_no_tables_of_their_own(imported: Imported) -> None:
    tables = await imported.running.rows("select table_name from information_schema.tables where table_schema = 'pike'")
    assert {row["table_name"] for row in tables} == {
        "products", "customers", "invoices", "invoice_lines", "tax_rates",
    }  # fmt: skip


@pytest.mark.requirement("R4")
async def test_an_import_of_anything_else_is_refused(imported: Imported) -> None:
    failed = await imported.running.request("pike.import.requested", {"entities": ["payment_terms"]})
    assert failed.type == "economic.import.failed"


@pytest.mark.requirement("R5")
async def test_a_bill_event_has_no_queue_to_go_to(imported: Imported) -> None:
    with pytest.raises(Unroutable):
        await imported.running.publish("pike.bill.created", {"bill": {"id": "b1"}})


@pytest.mark.requirement("R5")
async def test_no_event_type_and_no_handler_is_about_bills() -> None:
    known = {*EVENTS, *handlers(SystemClock())}
    assert [name for name in known if "bill" in name] == []


@pytest.mark.requirement("R6", "R10")
async def test_an_import_writes_nothing_to_economic(imported: Imported) -> None:
    assert {request.method for request in imported.running.sandbox.requests} == {"GET"}


@pytest.mark.requirement("R10", "R12")
async def test_products_carry_economics_fields(imported: Imported) -> None:
    books = imported.agreement
    rows = await by_number(imported, "products", "vanished_at is null")
    found = {
        number: (row["name"], row["sku"], row["description"], row["price"], row["currency"], row["unit"])
        for number, row in rows.items()
    }
    assert found == {
        product.number: (
            product.name,
            product.number,
            plain(product.description),
            product.sales_price,
            "DKK",
            books.units[product.unit].name if product.unit else None,
        )
        for product in books.products
    }


@pytest.mark.requirement("R14")
async def test_a_product_has_the_domestic_account_of_its_group(imported: Imported) -> None:
    books = imported.agreement
    rows = await by_number(imported, "products", "vanished_at is null")
    assert {number: row["finance_account"] for number, row in rows.items()} == {
        product.number: books.product_groups[product.group].accounts[1] for product in books.products
    }


@pytest.mark.requirement("R30")
async def test_products_and_invoices_are_locked_and_customers_are_not(imported: Imported) -> None:
    sql = """select 'product' as kind, bool_and(locked) as all_locked, bool_or(locked) as any_locked from pike.products
             union all select 'invoice', bool_and(locked), bool_or(locked) from pike.invoices
             union all select 'customer', bool_and(locked), bool_or(locked) from pike.customers"""
    locks = {row["kind"]: (row["all_locked"], row["any_locked"]) for row in await imported.running.rows(sql)}
    assert locks == {"product": (True, True), "invoice": (True, True), "customer": (False, False)}


@pytest.mark.requirement("R15", "R16")
async def test_the_economic_name_is_the_customers_name(imported: Imported) -> None:
    rows = await by_number(imported, "customers", "vanished_at is null")
    assert {number: row["name"] for number, row in rows.items()} == {
        str(customer.number): customer.name for customer in imported.agreement.customers
    }


@pytest.mark.requirement("R15")
async def test_customers_carry_place_currency_and_bar(imported: Imported) -> None:
    rows = await by_number(imported, "customers", "vanished_at is null")
    found = {
        number: tuple(row[name] for name in ("zip", "city", "country", "vat_number", "currency", "barred"))
        for number, row in rows.items()
    }
    assert found == {
        str(c.number): (c.zip, c.city, c.country, c.cvr, c.currency, c.barred) for c in imported.agreement.customers
    }


def primary_contact_of(books: Agreement, number: int) -> Any:
    """The customer's own contact, else its attention person, else the first."""
    customer = books.customers[number]
    contacts = {
        contact.ui_number: contact for contact in books.contacts if contact.customer == number and contact.active
    }
    for wanted in (customer.contact, customer.attention):
        if wanted in contacts:
            return contacts[wanted]
    return contacts[min(contacts)] if contacts else None


@pytest.mark.requirement("R17")
async def test_the_primary_contact_is_split_on_the_last_space(imported: Imported) -> None:
    rows = await by_number(imported, "customers", "vanished_at is null")
    expected = {}
    for customer in imported.agreement.customers:
        contact = primary_contact_of(imported.agreement, customer.number)
        words = contact.name.split() if contact else []
        first, last = (" ".join(words[:-1]), words[-1]) if len(words) > 1 else (words[0] if words else None, None)
        expected[str(customer.number)] = (first, last, contact.name if contact else None)
    assert {value for value in expected.values() if value[1] and " " in value[0]}, "the seed has a name of three words"
    assert {
        number: (
            row["primary_contact_first_name"], row["primary_contact_last_name"], row["primary_contact_full_name"],
        )
        for number, row in rows.items()
    } == expected  # fmt: skip


@pytest.mark.requirement("R18")
async def test_the_email_is_the_customers_first_else_the_contacts(imported: Imported) -> None:
    rows = await by_number(imported, "customers", "vanished_at is null")
    expected = {}
    for customer in imported.agreement.customers:
        contact = primary_contact_of(imported.agreement, customer.number)
        expected[str(customer.number)] = (
            customer.email.split()[0] if customer.email else contact.email if contact else None
        )
    assert {number: row["primary_contact_email"] for number, row in rows.items()} == expected


@pytest.mark.requirement("R19")
async def test_the_address_is_the_primary_contacts_even_when_nobody_is_named(imported: Imported) -> None:
    rows = await by_number(imported, "customers", "vanished_at is null and primary_contact_full_name is null")
    assert rows, "the seed has customers without contacts"
    assert {number: row["primary_contact_address"] for number, row in rows.items()} == {
        number: plain(imported.agreement.customers[int(number)].address) for number in rows
    }


@pytest.mark.requirement("R21", "R22")
async def test_drafts_and_booked_invoices_say_what_they_are(imported: Imported) -> None:
    rows = await imported.running.rows("select status, booked_number, draft_number from pike.invoices")
    unpaid = {i.number for i in imported.agreement.booked if i.remainder != 0}
    expected = {(n, "booked" if n in unpaid else "paid") for n in imported.agreement.booked.rows}
    assert {(r["booked_number"], r["status"]) for r in rows if r["booked_number"]} == expected
    assert {(r["draft_number"], r["status"]) for r in rows if not r["booked_number"]} == {
        (n, "draft") for n in imported.agreement.drafts.rows
    }


def title_of(invoice: Any) -> str:
    first = next((part for part in re.split(r"[\r\n]+", invoice.text1 or "") if part), None)
    return str(invoice.heading or first or f"Invoice {invoice.number}")


@pytest.mark.requirement("R23")
async def test_the_title_is_the_heading_else_the_first_line_of_the_note_else_the_number(imported: Imported) -> None:
    booked = list(imported.agreement.booked)
    assert {bool(i.heading) for i in booked} == {True, False}
    assert any(i.text1 and not i.heading for i in booked), "the seed has invoices with a note and no heading"
    rows = await booked_by_number(imported)
    assert {number: row["title"] for number, row in rows.items()} == {i.number: title_of(i) for i in booked}


@pytest.mark.requirement("R24")
async def test_a_deleted_customer_is_made_from_the_recipient_and_inactive(imported: Imported) -> None:
    books = imported.agreement
    invoice = next(i for i in books.booked if i.customer not in books.customers)
    row = (await by_number(imported, "customers"))[str(invoice.customer)]
    got = (row["name"], row["address"], row["zip"], row["city"], row["country"], row["active"])
    to = invoice.recipient
    assert got == (to.name, to.address, to.zip, to.city, to.country, False)


@pytest.mark.requirement("R24")
async def test_every_invoice_points_at_its_customer(imported: Imported) -> None:
    rows = await imported.running.rows(
        """select i.booked_number, i.draft_number, c.external_number from pike.invoices i
           left join pike.customers c on c.id = i.customer_id"""
    )
    books = imported.agreement
    assert {r["booked_number"]: r["external_number"] for r in rows if r["booked_number"]} == {
        i.number: str(i.customer) for i in books.booked
    }
    assert {r["draft_number"]: r["external_number"] for r in rows if not r["booked_number"]} == {
        d.number: str(d.customer) for d in books.drafts
    }


@pytest.mark.requirement("R25")
async def test_barred_products_are_linked_and_inactive(imported: Imported) -> None:
    rows = await by_number(imported, "products", "vanished_at is null")
    assert any(product.barred for product in imported.agreement.products)
    assert {n: row["active"] for n, row in rows.items()} == {
        p.number: not p.barred for p in imported.agreement.products
    }


@pytest.mark.requirement("R25")
async def test_a_product_that_only_invoices_know_is_linked_and_inactive(imported: Imported) -> None:
    row = (await by_number(imported, "products"))[imported.gone_product]
    assert (row["active"], row["locked"], row["agreement_number"]) == (False, True, imported.agreement.number)


@pytest.mark.requirement("R25")
async def test_lines_keep_their_products_and_text_lines_stay_text(imported: Imported) -> None:
    found = await lines_of(imported, "booked")
    expected = {
        i.number: [(line.product, plain(line.description)) for line in sorted_lines(i)]
        for i in imported.agreement.booked
    }
    assert any(product is None for lines in expected.values() for product, _ in lines)
    assert {n: [(line["product"], line["description"]) for line in lines] for n, lines in found.items()} == expected


def sorted_lines(document: Any) -> list[Any]:
    return sorted(document.lines, key=lambda line: line.sort_key)


@pytest.mark.requirement("R21")
@pytest.mark.parametrize("document", ["booked", "draft"])
async def test_lines_carry_quantity_price_discount_and_net_to_the_oere(imported: Imported, document: str) -> None:
    books = imported.agreement.booked if document == "booked" else imported.agreement.drafts
    found = await lines_of(imported, document)
    assert {
        n: [(line["quantity"], line["unit_price"], line["discount_percent"] or 0, line["net_amount"]) for line in lines]
        for n, lines in found.items()
    } == {
        d.number: [(line.quantity, line.unit_price, line.discount, line.net) for line in sorted_lines(d)]
        for d in books
        if d.lines
    }


@pytest.mark.requirement("R26")
@pytest.mark.parametrize("document", ["booked", "draft"])
async def test_dates_are_the_documents_own(imported: Imported, document: str) -> None:
    rows = await imported.running.rows(
        f"""select {document}_number as number, issue_date, due_date from pike.invoices
            where status {"=" if document == "draft" else "<>"} 'draft'"""
    )
    books = imported.agreement.booked if document == "booked" else imported.agreement.drafts
    assert {row["number"]: (row["issue_date"], row["due_date"]) for row in rows} == {
        d.number: (d.date, d.due_date) for d in books
    }


@pytest.mark.requirement("R27")
async def test_each_booked_line_points_at_its_tax_rate(imported: Imported) -> None:
    found = await lines_of(imported, "booked")
    expected = {i.number: [line.vat_rate for line in sorted_lines(i)] for i in imported.agreement.booked}
    assert {rate for rates in expected.values() for rate in rates} == {Decimal(0), Decimal(25)}
    assert {n: [line["rate"] for line in lines] for n, lines in found.items()} == expected


@pytest.mark.requirement("R27")
async def test_draft_lines_get_the_rate_of_product_group_and_zone(imported: Imported) -> None:
    found = await lines_of(imported, "draft")
    assert {n: [line["rate"] for line in lines if line["product"]] for n, lines in found.items()} == {
        d.number: [line.vat_rate for line in sorted_lines(d) if line.product]
        for d in imported.agreement.drafts
        if d.lines
    }


@pytest.mark.requirement("R27")
async def test_a_tax_rate_is_one_row_per_agreement_rate_and_name(imported: Imported) -> None:
    rows = await imported.running.rows(
        "select name, rate, vat_code, agreement_number from pike.tax_rates order by rate"
    )
    assert [tuple(row.values()) for row in rows] == [
        ("0 %", Decimal(0), None, imported.agreement.number),
        ("25 %", Decimal(25), "U25", imported.agreement.number),
    ]


@pytest.mark.requirement("R21")
@pytest.mark.parametrize("document", ["booked", "draft"])
async def test_amounts_are_in_the_documents_own_currency(imported: Imported, document: str) -> None:
    rows = await imported.running.rows(
        f"""select {document}_number as number, currency, net_amount, vat_amount, gross_amount from pike.invoices
            where status {"=" if document == "draft" else "<>"} 'draft'"""
    )
    books = imported.agreement.booked if document == "booked" else imported.agreement.drafts
    assert "EUR" in {d.currency for d in books}
    assert {tuple(row.values()) for row in rows} == {(d.number, d.currency, d.net, d.vat, d.gross) for d in books}


@pytest.mark.requirement("B13")
async def test_credit_notes_are_marked(imported: Imported) -> None:
    rows = await imported.running.rows("select booked_number from pike.invoices where is_credit_note")
    expected = {i.number for i in imported.agreement.booked if i.gross < 0}
    assert expected
    assert {row["booked_number"] for row in rows} == expected


@pytest.mark.requirement("B13")
async def test_the_unpaid_rest_is_kept(imported: Imported) -> None:
    assert {i.remainder == 0 for i in imported.agreement.booked} == {True, False}
    rows = await booked_by_number(imported)
    assert {n: row["remainder"] for n, row in rows.items()} == {
        i.number: i.remainder for i in imported.agreement.booked
    }


@pytest.mark.requirement("B7")
async def test_the_report_has_economics_sums_to_the_oere(imported: Imported) -> None:
    report = imported.done.data.report
    found = {
        (row.currency, row.year): (row.count, row.net, row.vat, row.gross)
        for row in report.rows
        if row.kind == "booked" and row.year
    }
    assert found == {
        key: (sums.count, sums.net, sums.vat, sums.gross) for key, sums in imported.agreement.totals().items()
    }


@pytest.mark.requirement("B7")
async def test_the_report_ends_with_the_grand_total_in_base_currency(imported: Imported) -> None:
    row = imported.done.data.report.rows[-1]
    net = sum(invoice.net_base for invoice in imported.agreement.booked)
    assert (row.kind, row.currency, row.net, row.economic_net, row.difference) == ("booked", "DKK", net, net, 0)


@pytest.mark.requirement("B7")
async def test_the_report_counts_products_and_customers(imported: Imported) -> None:
    counts = {row.kind: (row.count, row.economic_count) for row in imported.done.data.report.rows if not row.currency}
    products, customers = len(imported.agreement.products), len(imported.agreement.customers)
    assert counts == {"products": (products, products), "customers": (customers, customers)}


async def test_the_counts_add_up_to_what_economic_has(imported: Imported) -> None:
    counts, books = imported.done.data.counts, imported.agreement
    documents = len(books.drafts) + len(books.booked)
    created = {name: value.created for name, value in counts.items()}
    assert created == {"products": len(books.products), "customers": len(books.customers), "invoices": documents}


async def test_records_changed_names_every_new_row_once(imported: Imported) -> None:
    announced: dict[str, list[Any]] = defaultdict(list)
    for event in imported.running.answers(imported.done.correlation_id or "", "economic.records.changed"):
        announced[event.data.entity] += event.data.ids
    for entity in ("product", "customer", "invoice"):
        rows = await imported.running.rows(f"select id from pike.{entity}s")
        assert sorted(announced[entity]) == sorted(row["id"] for row in rows), entity


async def test_progress_ends_at_the_total_of_each_kind(imported: Imported) -> None:
    books = imported.agreement
    last = {}
    for event in imported.running.answers(imported.done.correlation_id or "", "economic.import.progressed"):
        last[event.data.entity] = (event.data.done, event.data.total)
    documents = len(books.drafts) + len(books.booked)
    assert last == {
        "products": (len(books.products),) * 2, "customers": (len(books.customers),) * 2, "invoices": (documents,) * 2,
    }  # fmt: skip
