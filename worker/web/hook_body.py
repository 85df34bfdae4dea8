"""What a webhook call says: a few short values, in whatever form it was set up to send them. Pure.

Ours sends lines; hooks set up by hand put the values into the address or send a form or JSON. Nothing of it is
believed: it only names a record to read again.
"""

import json
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

from worker.store.hints import Hint, Kind

MAX_BODY = 8 * 1024
"""Bytes of a call's body; ours has less than a hundred."""

_MOST_VALUES = 20
_KINDS: Mapping[str, Kind] = {"CUSTOMER_UPDATED": "customer", "PRODUCT_UPDATED": "product", "INVOICE_BOOKED": "invoice"}
_NAMES = {
    "event": "event", "type": "event", "eventtype": "event",
    "old": "old", "oldnumber": "old",
    "new": "new", "newnumber": "new",
    "number": "number", "invoiceno": "number",
}  # fmt: skip
_UNFILLED = re.compile(r"\[(?:NEWNUMBER|OLDNUMBER|INVOICENO)\]", re.IGNORECASE)
_WHOLE = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
_MAX_PRODUCT = 25


class BadCall(Exception):
    """The call cannot be understood; the text says what is wrong, in a sentence."""


def hint_of(query: Mapping[str, str], body: bytes) -> Hint:
    """Return the record that a call names. Raises ``BadCall``."""
    values = _values(query, body)
    event = values.get("event", "")
    kind = _KINDS.get(event.upper())
    if kind is None:
        raise BadCall(f'"event" must be one of {", ".join(_KINDS)}.')
    old, new = values.get("old", ""), values.get("new") or values.get("number", "")
    for number in (old, new):
        if _UNFILLED.fullmatch(number):
            raise BadCall("A merge field was not filled in; check how its name is spelled where the hook is set up.")
        if number and not _fits(kind, number):
            raise BadCall(f"This is not the number of a {kind}.")
    if not (old or new):
        raise BadCall("Neither an old nor a new number is given.")
    return Hint(kind, new or old, old if old and new and old != new else None)


def _fits(kind: Kind, number: str) -> bool:
    if kind == "product":
        return len(number) <= _MAX_PRODUCT and number.isprintable()
    return _WHOLE.fullmatch(number) is not None


def _values(query: Mapping[str, str], body: bytes) -> dict[str, str]:
    """Return the values by their usual names; what the body says counts more than the address."""
    try:
        text = body.decode().strip()
    except UnicodeDecodeError:
        raise BadCall("The body is not UTF-8.") from None
    said = {**query, **_of_body(text)}
    if len(said) > _MOST_VALUES:
        raise BadCall(f"More than {_MOST_VALUES} values are given.")
    named = ((_NAMES.get(name.strip().lower()), value) for name, value in said.items())
    return {name: value.strip() for name, value in named if name is not None}


def _of_body(text: str) -> dict[str, str]:
    if not text:
        return {}
    if text.startswith("{"):
        return _of_json(text)
    if "\n" in text or "&" not in text:
        lines = (line.partition("=") for line in text.splitlines())
        return {name: value for name, equals, value in lines if equals}
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_VALUES))
    except ValueError:
        raise BadCall(f"More than {_MOST_VALUES} values are given.") from None


def _of_json(text: str) -> dict[str, str]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise BadCall("The body is not complete JSON.") from None
    return {
        name: str(value)
        for name, value in document.items()
        if isinstance(value, str | int) and not isinstance(value, bool)
    }
