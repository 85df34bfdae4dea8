"""Draft and booked invoices on their way to Pike: titles, status, dates, lines, rates, every øre (R21-R27)."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mapping_factories import RULES, booked, cents, draft, line, percents, recorded

from schemas.invoice import EconomicBooked, EconomicDraft, InvoiceStatus
from worker.mapping.invoice import booked_to_pike, draft_to_pike
from worker.mapping.tax_rules import TaxRules


@pytest.mark.requirement("R23")
@pytest.mark.parametrize(
    ("notes", "title"),
    [
        ({"heading": " Februar\r\n2026 ", "text_line1": "x"}, "Februar 2026"),
        ({"heading": "  ", "text_line1": "\r\n \r\nIflg. aftale\r\nmere"}, "Iflg. aftale"),
        ({"text_line1": "\t"}, "Invoice 10027"),
        ({}, "Invoice 10027"),
    ],
)
def test_title_is_heading_then_first_text_then_number(notes: dict[str, str], title: str) -> None:
    assert booked_to_pike(booked(notes=notes)).title == title


@pytest.mark.requirement("B13", "R21")
@pytest.mark.parametrize(
    ("gross", "remainder", "status"),
    [
        ("125.00", "125.00", "booked"),
        ("125.00", "0.01", "booked"),
        ("125.00", "-5.00", "booked"),
        ("125.00", "0.00", "paid"),
        ("-125.00", "-125.00", "booked"),
        ("-125.00", "0.00", "paid"),
        ("0.00", None, "paid"),
        ("125.00", None, "booked"),
    ],
)
def test_booked_invoice_is_paid_when_nothing_remains(gross: str, remainder: str | None, status: str) -> None:
    assert booked_to_pike(booked(gross_amount=gross, remainder=remainder)).status == InvoiceStatus(status)


@pytest.mark.requirement("B13")
@pytest.mark.parametrize(
    ("net", "gross", "credit"),
    [("100", "125", False), ("-100", "-125", True), ("0", "0", False), ("-100", "0", True), ("100", "0", False)],
)
def test_negative_document_is_a_credit_note(net: str, gross: str, credit: bool) -> None:
    assert booked_to_pike(booked(net_amount=net, gross_amount=gross)).is_credit_note is credit


@pytest.mark.requirement("R26")
@given(st.dates(), st.none() | st.dates())
def test_dates_are_never_shifted(date: dt.date, due: dt.date | None) -> None:
    for document in (booked(date=date, due_date=due), draft(date=date, due_date=due)):
        row = draft_to_pike(document, RULES) if isinstance(document, EconomicDraft) else booked_to_pike(document)
        assert (row.issue_date, row.due_date) == (date, due)


@pytest.mark.requirement("R21")
def test_numbers_tell_draft_and_booked_apart() -> None:
    one, other = draft_to_pike(draft(), RULES), booked_to_pike(booked())
    assert (one.external_number, one.document, one.draft_number, one.booked_number) == ("88", "draft", 88, None)
    assert one.status is InvoiceStatus.DRAFT
    assert one.remainder is None
    assert (other.external_number, other.document, other.draft_number, other.booked_number) == (
        "10027",
        "booked",
        None,
        10027,
    )


@pytest.mark.requirement("R24")
def test_recipient_and_customer_are_carried() -> None:
    row = booked_to_pike(booked(recipient={"name": "Old\tname", "zip": "", "address": "a\rb"}, customer=None))
    assert row.customer_number is None
    assert row.recipient is not None
    assert (row.recipient.name, row.recipient.zip, row.recipient.address) == ("Old name", None, "a\nb")


def test_recorded_booked_invoice_becomes_a_row() -> None:
    row = booked_to_pike(EconomicBooked.model_validate(recorded("booked")))
    assert row.model_dump(exclude={"recipient", "lines"}) == {
        "external_number": "31",
        "document": "booked",
        "title": "Invoice 31",
        "status": InvoiceStatus.BOOKED,
        "customer_number": "1",
        "issue_date": dt.date(2024, 10, 24),
        "due_date": dt.date(2024, 11, 1),
        "currency": "DKK",
        "net_amount": Decimal("10.00"),
        "vat_amount": Decimal("0.00"),
        "gross_amount": Decimal("10.00"),
        "remainder": Decimal("10.00"),
        "is_credit_note": False,
        "booked_number": 31,
        "draft_number": None,
        "reference": "REF-1",
    }
    assert row.lines is not None
    assert [entry.tax_rate.name for entry in row.lines if entry.tax_rate] == ["0 %"]


def test_recorded_draft_becomes_a_row() -> None:
    row = draft_to_pike(EconomicDraft.model_validate(recorded("draft")), TaxRules.empty())
    assert (row.title, row.external_number, str(row.net_amount)) == ("#99999 Testkunde", "485", "1.00")
    assert row.lines is not None
    assert row.lines[0].product_number == "99999"
    assert row.lines[0].tax_rate is None


# --- lines ---------------------------------------------------------------------------------------------


def test_lines_that_were_not_read_stay_unknown() -> None:
    assert booked_to_pike(booked()).lines is None
    assert booked_to_pike(booked(lines=())).lines == ()


@pytest.mark.requirement("R25")
def test_text_line_stays_a_line_without_a_product() -> None:
    row = booked_to_pike(booked(lines=(line(description="Iflg.\raftale"), line(description="0", quantity=0))))
    assert row.lines is not None
    first, second = row.lines
    assert (first.product_number, first.quantity, first.unit_price, first.net_amount) == (None, None, None, Decimal(0))
    assert first.description == "Iflg.\naftale"
    assert second.quantity == 0


def test_lines_stand_in_the_documents_order_and_repeated_numbers_are_kept() -> None:
    lines = (
        line(line_number=1, sort_key=3, description="c"),
        line(line_number=1, sort_key=1, description="a"),
        line(line_number=1, sort_key=1, description="b"),
        line(line_number=9, description="d"),
    )
    row = booked_to_pike(booked(lines=lines))
    assert row.lines is not None
    assert [(entry.position, entry.description) for entry in row.lines] == [(1, "a"), (2, "b"), (3, "c"), (4, "d")]


def test_stated_net_goes_before_the_computed_one() -> None:
    lines = (
        line(quantity="3", unit_net_price="153.44", discount_percentage="10"),
        line(quantity="3", unit_net_price="153.44", total_net_amount="414.290000"),
        line(quantity="-1", unit_net_price="2.495"),
    )
    row = booked_to_pike(booked(lines=lines))
    assert row.lines is not None
    assert [str(entry.net_amount) for entry in row.lines] == ["414.29", "414.29", "-2.50"]


@pytest.mark.requirement("R27")
def test_booked_line_states_its_rate_and_the_account_names_the_code() -> None:
    lines = (
        line(vat_rate="25.000000", vat_amount="12.5000", booked_account=1010),
        line(vat_rate="12.5", booked_account=5),
        line(description="text"),
    )
    row = booked_to_pike(booked(lines=lines), {1010: "U25"})
    assert row.lines is not None
    rates = [(entry.tax_rate.name, entry.tax_rate.vat_code) if entry.tax_rate else None for entry in row.lines]
    assert rates == [("25 %", "U25"), ("12.5 %", None), None]
    assert (str(row.lines[0].vat_amount), row.lines[0].finance_account) == ("12.50", 1010)


@pytest.mark.requirement("R14", "R27")
def test_draft_line_takes_rate_and_account_from_the_recipients_zone() -> None:
    lines = (line(product={"product_number": "1042"}, quantity=1, unit_net_price=1), line(description="text"))
    for zone, name, account in ((1, "25 %", 1010), (2, "0 %", 1020)):
        row = draft_to_pike(draft(lines=lines, recipient={"vat_zone": {"vat_zone_number": zone}}), RULES)
        assert row.lines is not None
        rate = row.lines[0].tax_rate
        assert (rate.name if rate else None, row.lines[0].finance_account) == (name, account)
        assert (row.lines[1].tax_rate, row.lines[1].finance_account) == (None, None)


economic_lines = st.builds(
    lambda quantity, price, discount, stated, number, key, text: line(
        quantity=quantity,
        unit_net_price=price,
        discount_percentage=discount,
        total_net_amount=stated,
        line_number=number,
        sort_key=key,
        description=text,
    ),
    st.none() | cents,
    st.none() | cents,
    st.none() | percents,
    st.none() | cents,
    st.integers(0, 5),
    st.none() | st.integers(1, 5),
    st.none() | st.text(max_size=20),
)


@pytest.mark.requirement("B12")
@given(st.lists(economic_lines, max_size=8), cents, cents, cents)
def test_no_line_and_no_ore_is_lost(lines: list[Any], net: Decimal, vat: Decimal, remainder: Decimal) -> None:
    document = booked(lines=tuple(lines), net_amount=net, vat_amount=vat, gross_amount=net + vat, remainder=remainder)
    row = booked_to_pike(document)
    assert row.lines is not None
    assert [entry.position for entry in row.lines] == list(range(1, len(lines) + 1))
    assert (row.net_amount, row.vat_amount, row.gross_amount) == (net, vat, net + vat)
    assert row.remainder == remainder
    stated = sorted(entry.total_net_amount for entry in lines if entry.total_net_amount is not None)
    kept = sorted(entry.net_amount for entry in row.lines)
    for amount in stated:
        kept.remove(amount)
    assert len(kept) == len(lines) - len(stated)
    assert sorted(str(e.quantity or 0) for e in row.lines) == sorted(str(e.quantity or 0) for e in lines)
