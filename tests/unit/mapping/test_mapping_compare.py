"""What was sent beside what e-conomic stored: equal means no adjustment, any difference is named (R14, B12, F15)."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mapping_factories import DEFAULTS, booked, cents, economic_customer, percents, requested, requested_line, uid

from schemas.invoice import Adjustment, EconomicDraft, RequestedInvoice
from worker.mapping.compare import compare
from worker.mapping.push import expected_totals, to_economic


def stored(invoice: RequestedInvoice, **changes: Any) -> EconomicDraft:
    """The draft as e-conomic keeps it when it changes nothing but what a test says."""
    body = to_economic(invoice, economic_customer(), DEFAULTS, "Pike x").model_dump(
        mode="json", by_alias=True, exclude_none=True
    )
    net = expected_totals(invoice.lines)
    for line, amount in zip(body["lines"], net.lines, strict=True):
        line["totalNetAmount"] = f"{amount}0000"
    totals = {"netAmount": net.net, "vatAmount": 0, "grossAmount": net.net, "draftInvoiceNumber": 88}
    return EconomicDraft.model_validate(body | totals | changes)


@pytest.mark.requirement("B12")
@given(
    st.lists(st.tuples(cents, cents, st.none() | percents), min_size=1, max_size=5),
    st.text(max_size=40),
    st.none() | st.dates(dt.date(2026, 2, 28)),
)
def test_what_was_stored_as_sent_needs_no_adjustment(
    drawn: list[tuple[Decimal, Decimal, Decimal | None]], title: str, due: dt.date | None
) -> None:
    lines = [
        requested_line(number, quantity=quantity, unit_price=price, discount_percent=discount)
        for number, (quantity, price, discount) in enumerate(drawn, start=1)
    ]
    text = requested_line(99, product_id=None, product_number=None, quantity="3", unit_price="0")
    invoice = requested(*lines, text, title=title, due_date=due)
    assert compare(invoice, stored(invoice)) == []


@pytest.mark.requirement("R14")
def test_another_finance_account_is_an_adjustment_of_the_line() -> None:
    invoice = requested(requested_line(1, finance_account=4000), requested_line(2))
    expected = [Adjustment(line_id=uid(1001), field="finance_account", sent=4000, stored=1010)]
    assert compare(invoice, stored(invoice), {"1042": 1010}) == expected
    assert compare(invoice, stored(invoice), {"1042": 4000}) == []
    assert compare(invoice, stored(invoice)) == []


@pytest.mark.requirement("R14")
def test_account_stated_by_a_booked_line_goes_before_the_rules() -> None:
    invoice = requested(requested_line(1, finance_account=4000))
    line = {"product": {"product_number": "1042"}, "description": "Konsulenttime", "quantity": 2, "unit_net_price": 50}
    document = booked(
        lines=({**line, "booked_account": 1020},), notes={"heading": "Februar"}, due_date=dt.date(2026, 3, 14)
    )
    assert [entry.stored for entry in compare(invoice, document, {"1042": 4000})] == [1020]


@pytest.mark.requirement("B12", "F15")
def test_total_that_differs_by_one_ore_is_shown_with_both_figures() -> None:
    invoice = requested()
    found = compare(invoice, stored(invoice, netAmount="100.01"))
    assert found == [Adjustment(field="net_amount", sent="100.00", stored="100.01")]


def test_due_date_set_by_the_payment_terms_is_an_adjustment_of_the_invoice() -> None:
    invoice = requested()
    found = compare(invoice, stored(invoice, dueDate="2026-03-08"))
    assert found == [Adjustment(field="due_date", sent="2026-03-14", stored="2026-03-08")]


def test_every_changed_field_of_a_line_is_named() -> None:
    invoice = requested()
    document = stored(invoice)
    assert document.lines is not None
    changed = {
        "description": "Andet",
        "product": {"product_number": "9"},
        "quantity": Decimal(3),
        "unit_net_price": Decimal("40.1"),
        "discount_percentage": Decimal(5),
        "total_net_amount": Decimal("114.29"),
    }
    line = type(document.lines[0]).model_validate(document.lines[0].model_dump(by_alias=False) | changed)
    found = compare(invoice, document.model_copy(update={"lines": (line,)}))
    assert {(entry.field, entry.sent, entry.stored) for entry in found} == {
        ("description", "Konsulenttime", "Andet"),
        ("product_number", "1042", "9"),
        ("quantity", "2.00", "3.00"),
        ("unit_price", "50.00", "40.10"),
        ("discount_percent", "0.00", "5.00"),
        ("net_amount", "100.00", "114.29"),
    }
    assert {entry.line_id for entry in found} == {uid(1001)}


def test_missing_and_added_lines_are_counted() -> None:
    invoice = requested(requested_line(1), requested_line(2))
    document = stored(invoice)
    assert document.lines is not None
    shorter = document.model_copy(update={"lines": document.lines[:1]})
    assert compare(invoice, shorter) == [Adjustment(field="lines", sent=2, stored=1)]
    longer = document.model_copy(update={"lines": document.lines + document.lines[:1]})
    assert compare(invoice, longer) == [Adjustment(field="lines", sent=2, stored=3)]


def test_lines_that_were_not_read_are_not_compared() -> None:
    invoice = requested()
    assert compare(invoice, stored(invoice).model_copy(update={"lines": None})) == []


def test_lines_are_paired_in_the_documents_order() -> None:
    invoice = requested(requested_line(1), requested_line(2, description="Second"))
    document = stored(invoice)
    assert document.lines is not None
    assert compare(invoice, document.model_copy(update={"lines": document.lines[::-1]})) == []
