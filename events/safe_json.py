"""JSON from strangers: size, depth, number length and ambiguity are checked, and amounts stay exact.

The checks that bound memory and recursion run before or while parsing, never after.
"""

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

from events.errors import MalformedEvent, malformed
from schemas.problem import Cause

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32
MAX_NUMBER = 40
"""Characters of one number literal, and the largest exponent: more is no amount and only burns memory."""

# A string is consumed as one token, so brackets in it do not count; possessive, so that unterminated strings and
# runs of backslashes stay linear.
_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def parse(body: bytes) -> Any:
    """Parse JSON. Numbers with a fraction become ``Decimal``. Raises ``MalformedEvent`` and nothing else."""
    if len(body) > MAX_BYTES:
        raise MalformedEvent(
            Cause.EVENT_TOO_LARGE,
            f"The event has {len(body):,} bytes; at most {MAX_BYTES:,} are read.",
            "Publish less in one event, for example an invoice with fewer lines, or split it.",
        )
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise malformed(f"The event is not UTF-8 text: byte {exc.start + 1} cannot be read.") from exc
    if nesting_exceeds(text, MAX_DEPTH):
        raise MalformedEvent(
            Cause.EVENT_TOO_DEEP,
            f"The event is nested more than {MAX_DEPTH} levels deep.",
            "No event of this service needs more than ten levels: the publisher must send flatter data.",
        )
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as exc:
        where = f"line {exc.lineno}, column {exc.colno}"
        raise malformed(f"The event is not JSON: {exc.msg[:1].lower()}{exc.msg[1:]} at {where}.") from exc


def nesting_exceeds(text: str, limit: int) -> bool:
    """Say whether brackets outside strings nest deeper than ``limit``; one pass, no recursion."""
    if text.count("[") + text.count("{") <= limit:
        return False
    depth = 0
    for token in _TOKEN.finditer(text):
        sign = text[token.start()]
        if sign in "[{":
            depth += 1
            if depth > limit:
                return True
        elif sign in "]}":
            depth -= 1
    return False


def _check_length(literal: str) -> None:
    if len(literal) > MAX_NUMBER:
        raise malformed(f"The event contains a number of {len(literal)} characters; at most {MAX_NUMBER} are read.")


def _integer(literal: str) -> int:
    _check_length(literal)
    return int(literal)


def _decimal(literal: str) -> Decimal:
    _check_length(literal)
    mantissa, _, exponent = literal.lower().partition("e")
    if exponent and abs(int(exponent)) > MAX_NUMBER:
        raise malformed("The event contains a number whose exponent is far out of range.")
    try:
        return Decimal(literal)
    except InvalidOperation as exc:  # pragma: no cover - the JSON scanner only passes valid literals
        raise malformed(f"The event contains a number that cannot be read, {mantissa!r}.") from exc


def _no_constant(name: str) -> NoReturn:
    raise malformed(f"The event contains {name}, which is not a number in JSON.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        name = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise malformed(f'The event names "{name[:60]}" twice in one object, so its meaning is not clear.')
    return found


def find_unstorable(value: Any, path: str = "") -> str | None:
    """Return the path of a text with a NUL or half a surrogate pair: no database column or reader takes those."""
    stack: list[tuple[str, Any]] = [(path, value)]
    while stack:
        where, entry = stack.pop()
        if isinstance(entry, str):
            if _UNSTORABLE.search(entry):
                return where or "the event"
        elif isinstance(entry, dict):
            for key, inner in entry.items():
                if _UNSTORABLE.search(key):
                    return where or "the event"
                stack.append((f"{where}.{key}" if where else key, inner))
        elif isinstance(entry, list):
            stack.extend((f"{where}[{index}]", inner) for index, inner in enumerate(entry))
    return None


_DECODER = json.JSONDecoder(
    parse_float=_decimal, parse_int=_integer, parse_constant=_no_constant, object_pairs_hook=_object
)
