"""The form of the confirmation page: what is offered, and what a browser sent back, checked against that."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from worker.handlers.agreement import Option, terms_of
from worker.handlers.connect_steps import Offer
from worker.store.connections import Choices

BOOKING = {"draft": "Leave it as a draft", "book": "Book it at once"}
ON_MISSING_CUSTOMER = {
    "create": "Create the customer",
    "halt": "Stop and say which one",
}
ON_MISSING_PRODUCT = {
    "halt": "Stop and say which one",
    "default": "Use another product",
}
INTERVALS = {"": "As usual (about 15 minutes)", "5": "5 minutes", "30": "30 minutes", "60": "1 hour", "1440": "1 day"}
REGISTERS = {
    "customer_group": "Group of new customers",
    "payment_terms": "Payment terms",
    "vat_zone": "VAT zone of new customers",
    "layout": "Invoice layout",
}
_NOT_OFFERED = {
    "on_missing_customer": "Invoices to a stand-in customer are not offered: they would carry the wrong name.",
    "on_missing_product": "Pike does not create products in e-conomic. Choose to stop, or a product to use instead.",
}
_MAX_PRODUCT = 25


@dataclass(frozen=True, slots=True)
class Filled:
    """What was chosen; ``problems`` by field, in sentences. ``choices`` counts only without problems."""

    values: Mapping[str, str]
    problems: Mapping[str, str]
    choices: Choices

    @property
    def product_number(self) -> str | None:
        """The product that stands in for missing ones, when that was chosen."""
        number = self.choices.defaults.get("default_product")
        return str(number) if number and self.choices.on_missing_product == "default" else None


def at_first(offer: Offer) -> dict[str, str]:
    """Return the values the form begins with: earlier choices for this agreement, else sensible ones."""
    before = None if offer.another else offer.before
    values = {name: str(offer.defaults.get(name, "")) for name in REGISTERS}
    return values | {
        "booking": before.booking if before else "draft",
        "on_missing_customer": before.on_missing_customer if before else "create",
        "on_missing_product": before.on_missing_product if before else "halt",
        "default_product": str(before.defaults.get("default_product") or "") if before else "",
        "sync_every_minutes": str(before.sync_every_minutes or "") if before else "",
    }


def read(offer: Offer, sent: Mapping[str, str]) -> Filled:
    """Check what a browser sent against what was offered."""
    problems: dict[str, str] = {}
    for name, offered in (
        ("booking", BOOKING),
        ("on_missing_customer", ON_MISSING_CUSTOMER),
        ("on_missing_product", ON_MISSING_PRODUCT),
        ("sync_every_minutes", INTERVALS),
    ):
        if sent.get(name, "") not in offered and sent.get(name) != at_first(offer)[name]:
            problems[name] = _NOT_OFFERED.get(name, "Choose one of the answers.")
    defaults = _registers(offer, sent, problems)
    product = sent.get("default_product", "").strip()
    if sent.get("on_missing_product") == "default":
        if not product or len(product) > _MAX_PRODUCT or not product.isprintable():
            problems["default_product"] = f"Give the number of a product, {_MAX_PRODUCT} characters at most."
        defaults["default_product"] = product
    if offer.another and sent.get("another") != "yes":
        problems["another"] = "Say that you mean another agreement than before."
    minutes = sent.get("sync_every_minutes", "")
    choices = Choices(
        booking=sent.get("booking", "draft"),
        on_missing_customer=sent.get("on_missing_customer", "create"),
        on_missing_product=sent.get("on_missing_product", "halt"),
        sync_every_minutes=int(minutes) if minutes.isascii() and minutes.isdigit() else None,
        defaults=defaults,
    )
    return Filled(dict(sent), problems, choices)


def _registers(offer: Offer, sent: Mapping[str, str], problems: dict[str, str]) -> dict[str, Any]:
    defaults: dict[str, Any] = {}
    for name in REGISTERS:
        rows = offer.verified.options.get(name, ())
        chosen = next((row for row in rows if str(row.number) == sent.get(name)), None)
        if chosen is None and rows:
            problems[name] = "Choose one of the agreement's."
        elif chosen is not None:
            defaults |= _default(name, chosen)
    return defaults


def _default(name: str, chosen: Option) -> dict[str, Any]:
    return terms_of(chosen) if name == "payment_terms" else {name: chosen.number}
