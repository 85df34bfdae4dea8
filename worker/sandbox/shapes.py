"""What a request body may look like: types, limits and required properties, checked into one error tree.

Unknown properties are dropped, ``null`` and 0 for identifiers are refused, enum spelling is strict (seen live).
The tree mirrors the request: ``{"lines": {"items": [{"arrayIndex": 3, "product": {"errors": [...]}}]}}``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from worker.sandbox.answers import ApiError
from worker.sandbox.keys import decode_key

Path = tuple[str | int, ...]
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_MAX_NUMBER = Decimal(10) ** 15


class Problems:
    """Collects what is wrong with one request."""

    def __init__(self) -> None:
        self.tree: dict[str, Any] = {}
        self.count = 0

    def add(self, path: Path, code: str | None, message: str, value: Any = None, hint: str | None = None) -> None:
        """Note one error at a property of the request. ``code`` is None where the service's own is not known."""
        node = self.tree
        for step in path:
            node = _array_item(node, step) if isinstance(step, int) else node.setdefault(step, {})
        name = next((step for step in reversed(path) if isinstance(step, str)), "")
        error: dict[str, Any] = {"propertyName": name, "errorMessage": message}
        if code:
            error["errorCode"] = code
        if value is not None:
            error["inputValue"] = value
        if hint:
            error["developerHint"] = hint
        node.setdefault("errors", []).append(error)
        self.count += 1

    def raise_if_any(self) -> None:
        """Raise the umbrella E04300 when something was noted."""
        if self.count:
            found = "1 error" if self.count == 1 else f"{self.count} errors"
            raise ApiError(
                400,
                f"Validation failed. {found} found.",
                "E04300",
                hint="Inspect validation errors and correct your request.",
                errors=self.tree,
                extra={"errorCount": self.count},
            )


def _array_item(node: dict[str, Any], index: int) -> dict[str, Any]:
    items: list[dict[str, Any]] = node.setdefault("items", [])
    for item in items:
        if item["arrayIndex"] == index:
            return item
    items.append({"arrayIndex": index})
    return items[-1]


def _type_name(value: Any) -> str:
    if value is None:
        return "Null"
    names = {bool: "Boolean", int: "Integer", Decimal: "Number", str: "String", list: "Array", dict: "Object"}
    return names[type(value)]


@dataclass(frozen=True, slots=True)
class Text:
    """A string with length limits."""

    max: int | None = None
    min: int = 0
    pattern: str | None = None

    def read(self, value: Any, path: Path, problems: Problems) -> Any:
        """Return the checked text or None."""
        if not isinstance(value, str):
            problems.add(path, None, f"Invalid type. Expected String but got {_type_name(value)}.", value)
        elif self.max is not None and len(value) > self.max:
            problems.add(path, None, f"String exceeds maximum length of {self.max}.", value)
        elif len(value) < self.min:
            problems.add(path, None, f"String is less than minimum length of {self.min}.", value)
        elif self.pattern and not re.fullmatch(self.pattern, value):
            problems.add(path, None, f"String does not match regex pattern '{self.pattern}'.", value)
        else:
            return value
        return None


@dataclass(frozen=True, slots=True)
class Whole:
    """An integer; identifiers start at 1."""

    min: int = 1
    max: int = 2_147_483_647

    def read(self, value: Any, path: Path, problems: Problems) -> Any:
        """Return the checked integer or None."""
        if isinstance(value, bool) or not isinstance(value, int):
            problems.add(path, None, f"Invalid type. Expected Integer but got {_type_name(value)}.", value)
        elif value < self.min:
            problems.add(path, None, f"Integer {value} is less than minimum value of {self.min}.", value)
        elif value > self.max:
            problems.add(path, None, f"Integer {value} exceeds maximum value of {self.max}.", value)
        else:
            return value
        return None


@dataclass(frozen=True, slots=True)
class Number:
    """A number with at most so many decimals (E04740)."""

    decimals: int = 2

    def read(self, value: Any, path: Path, problems: Problems) -> Any:
        """Return the checked Decimal, padded to the decimals, or None."""
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            problems.add(path, None, f"Invalid type. Expected Number but got {_type_name(value)}.", value)
            return None
        number = Decimal(value)
        if abs(number) > _MAX_NUMBER:
            problems.add(path, None, f"Number exceeds maximum value of {_MAX_NUMBER}.", value)
            return None
        rounded = round(number, self.decimals)
        if rounded != number:
            problems.add(path, "E04740", f"Maximum number of decimals is {self.decimals}.", value)
            return None
        return rounded


@dataclass(frozen=True, slots=True)
class Flag:
    """A boolean."""

    def read(self, value: Any, path: Path, problems: Problems) -> Any:
        """Return the checked boolean or None."""
        if isinstance(value, bool):
            return value
        problems.add(path, None, f"Invalid type. Expected Boolean but got {_type_name(value)}.", value)
        return None


@dataclass(frozen=True, slots=True)
class Day:
    """A date as ``YYYY-MM-DD``."""

    def read(self, value: Any, path: Path, problems: Problems) -> Any:
        """Return the checked date or None."""
        try:
            if isinstance(value, str) and _DAY.fullmatch(value):
                return date.fromisoformat(value)
        except ValueError:
            pass
        problems.add(path, None, "Invalid date. Expected format YYYY-MM-DD.", value)
        return None


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a closed set; casing counts."""

    values: frozenset[str]

    def read(self, value: Any, path: Path, problems: Problems) -> Any:
        """Return the checked value or None."""
        if isinstance(value, str) and value in self.values:
            return value
        problems.add(path, None, f"Value '{value}' is not defined in enum.", value)
        return None


@dataclass(frozen=True, slots=True)
class Ref:
    """A reference: the number or a ``self`` link, reduced to the key. Neither is E04500."""

    key: str
    text: bool = False
    extra: "Mapping[str, Shape]" = field(default_factory=dict)

    def read(self, value: Any, path: Path, problems: Problems) -> Any:
        """Return the key, or the key with the extra properties when the reference has any."""
        if not isinstance(value, dict):
            problems.add(path, None, f"Invalid type. Expected Object but got {_type_name(value)}.", value)
            return None
        found: Any = None
        if self.key in value:
            node = Text(25) if self.text else Whole()
            found = node.read(value[self.key], (*path, self.key), problems)
        elif isinstance(value.get("self"), str):
            segment = decode_key(value["self"].partition("?")[0].rstrip("/").rpartition("/")[2])
            found = segment if self.text else int(segment) if segment.isdecimal() and len(segment) < 10 else None
        if found is None:
            if self.key not in value:
                problems.add(path, "E04500", f"Specify either '{self.key}' or 'self'.", value)
            return None
        if not self.extra:
            return found
        rest = {n: s.read(value[n], (*path, n), problems) for n, s in self.extra.items() if n in value}
        return {"key": found, **rest}


@dataclass(frozen=True, slots=True)
class Obj:
    """An object; only named properties are kept."""

    properties: "Mapping[str, Shape]"
    required: tuple[str, ...] = ()

    def read(self, value: Any, path: Path, problems: Problems) -> Any:
        """Return the known properties, checked, as a dictionary."""
        if not isinstance(value, dict):
            problems.add(path, None, f"Invalid type. Expected Object but got {_type_name(value)}.", value)
            return None
        for name in self.required:
            if name not in value:
                problems.add((*path, name), None, f"Required property '{name}' is missing.")
        return {n: s.read(value[n], (*path, n), problems) for n, s in self.properties.items() if n in value}


@dataclass(frozen=True, slots=True)
class Arr:
    """A list of one shape."""

    item: "Shape"

    def read(self, value: Any, path: Path, problems: Problems) -> Any:
        """Return the checked items."""
        if not isinstance(value, list):
            problems.add(path, None, f"Invalid type. Expected Array but got {_type_name(value)}.", value)
            return None
        return [self.item.read(item, (*path, index), problems) for index, item in enumerate(value)]


Shape = Text | Whole | Number | Flag | Day | Choice | Ref | Obj | Arr
