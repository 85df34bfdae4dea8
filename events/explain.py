"""Validation errors in plain words: which field, and what it must be. Values are not repeated."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

MAX_LISTED = 5

_DECIMAL = 'must be a decimal number written as a string such as "1.50"'
_DATE = 'must be a date written YYYY-MM-DD, such as "2024-05-31"'
_UUID = 'must be a UUID such as "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"'
_TIME = 'must be a time with its zone, such as "2024-05-31T12:00:00Z"'
_WHOLE = "must be a whole number"
_LIST = "must be a list"
_OBJECT = "must be an object"

_FIXED: Mapping[str, str] = {
    "missing": "is missing",
    "extra_forbidden": "is not a known field",
    "string_type": "must be a text",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "date_type": _DATE,
    "date_parsing": _DATE,
    "date_from_datetime_parsing": _DATE,
    "date_from_datetime_inexact": _DATE,
    "datetime_type": _TIME,
    "datetime_parsing": _TIME,
    "datetime_from_date_parsing": _TIME,
    "timezone_aware": _TIME,
    "decimal_type": _DECIMAL,
    "decimal_parsing": _DECIMAL,
    "finite_number": _DECIMAL,
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": _WHOLE,
    "int_from_float": _WHOLE,
    "uuid_type": _UUID,
    "uuid_parsing": _UUID,
    "tuple_type": _LIST,
    "list_type": _LIST,
    "dict_type": _OBJECT,
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "string_pattern_mismatch": "is not written as it must be",
    "invalid_key": "must have texts as keys",
}


def _allowed(context: Mapping[str, Any]) -> str:
    return f"must be one of {context.get('expected', 'a fixed set of words')}"


def _said(context: Mapping[str, Any]) -> str:
    return str(context.get("error", "is not accepted"))


_WITH_CONTEXT: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "literal_error": _allowed,
    "enum": _allowed,
    "value_error": _said,
    "too_short": lambda context: f"must have at least {_entries(context.get('min_length'))}",
    "too_long": lambda context: f"must have at most {_entries(context.get('max_length'))}",
    "string_too_short": lambda context: f"must have at least {_characters(context.get('min_length'))}",
    "string_too_long": lambda context: f"must have at most {_characters(context.get('max_length'))}",
    "greater_than_equal": lambda context: f"must be at least {context.get('ge')}",
    "decimal_max_places": lambda context: f"must have at most {context.get('decimal_places')} decimals",
    "greater_than": lambda context: f"must be more than {context.get('gt')}",
    "less_than": lambda context: f"must be less than {context.get('lt')}",
    "less_than_equal": lambda context: f"must be at most {context.get('le')}",
}


def explain(error: ValidationError, root: str = "data") -> tuple[str, tuple[str, ...]]:
    """Return a sentence per field, at most five, and the paths of all fields concerned (at most fifty)."""
    details = _without_echoes(error.errors(include_url=False, include_input=False))
    listed = [f"{path_of(detail, root)}: {_what(detail)}" for detail in details[:MAX_LISTED]]
    if len(details) > MAX_LISTED:
        listed.append(f"and {len(details) - MAX_LISTED} more")
    paths = tuple(dict.fromkeys(path_of(detail, root) for detail in details[:50]))
    return "; ".join(listed), paths


def _without_echoes(details: list[ErrorDetails]) -> list[ErrorDetails]:
    """Leave out "too short" of a list whose entries are themselves wrong: pydantic counts the good ones only."""
    places = {detail["loc"][:end] for detail in details for end in range(len(detail["loc"]))}
    return [detail for detail in details if detail["type"] != "too_short" or detail["loc"] not in places]


def path_of(detail: ErrorDetails, root: str) -> str:
    """Write the place of an error as ``data.invoice.lines[2].quantity``."""
    path = root
    for part in detail["loc"]:
        path += f"[{part}]" if isinstance(part, int) else f".{part[:60]}"
    return path


def _what(detail: ErrorDetails) -> str:
    kind = detail["type"]
    if kind == "string_pattern_mismatch" and detail["loc"][-1:] == ("currency",):
        return 'must be a currency code of three letters such as "DKK"'
    if kind in _FIXED:
        return _FIXED[kind]
    if kind in _WITH_CONTEXT:
        return _WITH_CONTEXT[kind](detail.get("ctx", {}))
    return detail["msg"][:1].lower() + detail["msg"][1:]


def _entries(number: object) -> str:
    return f"{number} entry" if number == 1 else f"{number} entries"


def _characters(number: object) -> str:
    return f"{number} character" if number == 1 else f"{number} characters"
