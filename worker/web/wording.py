"""Records in words: which columns a page shows, what they are called, and how their values are written."""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from worker.store.lists import Entity
from worker.web import words

FIELDS: Mapping[Entity, Mapping[str, str]] = {
    "product": {
        "external_number": "Number in e-conomic",
        "sku": "SKU",
        "description": "Description",
        "unit": "Unit",
        "price": "Price",
        "finance_account": "Finance account",
        "active": "Active in Pike",
        "barred": "Barred in e-conomic",
    },
    "customer": {
        "external_number": "Number in e-conomic",
        "vat_number": "VAT number",
        "primary_contact_full_name": "Primary contact",
        "primary_contact_email": "E-mail",
        "primary_contact_address": "Contact's address",
        "address": "Address",
        "zip": "Postal code",
        "city": "City",
        "country": "Country",
        "currency": "Currency",
        "active": "Active in Pike",
        "barred": "Barred in e-conomic",
    },
    "invoice": {
        "external_number": "Number in e-conomic",
        "draft_number": "Draft number",
        "status": "Status",
        "issue_date": "Invoice date",
        "due_date": "Due date",
        "net_amount": "Net",
        "vat_amount": "VAT",
        "gross_amount": "Gross",
        "remainder": "Left to pay",
        "is_credit_note": "Credit note",
        "project_id": "Project",
    },
}
"""Columns of a record's page in their order, with their names."""

NAMES: Mapping[str, str] = {
    "name": "Name",
    "title": "Title",
    "customer_id": "Customer",
    "customer_number": "Customer's number",
    "booked_number": "Invoice number",
    "primary_contact_first_name": "Contact's first name",
    "primary_contact_last_name": "Contact's last name",
    **{name: label for labels in FIELDS.values() for name, label in labels.items()},
}
"""What a column is called where changes are told."""

STATUS: Mapping[str, tuple[str, str]] = {
    "pending": ("Not sent yet", "plain"),
    "draft": ("Draft", "plain"),
    "booked": ("Booked", "good"),
    "paid": ("Paid", "good"),
    "failed": ("Failed", "bad"),
    "outcome_unknown": ("Checking e-conomic", "warn"),
}
"""Status of an invoice → words and tone."""

_AMOUNTS = frozenset({"price", "net_amount", "vat_amount", "gross_amount", "remainder"})


def shown(record: Mapping[str, Any], name: str) -> str:
    """Write a column's value for people."""
    value = record[name]
    if name in _AMOUNTS:
        return exact(value, record.get("currency"))
    if name == "status":
        return STATUS.get(value, (str(value), ""))[0]
    return plain(value)


def exact(value: Decimal | None, currency: str | None = None) -> str:
    """Write an amount with all its decimals, two at least, and its thousands apart; the currency follows."""
    if value is None:
        return words.NOTHING
    places = max(2, -int(value.normalize().as_tuple().exponent))
    return f"{value:,.{places}f}" + (f" {currency}" if currency else "")


def amount(value: Decimal | str | None) -> str:
    """Write an amount that a report holds as a decimal text; one that is none is shown as it is."""
    try:
        return exact(Decimal(value) if value not in (None, "") else None)
    except (ArithmeticError, ValueError):
        return str(value)


def plain(value: object) -> str:
    """Write any value: yes and no, dates, amounts as exact as they are, nothing as a dash."""
    if value is None or value == "":
        return words.NOTHING
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, datetime):
        return words.moment(value)
    if isinstance(value, date):
        return words.day(value)
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def field_name(name: str) -> str:
    """Return what a column is called; one without a name of its own is spelled out."""
    return NAMES.get(name) or name.replace("_", " ").capitalize()


def actor(text: str) -> str:
    """Say who changed something, from the audit's short form."""
    kind, _, who = text.partition(":")
    return {
        "import": "Import",
        "refresh": "Refresh",
        "push": "Sent to e-conomic",
        "operator": f"Operator {who}",
        "webhook": "Change told by e-conomic",
    }.get(kind, text)


def status(name: str) -> tuple[str, str]:
    """Return words and tone for an invoice's status."""
    return STATUS.get(name, (name, "plain"))


def short(text: str | None, most: int = 160) -> str:
    """Return the beginning of a text that may be very long, where all of it is shown elsewhere or to nobody's use."""
    return text if text is not None and len(text) <= most else f"{(text or '')[:most]}…" if text else ""


FILTERS: Mapping[str, Any] = {
    "short": short,
    "exact": exact,
    "amount": amount,
    "value": plain,
    "field": field_name,
    "actor": actor,
    "status": status,
}
"""For templates."""
