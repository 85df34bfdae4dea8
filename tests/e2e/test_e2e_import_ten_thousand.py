"""Ten thousand invoices field by field: Pike's rows against values computed here, from the seeded books alone."""

import re
from collections import defaultdict
from collections.abc import AsyncIterator
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from harness import Harness, harness

from worker.sandbox import Agreement, Sandbox, SeedSize

TEN_THOUSAND = SeedSize(customers=400, products=120, invoices=9_800, drafts=200)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """An agreement of ten thousand invoices."""
    async with Sandbox(seed=4, size=TEN_THOUSAND) as sandbox:
        yield sandbox


def one_line(text: str | None) -> str | None:
    found = " ".join((text or "").split())
    return found or None


def title(document: Any) -> str:
    first = next((part for part in re.split(r"[\r\n]+", document.text1 or "") if part.strip()), None)
    return one_line(document.heading) or one_line(first) or f"Invoice {document.number}"


def expected_invoice(document: Any, booked: bool) -> dict[str, Any]:
    paid = booked and (document.remainder == 0 or document.gross == 0)
    return {
        "status": "paid" if paid else "booked" if booked else "draft",
        "title": title(document),
        "customer": str(document.customer),
        "issue_date": document.date,
        "due_date": document.due_date,
        "currency": document.currency,
        "net_amount": document.net,
        "vat_amount": document.vat,
        "gross_amount": document.gross,
        "remainder": document.remainder if booked else None,
        "is_credit_note": document.gross < 0,
        "booked_number": document.number if booked else None,
    }


def expected_lines(document: Any) -> list[dict[str, Any]]:
    return [
        {
            "description": re.sub(r"\r\n?", "\n", line.description).strip() or None if line.description else None,
            "product": line.product,
            "quantity": line.quantity,
            "unit_price": line.unit_price,
            "discount_percent": line.discount or Decimal(0),
            "net_amount": net_of(line),
        }
        for line in sorted(document.lines, key=lambda line: line.sort_key)
    ]


def net_of(line: Any) -> Decimal:
    """Quantity x price less discount, to the øre, computed here and not read from anybody's answer."""
    exact = (line.quantity or 0) * (line.unit_price or 0) * (1 - line.discount / 100)
    return Decimal(exact).quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)


INVOICES = """
select i.*, c.external_number as customer from pike.invoices i join pike.customers c on c.id = i.customer_id
"""
LINES = """
select l.*, p.external_number as product, x.rate from pike.invoice_lines l
left join pike.products p on p.id = l.product_id left join pike.tax_rates x on x.id = l.tax_rate_id order by l.position
"""


@pytest.mark.requirement("R21", "R22", "R23", "R24", "R25", "R26", "R27", "B7")
async def test_ten_thousand_invoices_are_what_the_books_say_field_by_field(
    amqp_url: str, migrated_database_url: str, sandbox: Sandbox
) -> None:
    agreement: Agreement = sandbox.agreements[0]
    async with harness(amqp_url, migrated_database_url, sandbox) as running:
        await running.connect()
        done = await running.import_all()
        assert done.type == "economic.import.completed", done.data
        invoices, lines = await read(running)
    documents = [(d, True) for d in agreement.booked] + [(d, False) for d in agreement.drafts]
    assert len(documents) == len(invoices) == 10_000
    for document, booked in documents:
        row = invoices[document.number, booked]
        expected = expected_invoice(document, booked)
        assert {name: row[name] for name in expected} == expected
        found = [{**line, "discount_percent": line["discount_percent"] or Decimal(0)} for line in lines[row["id"]]]
        wanted = expected_lines(document)
        assert [{name: line[name] for name in want} for line, want in zip(found, wanted, strict=True)] == wanted
        rates = [line.vat_rate for line in sorted(document.lines, key=lambda line: line.sort_key) if line.product]
        assert [line["rate"] for line in found if line["product"]] == rates
        if booked and len(found) > 0:
            assert sum(line["vat_amount"] for line in found) == pytest.approx(document.vat, abs=Decimal("0.05"))
    differing = [row for row in done.data.report.rows if row.difference not in (None, 0)]
    assert differing == []


async def read(running: Harness) -> tuple[dict[tuple[int, bool], Any], dict[Any, list[dict[str, Any]]]]:
    invoices = {
        (row["booked_number"] or row["draft_number"], row["booked_number"] is not None): row
        for row in await running.rows(INVOICES)
    }
    lines: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for row in await running.rows(LINES):
        lines[row["invoice_id"]].append(row)
    return invoices, lines
