"""Pages of both surfaces: parsed as a whole in Rust, record by record only where the whole fails.

A record that breaks its model becomes a ``Reject`` and the page goes on. A page that is not what was asked for, or a
look-up that contradicts itself about how much there is, is ``Unavailable``: no part may pass for all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError, create_model

from schemas.base import EconomicIn
from schemas.problem import Cause
from worker.economic.decoding import broken_text, decode, needs_care, split_list
from worker.economic.sentences import unavailable
from worker.errors import refused

T = TypeVar("T", bound=BaseModel)
MAX_RAW = 10_000
_SHOWN_ERRORS = 5


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that could not be read: its number if it has one, why, and the record as sent (cut at 10 kB)."""

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
    """A page's records and what its envelope says. ``count`` includes rejects and repeated records."""

    items: tuple[T, ...]
    rejects: tuple[Reject, ...]
    count: int
    total: int | None
    more: bool
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Asked:
    """Which page was asked for, to compare the answer with.

    ``whole``: the list is decided on as it is, so each page must hold what the total says. Sweeps leave that to
    whoever counts all pages: somebody may be working in the list meanwhile.
    """

    what: str
    number: int
    size: int
    whole: bool = True


class _Pagination(EconomicIn):
    skip_pages: int | None = None
    page_size: int | None = None
    results: int | None = None
    next_page: str | None = None


class _LegacyPage(EconomicIn):
    collection: list[Any]
    pagination: _Pagination | None = None


class _CursorPage(EconomicIn):
    items: list[Any]
    cursor: str | int | None = None


@cache
def _adapter(envelope: type[BaseModel], name: str, model: type[BaseModel]) -> TypeAdapter[Any]:
    """Return the reader of a page with its records; made once per kind of record."""
    fields: dict[str, Any] = {name: (list[model], ...)}  # type: ignore[valid-type]
    return TypeAdapter(create_model(f"{envelope.__name__}{model.__name__}", __base__=envelope, **fields))


def parse_legacy(body: bytes, model: type[T], key: Callable[[T], object], asked: Asked) -> Parsed[T]:
    """Read ``{collection, pagination}``. Of records with the same key on the page the last one counts.

    Raises ``Unavailable`` when what was asked for, position, total and number of records do not fit each other. Small
    registers come without pagination: they are whole.
    """
    page, items, rejects = _read(body, _LegacyPage, "collection", model, asked.what)
    count = len(items) + len(rejects)
    pagination = page.pagination
    if pagination is None or pagination.results is None:
        return Parsed(_distinct(items, key), rejects, count, None, False, None)
    more = _check(asked, pagination, pagination.results, count)
    return Parsed(_distinct(items, key), rejects, count, pagination.results, more, None)


def parse_cursor(body: bytes, model: type[T], key: Callable[[T], object], what: str) -> Parsed[T]:
    """Read ``{items, cursor?}``; the absence of a cursor ends the list."""
    page, items, rejects = _read(body, _CursorPage, "items", model, what)
    text = str(page.cursor) if page.cursor not in (None, "") else None
    return Parsed(_distinct(items, key), rejects, len(items) + len(rejects), None, text is not None, text)


def parse_one(body: bytes, model: type[T], what: str) -> T:
    """Read one document. Raises ``Unavailable`` when it is no JSON object, ``Refused`` when a field cannot be read."""
    if not needs_care(body):
        try:
            return model.model_validate_json(body)
        except ValidationError:
            pass  # the reason is found below, where a character nothing depends on is forgiven
    try:
        document = decode(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise unavailable(f"{what}: the answer is not a complete JSON object ({len(body)} bytes)")
    try:
        return _validated(document, body.decode("utf-8-sig"), model)
    except _Unreadable as exc:
        reason = str(exc)
    raise refused(
        Cause.INVALID_RECORD,
        f"e-conomic's record cannot be read ({what}: {reason}).",
        "Correct the record in e-conomic; if it looks right there, our engineers must look at it.",
        fields=[reason.partition(":")[0]],
    )


def why(error: ValidationError) -> str:
    """Say which field is wrong and how, without the value (it may be long or personal) and without links."""
    entries = error.errors(include_url=False, include_input=False, include_context=False)
    shown = [
        f"{'.'.join(str(part) for part in entry['loc']) or 'record'}: {entry['msg']}"
        for entry in entries[:_SHOWN_ERRORS]
    ]
    if len(entries) > _SHOWN_ERRORS:
        shown.append(f"and {len(entries) - _SHOWN_ERRORS} more")
    return "; ".join(shown)


def _read(
    body: bytes, envelope: type[BaseModel], name: str, model: type[T], what: str
) -> tuple[Any, Sequence[T], tuple[Reject, ...]]:
    """Return the envelope, its records, and those that cannot be read."""
    if not needs_care(body):
        try:
            page = _adapter(envelope, name, model).validate_json(body)
            return page, getattr(page, name), ()
        except ValidationError:
            pass  # one bad record, or no page at all: found out below
    try:
        records, others = split_list(body, name)
        page = envelope.model_validate({name: [], **others})
    except (ValueError, RecursionError) as exc:
        reason = why(exc) if isinstance(exc, ValidationError) else "not complete JSON with the list asked for"
        raise unavailable(f"{what}: the answer cannot be read ({len(body)} bytes): {reason}") from None
    items, rejects = _one_by_one(records, model)
    return page, items, rejects


def _one_by_one(records: Sequence[tuple[Any, str]], model: type[T]) -> tuple[list[T], tuple[Reject, ...]]:
    items: list[T] = []
    rejects: list[Reject] = []
    for record, raw in records:
        try:
            items.append(_validated(record, raw, model))
        except _Unreadable as exc:
            rejects.append(Reject(_number_of(record), str(exc), raw[:MAX_RAW]))
    return items, tuple(rejects)


class _Unreadable(Exception):
    """A record does not fit its model; the text says which field and why."""


def _validated(record: Any, raw: str, model: type[T]) -> T:
    try:
        item = model.model_validate(record)
    except ValidationError as exc:
        raise _Unreadable(why(exc)) from None
    broken = broken_text(item.model_dump(by_alias=True), raw)
    if broken is not None:
        raise _Unreadable(f"{broken}: the text holds half a character")
    return item


def _check(asked: Asked, stated: _Pagination, results: int, count: int) -> bool:
    """Return whether pages follow. Raises ``Unavailable`` when the envelope contradicts the request or itself.

    The service may give smaller pages than asked for; its own page size then counts.
    """
    size = asked.size if stated.page_size is None else stated.page_size
    if not 1 <= size <= asked.size or stated.skip_pages not in (None, asked.number):
        raise unavailable(
            f"{asked.what}: asked for page {asked.number} of {asked.size} records, "
            f"got page {stated.skip_pages} of {stated.page_size}"
        )
    more = stated.next_page is not None
    if more and (not count or asked.number * size >= results):
        # even while people work in the list this cannot be, and a sweep would go on for ever
        raise unavailable(
            f"{asked.what}: page {asked.number} holds {count} records of {results} in all, yet more are announced"
        )
    if asked.whole:
        expected = min(size, max(0, results - asked.number * size))
        if count != expected or more != ((asked.number + 1) * size < results):
            raise unavailable(
                f"{asked.what}: page {asked.number} holds {count} records and {'a' if more else 'no'} next page, "
                f"of {results} announced it should hold {expected}"
            )
    return more


_NUMBERS = ("bookedInvoiceNumber", "draftInvoiceNumber", "customerNumber", "productNumber", "documentId", "number")


def _number_of(record: Any) -> str | None:
    if isinstance(record, dict):
        for name in _NUMBERS:
            value = record.get(name)
            if isinstance(value, int | str) and not isinstance(value, bool):
                return str(value)[:50].encode("utf-8", "replace").decode()  # it may be what is broken
    return None


def _distinct(items: Sequence[T], key: Callable[[T], object]) -> tuple[T, ...]:
    return tuple({key(item): item for item in items}.values())
