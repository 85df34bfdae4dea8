"""Pieces of sentences about one error of e-conomic: which line, which field, which value, in words for people."""

import re
from decimal import ROUND_HALF_UP, Decimal
from typing import TypeGuard

from worker.economic.findings import Finding

_MAX_SHOWN = 60
_MAX_DIGITS = 15
_CENT = Decimal("0.01")
_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_ABBREVIATIONS = {"vat": "VAT", "ean": "EAN", "zip": "ZIP"}
_SPOKEN = {
    "corporateidentificationnumber": "company registration number",
    "discountpercentage": "discount",
    "heading": "title",
    "other": "reference",
    "textline1": "first text",
    "textline2": "second text",
    "unitnetprice": "unit price",
    "vatnumber": "VAT number",
}
"""Fields whose name in e-conomic's API says nothing to a reader; Pike's own word where it has one."""


def on_line(finding: Finding) -> str:
    """``Line 9: `` when the error is about a line, else nothing."""
    return f"Line {finding.line}: " if finding.line else ""


def shown(finding: Finding) -> str:
    """Return the value that was sent, with a blank before it, when it is short and simple enough to be read."""
    value = finding.value
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return ""
    text = f"{value:f}" if _is_plain(value) else str(value)
    return f" {text}" if text.strip() and len(text) <= _MAX_SHOWN and text.isprintable() else ""


def named(thing: str, finding: Finding) -> str:
    """``product SKU-1``, or ``the product`` when the value cannot be shown."""
    value = shown(finding)
    return f"{thing}{value}" if value else f"the {thing}"


def field_name(finding: Finding) -> str:
    """Return the field in words: ``unitNetPrice`` → ``unit price``, ``vatZone.vatZoneNumber`` → ``VAT zone``."""
    name = next((part for part in reversed(finding.where) if isinstance(part, str)), "") or finding.name or ""
    if name.lower() in _SPOKEN:
        return _SPOKEN[name.lower()]
    words = _CAPITAL.sub(" ", name).lower().split()
    if len(words) > 1 and words[-1] == "number":
        words.pop()
    return " ".join(_ABBREVIATIONS.get(word, word) for word in words)


def decimals(finding: Finding) -> str:
    """Return how many decimals were sent and what rounding would make of them, or nothing when it is not known."""
    value = finding.value
    if not _is_plain(value):
        return ""
    exponent = value.normalize().as_tuple().exponent
    places = -exponent if isinstance(exponent, int) else 0
    if places <= 2:
        return ""
    return f" has {places} decimals; rounded it is {value.quantize(_CENT, ROUND_HALF_UP):f}"


def _is_plain(value: object) -> TypeGuard[Decimal]:
    """Say whether a value is a number of ordinary size; writing out any other could fill memory."""
    return isinstance(value, Decimal) and value.is_finite() and abs(value.adjusted()) < _MAX_DIGITS
