"""Filter expressions of both API surfaces, with values escaped as the live service wants it.

``$`` and ``)`` must be escaped; ``(``, ``*`` and ``,`` may be; brackets must stay bare in ``$eq:`` and become
``[[]`` under ``$like:`` (findings against live agreements, Pogoe/EConomic.NET docs/legacy-api-verification.md, 2026).
The whole expression is URL-encoded by the transport: an unencoded ``&`` would silently cut it.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime

MAX_IN = 200
"""Values that ``$in:[…]`` takes at most."""

_ESCAPED = frozenset("$()*,")


def text(value: str) -> str:
    """Escape a text value."""
    return "".join(f"${character}" if character in _ESCAPED else character for character in value)


def _value(value: str | int | date) -> str:
    if isinstance(value, str):
        return text(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return value.isoformat() if isinstance(value, date) else str(value)


def equals(field: str, value: str | int) -> str:
    """``field$eq:value``; the service compares texts without regard to case. Raises ValueError for an empty text."""
    if value == "":
        raise ValueError("an empty text cannot be compared")
    return f"{field}$eq:{_value(value)}"


def contains(field: str, value: str) -> str:
    """``field$like:value``: texts that hold the value anywhere. Raises ValueError for an empty text."""
    if value == "":
        raise ValueError("an empty text is contained everywhere")
    return f"{field}$like:{text(value).replace('[', '[[]')}"


def at_least(field: str, value: int | date) -> str:
    """``field$gte:value``; a datetime is written in UTC with whole seconds."""
    return f"{field}$gte:{_value(value)}"


def at_most(field: str, value: int | date) -> str:
    """``field$lte:value``."""
    return f"{field}$lte:{_value(value)}"


def more_than(field: str, value: int) -> str:
    """``field$gt:value``."""
    return f"{field}$gt:{value}"


def one_of(field: str, values: Iterable[int]) -> str:
    """``field$in:[1,2]``; whole numbers only, 1 to ``MAX_IN`` of them: for texts the service matches nothing."""
    listed = list(values)
    if not 0 < len(listed) <= MAX_IN:
        raise ValueError(f"$in takes 1 to {MAX_IN} values, {len(listed)} were given")
    return f"{field}$in:[{','.join(str(int(value)) for value in listed)}]"


def both(*expressions: str | None) -> str | None:
    """Join expressions with ``$and:``, leaving out absent ones; ``None`` when none is left."""
    present = [expression for expression in expressions if expression]
    return "$and:".join(present) if present else None


def either(*expressions: str) -> str:
    """Join expressions with ``$or:``."""
    return "$or:".join(dict.fromkeys(expressions))
