"""Legacy collections: paging by offset, filters, sorting and the envelope around a page.

A page past the end is empty with a truthful ``pagination``; ``pagesize`` outside 1-1000 is E04810 (both seen live).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from worker.sandbox.answers import Answer, ApiError
from worker.sandbox.calls import Call
from worker.sandbox.filter_values import BadFilter
from worker.sandbox.filters import Fields, ServerFault, exact_text, filterable, parse_filter, parse_sort
from worker.sandbox.jsontext import dumps
from worker.sandbox.links import Links
from worker.sandbox.register import Register

T = TypeVar("T")
MAX_PAGE = 1000
LIST_COST = 3
_KNOWN = frozenset({"pagesize", "skippages", "filter", "sort"})


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """A collection to page through. ``name`` tells views of one register apart, ``rows`` gives them in key order.

    ``indexed`` names the property that the register's index is about: looking for one value of it then needs no scan.
    """

    register: Register[Any, T]
    rows: Callable[[], Iterable[T]]
    key: Callable[[T], Any]
    fields: Fields
    render: Callable[[T, Links], dict[str, Any]]
    name: str = "all"
    create: str | None = None
    indexed: str | None = None

    def everything(self) -> list[T]:
        """Return all rows, remembered until something changes."""
        return self.register.view((self.name,), lambda: list(self.rows()))

    def count(self) -> int:
        """Return how many rows there are without a filter."""
        return len(self.register) if self.name == "all" else len(self.everything())


def links_of(call: Call) -> Links:
    """Return the link maker of a request: unrecognised query parameters end up in every link."""
    stray = "&".join(f"{k}={v}" for k, v in call.raw_pairs() if k.lower() not in _KNOWN)
    return Links(call.base, f"?{stray}" if stray else "")


def list_answer(call: Call, listing: Listing[T]) -> Answer:
    """Return one page of a collection."""
    size, skip = _page_size(call), _skip_pages(call)
    found = _selection(call, listing)
    page = found[skip * size : (skip + 1) * size]
    links = links_of(call)
    if links.suffix:
        items = [dumps(listing.render(row, links)) for row in page]
    else:
        text, key = listing.register.text, listing.key
        items = [text("item", key(row), lambda row: dumps(listing.render(row, links))) for row in page]
    address = f"{call.base}/{call.path}"
    own = address + (f"?{call.query}" if call.query else "")
    tail: dict[str, Any] = {"pagination": _pagination(call, address, size, skip, len(found), listing.count())}
    if listing.create:
        create = {"description": f"Create a new {listing.create}", "href": own, "httpMethod": "post"}
        tail["metaData"] = {"create": create}
    tail["self"] = own
    body = b'{"collection":[' + b",".join(items) + b"]," + dumps(tail)[1:]
    return Answer(200, body, cost=LIST_COST)


def _selection(call: Call, listing: Listing[T]) -> list[T]:
    text, sort = call.param("filter"), call.param("sort")
    if not text and not sort:
        return listing.everything()
    if text and not sort and listing.indexed and (wanted := exact_text(text, listing.indexed)) is not None:
        return listing.register.find(wanted)
    try:
        keep = parse_filter(text, listing.fields) if text else None
    except BadFilter as exc:
        raise bad_filter(exc, listing.fields) from exc
    except ServerFault as exc:
        raise ApiError(500, "An internal error occurred.") from exc
    try:
        order = parse_sort(sort, listing.fields) if sort else None
    except BadFilter as exc:
        raise ApiError(400, str(exc), hint="Sort on properties that the schema marks as sortable.") from exc

    def make() -> list[T]:
        everything = listing.everything()
        rows = [row for row in everything if keep(row)] if keep else everything
        return order(rows) if order else rows

    return listing.register.view((listing.name, text, sort), make)


def bad_filter(error: BadFilter, fields: Fields) -> ApiError:
    """Return the refusal of a filter, with the list of what may be filtered."""
    return ApiError(
        400,
        "Could not parse query string filter.",
        hint="Filtering on collections can be done using the querystring parameter 'filter'.",
        errors=[str(error)],
        extra={"allowedFilteringFields": list(filterable(fields))},
    )


def _page_size(call: Call) -> int:
    text = call.param("pagesize")
    if text is None:
        return 20
    if text.isdecimal() and 1 <= int(text[:9]) <= MAX_PAGE:
        return int(text)
    raise ApiError(400, f"Page size must be a positive whole number between 1 and {MAX_PAGE}.", "E04810")


def _skip_pages(call: Call) -> int:
    text = call.param("skippages")
    if text is None:
        return 0
    if text.isdecimal() and len(text) < 10:
        return int(text)
    raise ApiError(400, "Skip pages must be a whole number of 0 or more.")


def _pagination(call: Call, address: str, size: int, skip: int, results: int, unfiltered: int) -> dict[str, Any]:
    last = max((results + size - 1) // size - 1, 0)

    def link(page: int) -> str:
        pairs = call.raw_pairs()
        names = [name.lower() for name, _ in pairs]
        for name, value in (("skippages", str(page)), ("pagesize", str(size))):
            if name in names:
                at = names.index(name)
                pairs[at] = (pairs[at][0], value)
            else:
                pairs.append((name, value))
                names.append(name)
        return f"{address}?" + "&".join(f"{name}={value}" for name, value in pairs)

    found: dict[str, Any] = {
        "maxPageSizeAllowed": MAX_PAGE,
        "skipPages": skip,
        "pageSize": size,
        "results": results,
        "resultsWithoutFilter": unfiltered,
        "firstPage": link(0),
    }
    if skip < last:
        found["nextPage"] = link(skip + 1)
    if skip > 0:
        found["previousPage"] = link(min(skip - 1, last))
    found["lastPage"] = link(last)
    return found
