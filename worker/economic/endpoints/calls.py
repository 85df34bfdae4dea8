"""How the calls are made: single documents, writes, pages by offset and by cursor, and short lists as a whole."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

import structlog
from pydantic import BaseModel

from schemas.problem import Cause
from worker.economic import filters
from worker.economic.call import Call, Grant
from worker.economic.limiter import Usage
from worker.economic.listing import Listing
from worker.economic.paging import Asked, Page, Parsed, parse_cursor, parse_legacy, parse_one
from worker.economic.sentences import outcome_unknown, unavailable
from worker.economic.transport import Transport
from worker.errors import Refused, Unavailable

log = structlog.get_logger()

T = TypeVar("T", bound=BaseModel)

PAGES_AT_ONCE = 3
"""Further pages of a long list that are asked for while one is being used."""

PAGE_SIZE = 1000
"""Records of a legacy page; the service refuses more (E04810)."""


Enough = Callable[[], bool]


def never() -> bool:
    """Read a list to its end."""
    return False


class Calls:
    """One agreement's way to the service."""

    def __init__(self, transport: Transport, grant: Grant) -> None:
        self._transport = transport
        self._grant = grant

    def __repr__(self) -> str:
        return f"{type(self).__name__}(agreement_number={self.agreement_number})"

    @property
    def agreement_number(self) -> int | None:
        """The agreement, or ``None`` while it is still to be learned."""
        return self._grant.agreement_number

    @property
    def usage(self) -> Usage:
        """Calls made here, their cost, and the agreement's budget as last stated."""
        return self._grant.usage

    async def _one(self, path: str, model: type[T], what: str, family: str) -> T:
        body = await self._transport.request(Call("GET", "legacy", path, what, family), self._grant)
        return parse_one(body, model, what)

    async def _write(self, path: str, body: bytes, key: str, model: type[T], what: str, family: str) -> T:
        call = Call("POST", "legacy", path, what, family, body=body, idempotency_key=key)
        answer = await self._transport.request(call, self._grant)
        try:
            return parse_one(answer, model, what)
        except (Unavailable, Refused) as exc:  # it was made, but the answer does not say what: look it up
            raise outcome_unknown(f"{what}: it was accepted, but the answer cannot be read ({exc})") from exc

    async def _page(self, listing: Listing[T], query: Mapping[str, str], asked: Asked) -> Page[T]:
        fetched_at = self._transport.clock.now()
        call = Call("GET", "legacy", listing.path, asked.what, listing.name, query=query)
        body = await self._transport.request(call, self._grant)
        parsed = parse_legacy(body, listing.model, listing.key, asked)
        return Page(parsed.items, parsed.rejects, asked.number, parsed.total, not parsed.more, None, fetched_at)

    async def _pages(
        self,
        listing: Listing[T],
        expression: str | None = None,
        start_page: int = 0,
        page_size: int = PAGE_SIZE,
        enough: Enough = never,
    ) -> AsyncGenerator[Page[T], None]:
        """Sweep a list by offset, some pages at once. Raises ``Unavailable`` for a page that does not say its total.

        Whether all pages together hold ``Page.total`` records is for the caller to count. After ``enough`` no further
        page is asked for; those on their way are still yielded.
        """

        async def read(number: int) -> Page[T]:
            query = _query(page_size, number, listing.sort, expression)
            page = await self._page(listing, query, Asked(listing.name, number, page_size, whole=False))
            return _counted(page, listing.name)

        flying: deque[asyncio.Task[Page[T]]] = deque()
        try:
            number, page = start_page, await read(start_page)
            while True:
                while not enough() and len(flying) < PAGES_AT_ONCE:
                    following = number + len(flying) + 1
                    if following * page_size >= (page.total or 0):
                        break
                    flying.append(asyncio.create_task(read(following)))
                yield page
                if page.is_last or (enough() and not flying):
                    return
                number += 1
                page = await (flying.popleft() if flying else read(number))
        finally:
            for task in flying:
                task.cancel()
            await asyncio.gather(*flying, return_exceptions=True)

    async def _all(self, listing: Listing[T], expression: str | None = None, *, what: str | None = None) -> list[T]:
        """Read a short list to its end. A record that cannot be read fails it: nothing may be decided on a part."""
        what = what or listing.name
        found: dict[object, T] = {}
        async for page in self._each(listing, expression, 0, PAGE_SIZE, what):
            if page.rejects:
                raise unavailable(f"{what}: a record cannot be read: {page.rejects[0].reason}")
            found.update((listing.key(item), item) for item in _counted(page, what).items)
        return list(found.values())

    async def _register(self, listing: Listing[T], *, what: str | None = None, every_row: bool = False) -> list[T]:
        """Read a small register to its end; it may come without pagination.

        A row that cannot be read is left out and logged: one odd unit must not keep everything else from working.
        With ``every_row`` it fails the call instead, for registers that amounts depend on.
        """
        found: dict[object, T] = {}
        async for page in self._each(listing, None, 0, PAGE_SIZE, what or listing.name):
            for reject in page.rejects:
                if every_row:
                    raise unavailable(f"{what or listing.name}: a record cannot be read: {reject.reason}")
                log.warning("economic.record_unreadable", family=listing.name, reason=reject.reason)
            found.update((listing.key(item), item) for item in page.items)
        return list(found.values())

    async def _each(
        self,
        listing: Listing[T],
        expression: str | None,
        number: int,
        page_size: int,
        what: str,
        *,
        whole: bool = True,
    ) -> AsyncGenerator[Page[T], None]:
        while True:
            query = _query(page_size, number, listing.sort, expression)
            page = await self._page(listing, query, Asked(what, number, page_size, whole))
            yield page
            if page.is_last:
                return
            number += 1

    async def _by_cursor(
        self, listing: Listing[T], expression: str | None, cursor: str | None = None
    ) -> AsyncGenerator[tuple[Parsed[T], datetime], None]:
        """Sweep an OpenAPI list; with each page the time before its request. ``cursor`` resumes."""
        seen: set[str] = set()
        while True:
            query = {name: value for name, value in (("filter", expression), ("cursor", cursor)) if value}
            fetched_at = self._transport.clock.now()
            call = Call("GET", "openapi", listing.path, listing.name, listing.name, query=query)
            body = await self._transport.request(call, self._grant)
            parsed = parse_cursor(body, listing.model, listing.key, listing.name)
            cursor = parsed.cursor
            if cursor is not None and (cursor in seen or not parsed.count):
                # a cursor is the key of the next record, so there is a record to every cursor
                raise unavailable(f"{listing.name}: the list goes in circles")
            yield parsed, fetched_at
            if cursor is None:
                return
            seen.add(cursor)


def _counted(page: Page[T], what: str) -> Page[T]:
    if page.total is None:
        raise unavailable(f"{what}: the answer does not say how many there are")
    return page


def _query(page_size: int, number: int, sort: str | None, expression: str | None) -> dict[str, str]:
    query = {"pagesize": str(page_size), "skippages": str(number)}
    if sort:
        query["sort"] = sort
    if expression:
        query["filter"] = expression
    return query


def changed(since: datetime | None) -> str | None:
    """Return the filter for records changed at or after a time."""
    return filters.at_least("lastUpdated", since) if since else None


def parts(numbers: Sequence[int]) -> Iterable[Sequence[int]]:
    """Cut a list of numbers into pieces that one ``$in:`` takes."""
    return (numbers[start : start + filters.MAX_IN] for start in range(0, len(numbers), filters.MAX_IN))


async def or_none(call: Awaitable[T]) -> T | None:
    """Return what a ``get_…`` returns, or ``None`` when e-conomic says that it does not exist."""
    try:
        return await call
    except Refused as exc:
        if exc.problem.cause is Cause.NOT_FOUND:
            return None
        raise
