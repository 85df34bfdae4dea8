"""Filter expressions of both API surfaces, with values escaped as the live service wants it.

``$`` and ``)`` must be escaped; ``(``, ``*`` and ``,`` may be; brackets must stay bare in ``$eq:`` (findings against
live agreements, Pogoe/EConomic.NET docs/legacy-api-verification.md, 2026). The whole expression is URL-encoded by the
client: an unencoded ``&`` would silently cut it.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime

MAX_IN = 200
"""Values that ``$in:[…]`` takes at most."""

_ESCAPED = frozenset("$()*,")


def text(value: str) -> str:
    """Escape a text value."""
    return "".join(f"${character}" if character in _ESCAPED else character for character in value)


def _value(value: str | float | date) -> str:
    if isinstance(value, str):
        return text(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return value.isoformat() if isinstance(value, date) else str(value)


def equals(field: str, value: str | int) -> str:
    """``field$eq:value``."""
    return f"{field}$eq:{_value(value)}"


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
    """``field$in:[1,2]``; numbers only, at most ``MAX_IN``: for texts the service matches nothing."""
    listed = list(values)
    if len(listed) > MAX_IN:
        raise ValueError(f"$in takes at most {MAX_IN} values, {len(listed)} were given")
    return f"{field}$in:[{','.join(str(value) for value in listed)}]"


def both(*expressions: str | None) -> str | None:
    """Join expressions with ``$and:``, leaving out absent ones; ``None`` when none is left."""
    present = [expression for expression in expressions if expression]
    return "$and:".join(present) if present else None
