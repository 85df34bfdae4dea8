"""JSON of answers without losing a digit.

pydantic reads a page in one go, but takes JSON numbers as binary floats on the way to ``Decimal``: exact up to 15
significant digits. A page with a longer number is read by the standard library instead, number texts and all. Both
ways give equal values; trailing zeros (``1.380000``) carry no meaning and are not kept by the first.
"""

import json
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

_MAX_EXPONENT = 400
_MAX_WHOLE = 60
_TO_ZERO = bytes.maketrans(b"123456789.", b"0" * 10)
_LONG_NUMBER = b"0" * 17
"""15 digits and a point are 16 characters; what has more may not survive as a binary float."""
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_SPACE = re.compile(r"[ \t\r\n]*")


def needs_care(body: bytes) -> bool:
    """Return whether a number in the body may be longer than a binary float holds. False alarms only cost time."""
    return _LONG_NUMBER in body.translate(_TO_ZERO)


def _real(text: str) -> Decimal | float:
    """Read a number with a point or exponent. What no amount can be becomes infinite, which every model refuses."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        return float("inf")
    return value if abs(value.adjusted()) < _MAX_EXPONENT else float("inf")


def _whole(text: str) -> int | float:
    """Read a whole number; one with absurdly many digits becomes infinite."""
    return int(text) if len(text) <= _MAX_WHOLE else float("inf")


_DECODER = json.JSONDecoder(parse_float=_real, parse_int=_whole)


def decode(body: bytes) -> Any:
    """Return the JSON with numbers as written. Raises ValueError or RecursionError for anything that is not JSON."""
    return _DECODER.decode(body.decode("utf-8-sig"))


def split_list(body: bytes, name: str) -> tuple[list[tuple[Any, str]], dict[str, Any]]:
    """Return the records of a top-level list, each with its text as sent, and the object's other values.

    Raises ValueError or RecursionError for anything that is not an object with that list.
    """
    text = body.decode("utf-8-sig")
    records: list[tuple[Any, str]] | None = None
    others: dict[str, Any] = {}
    position = _expect(text, 0, "{")
    if not _at(text, position, "}"):
        while True:
            key, position = _DECODER.raw_decode(text, _skip(text, position))
            position = _skip(text, _expect(text, position, ":"))
            if key == name and _at(text, position, "["):
                records, position = _records(text, position)
            else:
                others[str(key)], position = _DECODER.raw_decode(text, position)
            if not _at(text, position, ","):
                break
            position = _expect(text, position, ",")
    end = _skip(text, _expect(text, position, "}"))
    if end != len(text) or records is None:
        raise ValueError(f"no complete object with a list {name!r}")
    return records, others


def broken_text(value: Any, raw: str) -> str | None:
    """Return where a value read from ``raw`` holds half a character (``\\ud800`` alone), which nothing can store."""
    return _broken(value, "") if _SURROGATE.search(raw) else None


def _broken(value: Any, where: str) -> str | None:
    if isinstance(value, str):
        return where if any("\ud800" <= character <= "\udfff" for character in value) else None
    inside: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        inside = value.items()
    elif isinstance(value, list | tuple):
        inside = enumerate(value)
    found = (_broken(item, f"{where}.{name}" if where else str(name)) for name, item in inside)
    return next((path for path in found if path is not None), None)


def _records(text: str, position: int) -> tuple[list[tuple[Any, str]], int]:
    found: list[tuple[Any, str]] = []
    position = _expect(text, position, "[")
    for record, start, end in _elements(text, position):
        found.append((record, text[start:end]))
        position = end
    return found, _expect(text, position, "]")


def _elements(text: str, position: int) -> Iterator[tuple[Any, int, int]]:
    if _at(text, position, "]"):
        return
    while True:
        start = _skip(text, position)
        record, position = _DECODER.raw_decode(text, start)
        yield record, start, position
        if not _at(text, position, ","):
            return
        position = _expect(text, position, ",")


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _at(text: str, position: int, character: str) -> bool:
    return text.startswith(character, _skip(text, position))


def _expect(text: str, position: int, character: str) -> int:
    position = _skip(text, position)
    if not text.startswith(character, position):
        raise ValueError(f"expected {character!r} at character {position}")
    return position + 1
