"""Draft invoices: what Pike sends, and what becomes a booked invoice."""

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime

from schemas.invoice import EconomicDraft
from worker.economic import filters
from worker.economic.endpoints.calls import PAGE_SIZE, Enough, changed, never, or_none, parts
from worker.economic.endpoints.lines import DRAFT_LINES, LineCalls, LinesByNumber, within
from worker.economic.keys import path_key
from worker.economic.listing import Listing
from worker.economic.paging import Page

DRAFTS = Listing("/invoices/drafts", EconomicDraft, lambda d: d.number, "draft invoices", "draftInvoiceNumber")


class DraftCalls(LineCalls):
    """Read, find and create drafts."""

    def draft_pages(
        self,
        *,
        changed_since: datetime | None = None,
        start_page: int = 0,
        page_size: int = PAGE_SIZE,
        enough: Enough = never,
    ) -> AsyncGenerator[Page[EconomicDraft], None]:
        """All drafts without lines, or those changed since (whole minutes: overlap a few); resumable by page."""
        return self._pages(DRAFTS, changed(changed_since), start_page, page_size, enough)

    async def draft_lines_of(self, numbers: Sequence[int]) -> LinesByNumber:
        """Lines of these drafts, by draft number (the bulk list's own ids are other numbers)."""
        found: LinesByNumber = {}
        for part in parts(numbers):
            expression = filters.one_of("draftInvoiceNumber", part)
            found |= await self._lines(DRAFT_LINES, expression, lambda line: line.draft_invoice_number, within(part))
        return found

    async def get_draft(self, number: int) -> EconomicDraft:
        """One draft with its lines. Raises ``Refused`` (not found)."""
        return await self._one(f"/invoices/drafts/{path_key(number)}", EconomicDraft, f"draft {number}", "draft")

    async def find_draft(self, number: int) -> EconomicDraft | None:
        """One draft with its lines, or ``None``."""
        return await or_none(self.get_draft(number))

    async def find_drafts_by_reference(self, reference: str) -> list[EconomicDraft]:
        """Drafts whose ``references.other`` is exactly this, without lines."""
        expression = filters.equals("references.other", reference)
        found = await self._all(DRAFTS, expression, what="drafts by reference")
        return [draft for draft in found if draft.references.other == reference]

    async def drafts_with_reference(self, beginning: str) -> list[EconomicDraft]:
        """Drafts whose ``references.other`` begins with this, without lines; for reconciling."""
        found = await self._all(DRAFTS, filters.contains("references.other", beginning), what="drafts by marker")
        return [draft for draft in found if (draft.references.other or "").startswith(beginning)]

    async def create_draft(self, body: bytes, idempotency_key: str) -> EconomicDraft:
        """Create a draft with its lines, in one atomic request. Raises ``OutcomeUnknown`` when the answer was lost."""
        return await self._write(
            "/invoices/drafts", body, idempotency_key, EconomicDraft, "creating the draft", "draft"
        )
