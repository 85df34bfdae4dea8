"""The filter and sort grammar that both surfaces share, as documented on restdocs.e-conomic.com and seen live.

``name$eq:Joe$and:(city$like:*port$or:age$lt:40)``; ``$and:`` binds tighter than ``$or:``. Strings compare without
case. ``$$ $( $) $* $,`` are escapes; ``$[`` and ``$]`` are documented but not honoured by the live service.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from worker.sandbox.filter_values import BadFilter, Kind, Test, compare, convert, like

COMPARE = frozenset({"eq", "ne", "lt", "lte", "gt", "gte"})
LISTS = frozenset({"in", "nin"})
ALL = COMPARE | LISTS | {"like"}
_MAX_LIST = 200
_ESCAPABLE = "$()*,"
_OPERATOR = re.compile(r"([A-Za-z0-9_.]+)\$(eq|ne|lte|lt|gte|gt|like|nin|in):")


class ServerFault(Exception):
    """A filter on which the live service is known to fall over with a 500."""


@dataclass(frozen=True, slots=True)
class Field:
    """One property of a record as filters see it. ``path`` leads to the attribute, dots allowed."""

    path: str
    kind: Kind = "text"
    operators: frozenset[str] = ALL
    sortable: bool = True
    only_equals: bool = False
    """True for a property on which anything but ``$eq:`` with a value makes the live service answer 500."""

    def getter(self) -> Callable[[Any], Any]:
        """Return a function that reads the value; a missing link on the way reads as None."""
        if "." not in self.path:
            return attrgetter(self.path)
        names = self.path.split(".")

        def read(row: Any) -> Any:
            for name in names:
                row = getattr(row, name, None)
            return row

        return read


Fields = Mapping[str, Field]


def parse_filter(text: str, fields: Fields, name_of: Callable[[str], str] = str) -> Test:
    """Return the test that a filter text describes. Raises ``BadFilter`` or ``ServerFault``."""
    parser = _Parser(text, fields, name_of)
    test = parser.alternatives()
    if parser.at < len(text):
        raise BadFilter(f"Unexpected text at position {parser.at}.")
    return test


def exact_text(text: str, name: str) -> str | None:
    """Return the value when a filter is just ``name$eq:value``, else None."""
    head = f"{name}$eq:"
    if not text.startswith(head):
        return None
    parser = _Parser(text, {}, str)
    parser.at = len(head)
    try:
        value = parser.value()
    except BadFilter:
        return None
    if parser.at < len(text) or value == ["\0null"]:
        return None
    return "".join(value).replace("\0", "")


class _Parser:
    def __init__(self, text: str, fields: Fields, name_of: Callable[[str], str]) -> None:
        self.text, self.fields, self.name_of, self.at = text, fields, name_of, 0

    def _take(self, token: str) -> bool:
        if self.text.startswith(token, self.at):
            self.at += len(token)
            return True
        return False

    def alternatives(self) -> Test:
        tests = [self._conjunction()]
        while self._take("$or:"):
            tests.append(self._conjunction())
        return tests[0] if len(tests) == 1 else lambda row: any(test(row) for test in tests)

    def _conjunction(self) -> Test:
        tests = [self._term()]
        while self._take("$and:"):
            tests.append(self._term())
        return tests[0] if len(tests) == 1 else lambda row: all(test(row) for test in tests)

    def _term(self) -> Test:
        if self._take("("):
            inner = self.alternatives()
            if not self._take(")"):
                raise BadFilter("Missing ')'.")
            return inner
        match = _OPERATOR.match(self.text, self.at)
        if match is None:
            raise BadFilter(f"Expected 'property$operator:value' at position {self.at}.")
        self.at = match.end()
        name, operator = self.name_of(match[1]), match[2]
        field = self.fields.get(name)
        if field is None:
            raise BadFilter(f"Filtering is not allowed on property '{match[1]}'.")
        if operator not in field.operators:
            raise BadFilter(f"Operator ${operator}: not supported on property {match[1]}.")
        return _test(name, field, operator, self.value())

    def value(self) -> list[str]:
        """Read up to the next ``$and:``, ``$or:``, ``)`` or the end; escapes become a NUL-marked character."""
        out: list[str] = []
        text = self.text
        while self.at < len(text):
            char = text[self.at]
            if char == ")":
                break
            if char != "$":
                out.append(char)
                self.at += 1
            elif text.startswith(("$and:", "$or:"), self.at):
                break
            elif text.startswith("$null:", self.at):
                self.at += len("$null:")
                return ["\0null"]
            elif self.at + 1 < len(text) and text[self.at + 1] in _ESCAPABLE:
                out.append("\0" + text[self.at + 1])
                self.at += 2
            elif self.at + 1 < len(text) and text[self.at + 1] in "[]":
                out.append("$")  # live behaviour: not an escape, both characters count
                self.at += 1
            else:
                raise BadFilter(f"Unexpected '$' at position {self.at}.")
        return out


def _test(name: str, field: Field, operator: str, value: list[str]) -> Test:
    read = field.getter()
    if field.only_equals and (operator != "eq" or value == ["\0null"]):
        raise ServerFault(name)
    if value == ["\0null"]:
        if operator not in ("eq", "ne"):
            raise BadFilter(f"Operator ${operator}: cannot compare with null.")
        return (lambda row: read(row) is None) if operator == "eq" else (lambda row: read(row) is not None)
    if operator == "like":
        pattern = like(value)
        return lambda row: (found := read(row)) is not None and pattern.match(str(found)) is not None
    if operator in LISTS:
        return _list_test(name, field, operator, value)
    wanted = convert(name, field.kind, "".join(value).replace("\0", ""))
    return compare(read, field.kind, operator, wanted)


def _list_test(name: str, field: Field, operator: str, value: list[str]) -> Test:
    if not value or value[0] != "[" or value[-1] != "]":
        raise BadFilter(f"Operator ${operator}: needs a list in brackets.")
    items, current = [], ""
    for char in value[1:-1]:
        if char == ",":
            items.append(current)
            current = ""
        else:
            current += char.removeprefix("\0")
    items.append(current)
    if len(items) > _MAX_LIST:
        raise BadFilter(f"Operator ${operator}: takes at most {_MAX_LIST} values.")
    read = field.getter()
    if field.kind == "text":
        known = {item.strip().casefold() for item in items}
        if operator == "in":
            return lambda row: (found := read(row)) is not None and found.casefold() in known
        return lambda row: (found := read(row)) is None or found.casefold() not in known
    values = {convert(name, field.kind, item.strip()) for item in items}
    return (lambda row: read(row) in values) if operator == "in" else (lambda row: read(row) not in values)


def parse_sort(text: str, fields: Fields) -> Callable[[list[Any]], list[Any]]:
    """Return a function that sorts rows as ``-name,~age`` says. Raises ``BadFilter`` for an unsortable name."""
    steps: list[tuple[Callable[[Any], Any], bool]] = []
    for part in text.split(","):
        name = part.strip()
        descending = name.startswith("-")
        alphabetic = name.lstrip("-").startswith("~")
        name = name.lstrip("-~")
        field = fields.get(name)
        if field is None or not field.sortable:
            raise BadFilter("Could not parse query string sort parameter.")
        steps.append((_sort_key(field, alphabetic=alphabetic), descending))

    def apply(rows: list[Any]) -> list[Any]:
        for key, descending in reversed(steps):
            rows = sorted(rows, key=key, reverse=descending)
        return rows

    return apply


def _sort_key(field: Field, *, alphabetic: bool) -> Callable[[Any], Any]:
    read = field.getter()

    def key(row: Any) -> Any:
        value = read(row)
        if value is None:
            return (0, 0)
        return (1, str(value).casefold() if alphabetic or field.kind == "text" else value)

    return key


def filterable(fields: Fields) -> Sequence[str]:
    """Return the names that may be filtered, in table order."""
    return [name for name, field in fields.items() if field.operators]
