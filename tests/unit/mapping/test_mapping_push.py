"""An invoice on its way to e-conomic: what is sent, what is refused before sending and in which words (R3, F8, F9)."""

import datetime as dt
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mapping_factories import (
    DEFAULTS,
    cents,
    economic_customer,
    percents,
    requested,
    requested_line,
    uid,
)

from schemas.customer import EconomicCustomer
from schemas.invoice import RequestedInvoice
from schemas.problem import Cause, Problem
from worker.errors import Refused
from worker.mapping.push import InvoiceDefaults, expected_totals, reference_for, to_economic

NO_PRODUCT: dict[str, Any] = {"product_id": None, "product_number": None}


def refusal(
    invoice: RequestedInvoice, customer: EconomicCustomer | None = None, defaults: InvoiceDefaults = DEFAULTS
) -> Problem:
    with pytest.raises(Refused) as caught:
        to_economic(invoice, customer or economic_customer(), defaults, "Pike x")
    assert caught.value.problem.final
    return caught.value.problem


@pytest.mark.requirement("R3", "R23")
def test_draft_is_one_document_with_header_and_lines() -> None:
    invoice = requested(
        requested_line(1, description="Hours\r\nMay", quantity="7.500", unit_price="950", discount_percent="10"),
        requested_line(2, description="As agreed", quantity="0", unit_price="0", **NO_PRODUCT),
    )
    customer = economic_customer(address="Østergade 12\r", zip="8000", layout={"layout_number": 21})
    sent = to_economic(invoice, customer, DEFAULTS, "Pike x").model_dump(mode="json", by_alias=True, exclude_none=True)
    assert sent == {
        "date": "2026-02-28",
        "dueDate": "2026-03-14",
        "currency": "DKK",
        "paymentTerms": {"paymentTermsNumber": 1},
        "customer": {"customerNumber": 7},
        "recipient": {
            "name": "Nørre Tømrer ApS",
            "vatZone": {"vatZoneNumber": 1},
            "address": "Østergade 12",
            "zip": "8000",
        },
        "layout": {"layoutNumber": 21},
        "references": {"other": "Pike x"},
        "notes": {"heading": "Februar"},
        "lines": [
            {
                "lineNumber": 1,
                "description": "Hours\nMay",
                "product": {"productNumber": "1042"},
                "quantity": "7.50",
                "unitNetPrice": "950.00",
                "discountPercentage": "10.00",
            },
            {"lineNumber": 2, "description": "As agreed"},
        ],
    }


def test_customers_own_terms_and_layout_go_before_the_defaults() -> None:
    own = economic_customer(payment_terms={"payment_terms_number": 5}, layout={"layout_number": 21})
    none = economic_customer(payment_terms={"payment_terms_number": 0})
    for customer, terms, layout in ((own, 5, 21), (none, 1, 19)):
        sent = to_economic(requested(), customer, DEFAULTS, "Pike x")
        assert (sent.payment_terms.payment_terms_number, sent.layout.layout_number) == (terms, layout)


def test_invoice_without_a_title_has_no_heading() -> None:
    assert to_economic(requested(title=" "), economic_customer(), DEFAULTS, "Pike x").notes is None


@pytest.mark.requirement("B1")
@given(st.uuids(), st.integers(1, 10**7))
def test_reference_is_always_the_same_short_and_names_the_invoice(key: UUID, agreement: int) -> None:
    reference = reference_for(agreement, key)
    assert reference == reference_for(agreement, key) == f"Pike {key}"
    assert len(reference) <= 250


@pytest.mark.requirement("F8")
def test_too_many_decimals_name_the_line_and_show_the_rounded_effect() -> None:
    problem = refusal(requested(requested_line(1), requested_line(2, quantity="3", unit_price="12.345")))
    assert problem.cause is Cause.TOO_MANY_DECIMALS
    assert problem.fields == ["lines[1].unit_price"]
    assert "Line 2: the unit price 12.345 has 3 decimals; e-conomic takes 2." in problem.user_message
    assert "Rounded, the line comes to 37.05 instead of 37.04." in problem.user_message


@pytest.mark.requirement("F8")
@pytest.mark.parametrize("field", ["quantity", "unit_price", "discount_percent"])
def test_every_number_of_a_line_is_held_to_two_decimals(field: str) -> None:
    assert refusal(requested(requested_line(**{field: "1.001"}))).fields == [f"lines[0].{field}"]
    to_economic(requested(requested_line(**{field: "1.01000"})), economic_customer(), DEFAULTS, "Pike x")


@pytest.mark.requirement("F8")
def test_amount_without_a_product_is_refused_and_text_without_an_amount_is_sent() -> None:
    problem = refusal(requested(requested_line(), requested_line(2, **NO_PRODUCT)))
    assert (problem.cause, problem.fields) == (Cause.LINE_INCOMPLETE, ["lines[1].product_id"])
    assert "Line 2" in problem.user_message
    for nought in ({"quantity": "0"}, {"unit_price": "0"}):
        line = requested_line(2, **NO_PRODUCT, **nought)
        sent = to_economic(requested(line), economic_customer(), DEFAULTS, "Pike x").lines[0]
        assert (sent.product, sent.quantity, sent.unit_net_price) == (None, None, None)


@pytest.mark.requirement("R10")
@pytest.mark.parametrize("amounts", [{}, {"quantity": "0"}])
def test_product_that_is_not_linked_is_refused(amounts: dict[str, str]) -> None:
    problem = refusal(requested(requested_line(product_number=None, **amounts)))
    assert (problem.cause, problem.fields) == (Cause.PRODUCT_NOT_LINKED, ["lines[0].product_id"])


def test_quantity_nought_of_a_product_is_sent() -> None:
    sent = to_economic(requested(requested_line(quantity="0")), economic_customer(), DEFAULTS, "Pike x").lines[0]
    assert sent.quantity == 0
    assert sent.product is not None


@pytest.mark.requirement("F8")
@pytest.mark.parametrize("fields", [{}, {**NO_PRODUCT, "quantity": "0"}])
def test_line_without_a_description_is_refused_and_never_left_out(fields: dict[str, Any]) -> None:
    problem = refusal(requested(requested_line(description=" \r\n", **fields)))
    assert (problem.cause, problem.fields) == (Cause.LINE_INCOMPLETE, ["lines[0].description"])


@pytest.mark.requirement("F9")
@pytest.mark.parametrize(
    ("limit", "field", "build"),
    [
        (250, "title", lambda text: requested(title=text)),
        (2500, "lines[0].description", lambda text: requested(requested_line(description=text))),
    ],
)
def test_long_text_is_refused_with_a_counter_and_never_cut(limit: int, field: str, build: Any) -> None:
    assert to_economic(build("x" * limit), economic_customer(), DEFAULTS, "Pike x")
    problem = refusal(build("x" * (limit + 1)))
    assert (problem.cause, problem.fields) == (Cause.TEXT_TOO_LONG, [field])
    assert f"has {limit + 1} characters; e-conomic takes {limit}" in problem.user_message
    assert "by 1." in problem.remedy


@pytest.mark.requirement("F9")
def test_address_too_long_for_an_invoice_names_the_customer() -> None:
    problem = refusal(requested(), economic_customer(address="x" * 251))
    assert (problem.cause, problem.fields) == (Cause.TEXT_TOO_LONG, ["customer.address"])
    assert "Customer 7 (Nørre Tømrer ApS)" in problem.user_message


def test_due_date_before_the_invoices_date_is_refused() -> None:
    problem = refusal(requested(due_date=dt.date(2026, 2, 27)))
    assert (problem.cause, problem.fields) == (Cause.INVALID_DATES, ["due_date"])
    assert to_economic(requested(due_date=dt.date(2026, 2, 28)), economic_customer(), DEFAULTS, "Pike x")


def test_terms_by_due_date_need_one() -> None:
    terms = {"payment_terms_number": 5, "payment_terms_type": "dueDate"}
    assert refusal(requested(due_date=None), economic_customer(payment_terms=terms)).cause is Cause.INVALID_DATES
    by_default = InvoiceDefaults(layout_number=19, payment_terms_number=1, payment_terms_type="dueDate")
    assert refusal(requested(due_date=None), economic_customer(), by_default).cause is Cause.INVALID_DATES
    assert to_economic(requested(due_date=None), economic_customer(), DEFAULTS, "Pike x").due_date is None


@pytest.mark.requirement("F7")
def test_barred_customer_is_refused_by_name() -> None:
    problem = refusal(requested(), economic_customer(barred=True))
    assert problem.cause is Cause.CUSTOMER_BARRED
    assert "Nørre Tømrer ApS" in problem.user_message


@pytest.mark.requirement("F14")
def test_customer_without_a_vat_zone_is_refused_by_name() -> None:
    problem = refusal(requested(), economic_customer(vat_zone=None))
    assert problem.cause is Cause.VAT_ZONE_UNUSABLE
    assert "Customer 7" in problem.user_message


@pytest.mark.requirement("F5")
def test_currency_that_is_no_code_is_refused() -> None:
    assert refusal(requested(currency="kr")).cause is Cause.CURRENCY_UNUSABLE


@pytest.mark.parametrize("discount", ["-1", "100.01"])
def test_discount_outside_its_range_is_refused(discount: str) -> None:
    assert refusal(requested(requested_line(discount_percent=discount))).cause is Cause.INVALID_AMOUNTS


def test_invoice_without_lines_is_refused() -> None:
    assert refusal(requested().model_copy(update={"lines": ()})).fields == ["lines"]


def test_everything_wrong_is_told_at_once_and_long_lists_are_summed_up() -> None:
    lines = [requested_line(number, description="") for number in range(1, 9)]
    problem = refusal(requested(*lines, title="x" * 300))
    assert problem.cause is Cause.TEXT_TOO_LONG
    assert len(problem.fields) == 9
    assert "Line 4 " in problem.user_message
    assert "Line 5 " not in problem.user_message
    assert problem.user_message.endswith("And 4 more.")


# --- amounts -------------------------------------------------------------------------------------------

lines_strategy = st.lists(st.tuples(cents, cents, st.none() | percents, st.booleans()), min_size=1, max_size=8)


@pytest.mark.requirement("B12")
def test_expected_totals_are_rounded_per_line_half_away_from_nought() -> None:
    lines = [
        requested_line(1, quantity="3", unit_price="153.44", discount_percent="10"),
        requested_line(2, quantity="0.50", unit_price="0.01"),
        requested_line(3, quantity="-0.50", unit_price="0.01"),
        requested_line(4, quantity="9", unit_price="0", **NO_PRODUCT),
    ]
    totals = expected_totals(lines)
    assert [str(net) for net in totals.lines] == ["414.29", "0.01", "-0.01", "0.00"]
    assert str(totals.net) == "414.29"


@pytest.mark.requirement("B12")
@given(lines_strategy)
def test_totals_add_up_and_every_line_is_sent(drawn: list[tuple[Decimal, Decimal, Decimal | None, bool]]) -> None:
    lines = [
        requested_line(number, quantity=quantity, unit_price=price, discount_percent=discount)
        if product
        else requested_line(number, quantity=quantity, unit_price="0", **NO_PRODUCT)
        for number, (quantity, price, discount, product) in enumerate(drawn, start=1)
    ]
    totals = expected_totals(lines)
    assert sum(totals.lines) == totals.net
    sent = to_economic(requested(*lines), economic_customer(), DEFAULTS, "Pike x").lines
    assert [line.line_number for line in sent] == list(range(1, len(lines) + 1))
    for ours, theirs, net in zip(lines, sent, totals.lines, strict=True):
        exact = (ours.quantity * ours.unit_price) * (1 - (ours.discount_percent or 0) / Decimal(100))
        assert abs(exact - net) <= Decimal("0.005")
        if theirs.product is not None:
            assert (theirs.quantity, theirs.unit_net_price) == (ours.quantity, ours.unit_price)
            assert (theirs.discount_percentage or 0) == (ours.discount_percent or 0)


def test_line_ids_do_not_reach_economic() -> None:
    assert str(uid(1001)) not in to_economic(requested(), economic_customer(), DEFAULTS, "Pike x").model_dump_json()
