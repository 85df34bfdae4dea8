"""Pages of both surfaces: parsed as a whole in Rust, record by record only where the whole fails.

A record that breaks its model becomes a ``Reject`` and the page goes on; a page that is not one is ``Unavailable``.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError, create_model

from schemas.base import EconomicIn
from worker.economic.responses import unavailable

T = TypeVar("T", bound=BaseModel)
MAX_RAW = 10_000


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that could not be read: its number if it has one, why, and the record itself (cut at 10 kB)."""

    external_number: str | None
    reason: str
    raw: str


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page. ``fetched_at`` was taken before the request: state in it is at least that new.

    ``total`` is what e-conomic says the whole list has, ``number`` the page's index from 0.
    """

    items: tuple[T, ...]
    rejects: tuple[Reject, ...]
    number: int
    total: int | None
    is_last: bool
    cursor: str | None
    fetched_at: datetime


@dataclass(frozen=True, slots=True)
class Parsed(Generic[T]):
    """A page's records and what its envelope says."""

    items: tuple[T, ...]
    rejects: tuple[Reject, ...]
    total: int | None
    more: bool
    cursor: str | None


class _Pagination(EconomicIn):
    results: int | None = None
    next_page: str | None = None


@cache
def _legacy_adapter(model: type[BaseModel]) -> TypeAdapter[Any]:
    envelope = create_model(
        f"LegacyPage{model.__name__}",
        __base__=EconomicIn,
        collection=(list[model], ...),  # type: ignore[valid-type]
        pagination=(_Pagination | None, None),
    )
    return TypeAdapter(envelope)


@cache
def _cursor_adapter(model: type[BaseModel]) -> TypeAdapter[Any]:
    envelope = create_model(
        f"CursorPage{model.__name__}",
        __base__=EconomicIn,
        items=(list[model], ...),  # type: ignore[valid-type]
        cursor=(str | int | None, None),
    )
    return TypeAdapter(envelope)


def parse_legacy(body: bytes, model: type[T], key: Callable[[T], object], what: str) -> Parsed[T]:
    """Read ``{collection, pagination}``. Records with a key that occurred before on the page are left out."""
    try:
        page = _legacy_adapter(model).validate_json(body)
        items: Sequence[T] = page.collection
        rejects: tuple[Reject, ...] = ()
        pagination = page.pagination
    except ValidationError:
        document = _document(body, "collection", what)
        items, rejects = _one_by_one(document["collection"], model)
        try:
            pagination = _Pagination.model_validate(document.get("pagination") or {})
        except ValidationError as exc:
            raise unavailable(f"{what}: the pagination of the answer cannot be read") from exc
    total = pagination.results if pagination else None
    more = bool(pagination and pagination.next_page)
    return Parsed(_distinct(items, key), rejects, total, more, None)


def parse_cursor(body: bytes, model: type[T], key: Callable[[T], object], what: str) -> Parsed[T]:
    """Read ``{items, cursor?}``; the absence of a cursor ends the list."""
    try:
        page = _cursor_adapter(model).validate_json(body)
        items: Sequence[T] = page.items
        rejects: tuple[Reject, ...] = ()
        cursor = page.cursor
    except ValidationError:
        document = _document(body, "items", what)
        items, rejects = _one_by_one(document["items"], model)
        cursor = document.get("cursor")
    text = str(cursor) if cursor not in (None, "") else None
    return Parsed(_distinct(items, key), rejects, None, text is not None, text)


def parse_one(body: bytes, model: type[T], what: str) -> T:
    """Read one document. Raises ``Unavailable`` when it is not what was asked for."""
    try:
        return model.model_validate_json(body)
    except ValidationError as exc:
        raise unavailable(f"{what}: the answer cannot be read: {why(exc)}") from None


def why(error: ValidationError) -> str:
    """Say which field is wrong and how, without the value (it may be long or personal) and without links."""
    entries = error.errors(include_url=False, include_input=False, include_context=False)
    shown = [f"{'.'.join(str(part) for part in entry['loc']) or 'record'}: {entry['msg']}" for entry in entries[:5]]
    if len(entries) > 5:
        shown.append(f"and {len(entries) - 5} more")
    return "; ".join(shown)


def _document(body: bytes, name: str, what: str) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise unavailable(f"{what}: the answer is not complete JSON ({len(body)} bytes)") from exc
    if not isinstance(document, dict) or not isinstance(document.get(name), list):
        raise unavailable(f"{what}: the answer has no list '{name}'")
    return document


def _one_by_one(records: Sequence[Any], model: type[T]) -> tuple[list[T], tuple[Reject, ...]]:
    items: list[T] = []
    rejects: list[Reject] = []
    for record in records:
        raw = json.dumps(record, ensure_ascii=False)
        try:
            items.append(model.model_validate_json(raw))
        except ValidationError as exc:
            rejects.append(Reject(_number_of(record), why(exc), raw[:MAX_RAW]))
    return items, tuple(rejects)


_NUMBERS = (
    "customerNumber",
    "productNumber",
    "draftInvoiceNumber",
    "bookedInvoiceNumber",
    "documentId",
    "number",
)


def _number_of(record: Any) -> str | None:
    if isinstance(record, dict):
        for name in _NUMBERS:
            value = record.get(name)
            if isinstance(value, int | str) and not isinstance(value, bool):
                return str(value)[:50]
    return None


def _distinct(items: Sequence[T], key: Callable[[T], object]) -> tuple[T, ...]:
    return tuple({key(item): item for item in items}.values())
