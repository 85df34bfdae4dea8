"""Small builders and strategies for the mapping tests: complete objects, of which a test names what matters to it."""

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from schemas.customer import EconomicContact, EconomicCustomer, LocalCustomer
from schemas.invoice import EconomicBooked, EconomicDraft, EconomicLine, RequestedInvoice, RequestedLine
from schemas.product import EconomicProduct
from schemas.terms import GroupSalesAccount, VatAccount
from worker.mapping.push import InvoiceDefaults
from worker.mapping.tax_rules import TaxRules

RECORDED = Path(__file__).parents[2] / "data" / "mapping"
DEFAULTS = InvoiceDefaults(layout_number=19, payment_terms_number=1, payment_terms_type="net")

# The machine's load must not decide: no deadline per example, no complaint about slow generation.

printable = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=60)
cents = st.decimals(-(10**7), 10**7, places=2)
percents = st.decimals(0, 100, places=2)


def uid(number: int) -> UUID:
    return UUID(int=number)


def recorded(name: str) -> Any:
    """A document as e-conomic answered it, amounts as exact decimals."""
    return json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"), parse_float=Decimal)


def economic_customer(**fields: Any) -> EconomicCustomer:
    base: dict[str, Any] = {
        "customer_number": 7,
        "name": "Nørre Tømrer ApS",
        "currency": "DKK",
        "payment_terms": {"payment_terms_number": 1},
        "vat_zone": {"vat_zone_number": 1},
    }
    return EconomicCustomer.model_validate(base | fields)


def contact(number: int, name: str = "Anna Holm", **fields: Any) -> EconomicContact:
    base: dict[str, Any] = {"customer_number": 7, "customer_contact_number": number, "name": name}
    return EconomicContact.model_validate(base | fields)


def local_customer(number: int = 1, **fields: Any) -> LocalCustomer:
    return LocalCustomer.model_validate({"id": uid(number), "name": "Nørre Tømrer ApS"} | fields)


def line(**fields: Any) -> EconomicLine:
    return EconomicLine.model_validate(fields)


def booked(**fields: Any) -> EconomicBooked:
    base: dict[str, Any] = {
        "booked_invoice_number": 10027,
        "date": dt.date(2026, 2, 28),
        "currency": "DKK",
        "net_amount": "100.00",
        "vat_amount": "25.00",
        "gross_amount": "125.00",
        "remainder": "125.00",
        "customer": {"customer_number": 7},
    }
    return EconomicBooked.model_validate(base | fields)


def draft(**fields: Any) -> EconomicDraft:
    base: dict[str, Any] = {
        "draft_invoice_number": 88,
        "date": dt.date(2026, 2, 28),
        "currency": "DKK",
        "net_amount": "100.000000",
        "vat_amount": "25.000000",
        "gross_amount": "125.000000",
        "customer": {"customer_number": 7},
        "recipient": {"name": "Nørre Tømrer ApS", "vat_zone": {"vat_zone_number": 1}},
    }
    return EconomicDraft.model_validate(base | fields)


def requested_line(number: int = 1, **fields: Any) -> RequestedLine:
    base: dict[str, Any] = {
        "id": uid(1000 + number),
        "description": "Konsulenttime",
        "quantity": "2",
        "unit_price": "50",
        "product_id": uid(40),
        "product_number": "1042",
    }
    return RequestedLine.model_validate(base | fields)


def requested(*lines: RequestedLine, **fields: Any) -> RequestedInvoice:
    base: dict[str, Any] = {
        "id": uid(20),
        "title": "Februar",
        "customer_id": uid(1),
        "issue_date": dt.date(2026, 2, 28),
        "due_date": dt.date(2026, 3, 14),
        "currency": "DKK",
        "lines": lines or (requested_line(),),
    }
    return RequestedInvoice.model_validate(base | fields)


def product(number: str = "1042", group: int = 1, **fields: object) -> EconomicProduct:
    base: dict[str, object] = {"product_number": number, "product_group": {"product_group_number": group}}
    return EconomicProduct.model_validate(base | fields)


def sales(zone: int, account: int, code: str | None) -> GroupSalesAccount:
    vat = {"vat_account": {"vat_code": code}} if code else {}
    return GroupSalesAccount.model_validate(
        {"vat_zone": {"vat_zone_number": zone}, "sales_account": {"account_number": account} | vat}
    )


RULES = TaxRules.build(
    [product("1042"), product("2000", group=2), EconomicProduct(product_number="loose")],
    {1: [sales(1, 1010, "U25"), sales(2, 1020, "REP"), sales(3, 1030, None)], 2: [sales(1, 1110, "GONE")]},
    [
        VatAccount(vat_code="U25", rate_percentage=Decimal("25.00000000")),
        VatAccount(vat_code="REP", rate_percentage=Decimal(0)),
    ],
)
