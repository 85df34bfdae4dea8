"""Lines of many invoices from the OpenAPI bulk lists: a thousand lines a call instead of one call an invoice."""

from collections.abc import Callable, Iterable, Sequence

from schemas.invoice import InvoiceLine
from worker.economic.bulk import BulkLine
from worker.economic.endpoints.calls import Calls
from worker.economic.listing import Listing
from worker.economic.sentences import unavailable

LinesByNumber = dict[int, tuple[InvoiceLine, ...]]
"""Lines by invoice number, in order. An invoice with a line that cannot be read is left out: its lines are unknown."""

Q2C_API = "/q2capi/v5.3.0"
"""Versions are part of OpenAPI addresses; pinned to the one whose document the model was made from."""

BOOKED_LINES = Listing(f"{Q2C_API}/invoices/booked/lines", BulkLine, id, "booked invoice lines")
DRAFT_LINES = Listing(f"{Q2C_API}/invoices/drafts/lines", BulkLine, id, "draft invoice lines")


class LineCalls(Calls):
    """Bulk lines, shared by drafts and booked invoices."""

    async def _lines(
        self,
        listing: Listing[BulkLine],
        expression: str,
        owner: Callable[[BulkLine], int | None],
        asked_for: Callable[[int], bool],
    ) -> LinesByNumber:
        found: dict[int, list[BulkLine]] = {}
        unreadable: set[int] = set()
        async for parsed, _ in self._by_cursor(listing, expression):
            for line in parsed.items:
                number = owner(line)
                if number is None or not asked_for(number):
                    raise unavailable(f"{listing.name}: lines of invoices that were not asked for")
                found.setdefault(number, []).append(line)
            for reject in parsed.rejects:
                if reject.external_number is None or not reject.external_number.isdecimal():
                    raise unavailable(f"{listing.name}: a line without an invoice: {reject.reason}")
                unreadable.add(int(reject.external_number))
        return {
            number: _in_order(_distinct(found_lines))
            for number, found_lines in found.items()
            if number not in unreadable
        }


def within(numbers: Sequence[int]) -> Callable[[int], bool]:
    """Return a test for being one of the numbers."""
    return set(numbers).__contains__


def _in_order(lines: list[BulkLine]) -> tuple[BulkLine, ...]:
    return tuple(sorted(lines, key=lambda line: line.order))


def _distinct(lines: Iterable[BulkLine]) -> list[BulkLine]:
    """Leave out lines that came twice, as pages of a moving list do: same number in the document, same content.

    Lines that only look alike stay; people do make them.
    """
    kept: list[BulkLine] = []
    by_number: dict[int, BulkLine] = {}
    for line in lines:
        if line.number is not None:
            if by_number.get(line.number) == line:
                continue
            by_number[line.number] = line
        kept.append(line)
    return kept
