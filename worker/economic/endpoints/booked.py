"""Booked invoices: immutable but for what remains to be paid."""

from collections.abc import AsyncGenerator, Sequence
from datetime import date

from schemas.invoice import BookedTotals, EconomicBooked
from schemas.problem import Cause
from worker.economic import filters
from worker.economic.cause_table import DRAFT_MAY_BE_BOOKED
from worker.economic.endpoints.calls import PAGE_SIZE, Enough, never, or_none, parts
from worker.economic.endpoints.lines import BOOKED_LINES, LineCalls, LinesByNumber, within
from worker.economic.keys import path_key
from worker.economic.listing import Listing
from worker.economic.paging import Asked, Page
from worker.economic.sentences import unavailable
from worker.errors import Refused

BOOKED = Listing("/invoices/booked", EconomicBooked, lambda b: b.number, "booked invoices", "bookedInvoiceNumber")
UNPAID = Listing("/invoices/unpaid", EconomicBooked, lambda b: b.number, "unpaid invoices", "bookedInvoiceNumber")

_NO_DRAFT = {
    "cause": Cause.DRAFT_DELETED,
    "user_message": "The draft of this invoice does not exist in e-conomic: it was deleted there, or booked already.",
    "remedy": DRAFT_MAY_BE_BOOKED,
}


class BookedCalls(LineCalls):
    """Read and find booked invoices, and book drafts."""

    async def booked_pages(
        self,
        *,
        after_number: int = 0,
        date_from: date | None = None,
        page_size: int = PAGE_SIZE,
        enough: Enough = never,
    ) -> AsyncGenerator[Page[EconomicBooked], None]:
        """Booked invoices above a number, without lines; resumable by the last number of a page.

        By key, not by offset: nothing shifts while people book. ``Page.total`` counts from that page on.
        """
        number = 0
        while True:
            expression = filters.both(
                filters.more_than("bookedInvoiceNumber", after_number) if after_number else None,
                filters.at_least("date", date_from) if date_from else None,
            )
            page = await self._booked_page(BOOKED, expression, number, page_size)
            after_number = _last_number(page, after_number)
            yield page
            if page.is_last or enough():
                return
            number += 1

    async def _booked_page(
        self, listing: Listing[EconomicBooked], expression: str | None, number: int, page_size: int
    ) -> Page[EconomicBooked]:
        query = {"pagesize": str(page_size), "skippages": "0", "sort": "bookedInvoiceNumber"}
        if expression:
            query["filter"] = expression
        page = await self._page(listing, query, Asked(listing.name, 0, page_size, whole=False))
        if page.total is None:
            raise unavailable(f"{listing.name}: the answer does not say how many there are")
        return Page(page.items, page.rejects, number, page.total, page.is_last, None, page.fetched_at)

    async def unpaid_after(
        self, after_number: int, *, page_size: int = PAGE_SIZE
    ) -> AsyncGenerator[Page[EconomicBooked], None]:
        """Booked invoices with a rest to pay above a number, in order, without lines; resumable by the last number."""
        number = 0
        while True:
            expression = filters.more_than("bookedInvoiceNumber", after_number) if after_number else None
            page = await self._booked_page(UNPAID, expression, number, page_size)
            after_number = _last_number(page, after_number)
            yield page
            if page.is_last:
                return
            number += 1

    async def booked_by_number(self, numbers: Sequence[int]) -> list[EconomicBooked]:
        """Those of these booked invoices that exist, without lines, two hundred a call."""
        wanted = set(numbers)
        found: list[EconomicBooked] = []
        for part in parts(list(dict.fromkeys(numbers))):
            found += await self._all(BOOKED, filters.one_of("bookedInvoiceNumber", part), what="invoices by number")
        return [invoice for invoice in found if invoice.number in wanted]

    async def booked_lines(self, first_number: int, last_number: int) -> LinesByNumber:
        """Lines of all booked invoices from one number to another, both included."""
        expression = f"{filters.at_least('documentId', first_number)}$and:{filters.at_most('documentId', last_number)}"
        return await self._lines(
            BOOKED_LINES,
            expression,
            lambda line: line.document_id,
            lambda number: first_number <= number <= last_number,
        )

    async def booked_lines_of(self, numbers: Sequence[int]) -> LinesByNumber:
        """Lines of these booked invoices, two hundred invoices a call."""
        found: LinesByNumber = {}
        for part in parts(numbers):
            expression = filters.one_of("documentId", part)
            found |= await self._lines(BOOKED_LINES, expression, lambda line: line.document_id, within(part))
        return found

    async def get_booked(self, number: int) -> EconomicBooked:
        """One booked invoice with its lines. Raises ``Refused`` (not found)."""
        return await self._one(f"/invoices/booked/{path_key(number)}", EconomicBooked, f"invoice {number}", "booked")

    async def find_booked(self, number: int) -> EconomicBooked | None:
        """One booked invoice with its lines, or ``None``."""
        return await or_none(self.get_booked(number))

    async def find_booked_by_reference(self, reference: str) -> list[EconomicBooked]:
        """Booked invoices whose ``references.other`` is exactly this, without lines."""
        expression = filters.equals("references.other", reference)
        found = await self._all(BOOKED, expression, what="invoices by reference")
        return [invoice for invoice in found if invoice.references.other == reference]

    async def booked_with_reference(self, beginning: str) -> list[EconomicBooked]:
        """Booked invoices whose ``references.other`` begins with this, without lines; for reconciling."""
        found = await self._all(BOOKED, filters.contains("references.other", beginning), what="invoices by marker")
        return [invoice for invoice in found if (invoice.references.other or "").startswith(beginning)]

    async def booked_totals(self) -> BookedTotals:
        """e-conomic's own count and net sum of all booked invoices, in the base currency."""
        return await self._one("/invoices/totals/booked", BookedTotals, "the totals of booked invoices", "totals")

    async def book_draft(self, body: bytes, idempotency_key: str) -> EconomicBooked:
        """Book a draft. Cannot be undone.

        Raises ``OutcomeUnknown`` when the answer was lost, ``Refused`` (draft deleted) when there is no such draft: it
        was deleted, or somebody booked it.
        """
        try:
            return await self._write(
                "/invoices/booked", body, idempotency_key, EconomicBooked, "booking the draft", "booked"
            )
        except Refused as exc:
            if exc.problem.cause is not Cause.NOT_FOUND:
                raise
            raise Refused(exc.problem.model_copy(update=_NO_DRAFT), str(exc)) from None


def _last_number(page: Page[EconomicBooked], after_number: int) -> int:
    """Return the highest number of a page. Raises ``Unavailable`` when the sweep would not get on from there."""
    numbers = [item.number for item in page.items]
    if numbers != sorted(numbers):
        raise unavailable(f"{BOOKED.name}: asked for the order of their numbers, got another")
    numbers += [int(text) for reject in page.rejects if (text := reject.external_number or "").isdecimal()]
    if numbers and min(numbers) <= after_number:
        raise unavailable(f"{BOOKED.name}: asked for those after {after_number}, got {min(numbers)}")
    if not numbers and not page.is_last:
        raise unavailable(f"{BOOKED.name}: no record of the page after {after_number} has a number")
    return max(numbers, default=after_number)
