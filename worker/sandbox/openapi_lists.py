"""OpenAPI collections: the cursor list, ``/paged`` and ``/count``, over one description of each collection.

A cursor list gives 1000 items and a ``cursor`` that names the next one; without ``cursor`` it is over. It ignores
``sort``. ``/paged`` is a bare array of at most 100 items and reaches only the first 10 000.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Generic, TypeVar

from worker.sandbox.answers import Answer, ApiError
from worker.sandbox.calls import Call, Route, route
from worker.sandbox.filter_values import BadFilter
from worker.sandbox.filters import Fields, ServerFault, parse_filter, parse_sort
from worker.sandbox.jsontext import dumps
from worker.sandbox.register import Register

T = TypeVar("T")
CURSOR_PAGE = 1000
LIST_COST = 3


@dataclass(frozen=True, slots=True)
class Cursored(Generic[T]):
    """A collection in key order. ``text_key`` is where its JSON is remembered, None for not at all."""

    register: Register[Any, Any]
    name: Hashable
    rows: Callable[[], list[T]]
    key: Callable[[T], tuple[Any, ...]]
    fields: Fields
    render: Callable[[T], dict[str, Any]]
    text_key: Callable[[T], Any] | None = None


Pick = Callable[[Call], Cursored[Any]]


def object_version(kind: str, key: object, version: int) -> str:
    """Return the opaque version of a record; it changes with every write."""
    return hashlib.blake2b(f"{kind}:{key}:{version}".encode(), digest_size=8).hexdigest()


def plain(value: Decimal | None) -> Decimal | None:
    """Return a number without trailing zeros, as these services write doubles."""
    if value is None:
        return None
    return value.to_integral_value() if value == value.to_integral_value() else value.normalize()


def select(call: Call, listing: Cursored[T]) -> list[T]:
    """Return the rows that the request's filter lets through, in key order. Raises the 400."""
    text = call.param("filter")
    everything = listing.register.view((listing.name,), listing.rows)
    if not text:
        return everything
    names = {name.lower(): name for name in listing.fields}
    try:
        keep = parse_filter(text, listing.fields, lambda name: names.get(name.lower(), name))
    except BadFilter as exc:
        raise ApiError(400, str(exc), "BadFilterRequest") from exc
    except ServerFault as exc:
        raise ApiError(500, "An internal error occurred.", "InternalError") from exc
    return listing.register.view((listing.name, text), lambda: [row for row in everything if keep(row)])


def render_many(listing: Cursored[T], rows: list[T]) -> bytes:
    """Return the JSON items of rows, joined."""
    key = listing.text_key
    if key is None:
        return b",".join(dumps(listing.render(row)) for row in rows)
    text = listing.register.text
    return b",".join(text("open", key(row), lambda row: dumps(listing.render(row))) for row in rows)


def _cursor_text(key: tuple[Any, ...]) -> str:
    return "|".join(str(part) for part in key)


def _cursor_key(text: str, example: tuple[Any, ...]) -> tuple[Any, ...]:
    parts = text.split("|", len(example) - 1)
    if len(parts) != len(example):
        raise ApiError(400, "The cursor is not valid.", "InvalidInput")
    try:
        return tuple(int(part) if isinstance(kind, int) else part for part, kind in zip(parts, example, strict=True))
    except ValueError as exc:
        raise ApiError(400, "The cursor is not valid.", "InvalidInput") from exc


def cursor_answer(call: Call, listing: Cursored[Any]) -> Answer:
    """Return up to 1000 items and the cursor of the next."""
    rows = select(call, listing)
    cursor = call.param("cursor")
    start = bisect_left(rows, _cursor_key(cursor, listing.key(rows[0])), key=listing.key) if cursor and rows else 0
    page = rows[start : start + CURSOR_PAGE]
    body = b'"items":[' + render_many(listing, page) + b"]}"
    if start + CURSOR_PAGE < len(rows):
        following = _cursor_text(listing.key(rows[start + CURSOR_PAGE]))
        return Answer(200, b'{"cursor":' + dumps(following) + b"," + body, cost=LIST_COST)
    return Answer(200, b"{" + body, cost=LIST_COST)


def _whole(call: Call, name: str, default: int, low: int, high: int) -> int:
    text = call.param(name)
    if text is None:
        return default
    if not (text.isdecimal() and low <= int(text[:9]) <= high):
        raise ApiError(400, f"The field {name} must be between {low} and {high}.", "InvalidInput")
    return int(text)


def paged_answer(call: Call, listing: Cursored[Any]) -> Answer:
    """Return a bare array of one page."""
    size, skip = _whole(call, "pageSize", 20, 1, 100), _whole(call, "skipPages", 0, 0, 100)
    rows, sort = select(call, listing), call.param("sort")
    if sort:
        try:
            rows = parse_sort(sort, listing.fields)(rows)
        except BadFilter as exc:
            raise ApiError(400, f"Sorting by '{sort}' is not allowed.", "InvalidInput") from exc
    body = b"[" + render_many(listing, rows[skip * size : (skip + 1) * size]) + b"]"
    return Answer(200, body, cost=LIST_COST)


def array_answer(call: Call, listing: Cursored[Any]) -> Answer:
    """Return all rows as a bare array: the lines of one document."""
    return Answer(200, b"[" + render_many(listing, select(call, listing)) + b"]", cost=LIST_COST)


def list_routes(path: str, pick: Pick, resource: str, *, paged: str | None = None, count: bool = True) -> list[Route]:
    """Return the cursor, paged and count routes of a collection."""
    routes = [
        route("GET", path, lambda call: cursor_answer(call, pick(call)), resource),
        route("GET", paged or f"{path}/paged", lambda call: paged_answer(call, pick(call)), resource),
    ]
    if count:
        routes.append(
            route(
                "GET", f"{path}/count", lambda call: Answer(200, str(len(select(call, pick(call)))).encode()), resource
            )
        )
    return routes
