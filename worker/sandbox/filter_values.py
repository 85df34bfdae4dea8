"""What a filter compares: values read from text by kind, comparisons without case, and ``$like:`` patterns."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

Kind = Literal["text", "number", "date", "time", "flag"]
Test = Callable[[Any], bool]


class BadFilter(ValueError):
    """The filter cannot be read or is not allowed. The text is what the service would say."""


def compare(read: Callable[[Any], Any], kind: Kind, operator: str, wanted: Any) -> Test:
    """Return the test of one comparison; missing values are neither greater nor less."""
    if kind == "text":
        wanted = wanted.casefold()
        plain, read = read, (lambda row: None if (text := plain(row)) is None else text.casefold())
    if operator == "eq":
        return lambda row: bool(read(row) == wanted)
    if operator == "ne":
        return lambda row: bool(read(row) != wanted)
    if operator == "gt":
        return lambda row: (found := read(row)) is not None and bool(found > wanted)
    if operator == "gte":
        return lambda row: (found := read(row)) is not None and bool(found >= wanted)
    if operator == "lt":
        return lambda row: (found := read(row)) is not None and bool(found < wanted)
    return lambda row: (found := read(row)) is not None and bool(found <= wanted)


def convert(name: str, kind: Kind, text: str) -> Any:
    """Return a filter value of that kind. Raises ``BadFilter``."""
    try:
        match kind:
            case "number":
                return Decimal(text)
            case "date":
                return date.fromisoformat(text[:10])
            case "time":
                moment = datetime.fromisoformat(text)
                return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            case "flag":
                return {"true": True, "false": False}[text.lower()]
            case _:
                return text
    except (ValueError, InvalidOperation, KeyError) as exc:
        raise BadFilter(f"Value '{text}' is not valid for property '{name}'.") from exc


def like(value: list[str]) -> re.Pattern[str]:
    """Translate a ``$like:`` value: ``*`` is any text, ``[...]`` a SQL character class, no ``*`` means contains."""
    parts: list[str] = []
    wild = False
    index = 0
    while index < len(value):
        char = value[index]
        closing = value.index("]", index + 1) if char == "[" and "]" in value[index + 1 :] else -1
        if char == "*":
            parts.append(".*")
            wild = True
        elif closing > index + 1:
            members = "".join(value[index + 1 : closing]).replace("\0", "").replace("\\", r"\\").replace("[", r"\[")
            parts.append(f"[{members}]")
            index = closing
        else:
            parts.append(re.escape(char.removeprefix("\0")))
        index += 1
    body = "".join(parts)
    return re.compile(f"{body}\\Z" if wild else f".*{body}", re.IGNORECASE | re.DOTALL)
