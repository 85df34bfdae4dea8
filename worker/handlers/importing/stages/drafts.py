"""Drafts; their lines come in bulk, their VAT rates follow from product group and zone."""

from collections.abc import AsyncGenerator
from functools import partial

from schemas.invoice import EconomicDraft
from worker.economic.paging import Page
from worker.handlers.importing.ahead import ahead
from worker.handlers.importing.reading import RejectRow
from worker.handlers.importing.stages.invoices import Prepared, map_documents, prepare
from worker.handlers.importing.sweep import PageWrite, Sweep
from worker.mapping import invoice as invoice_mapping
from worker.run import Work


async def drafts_stage(sweep: Sweep) -> AsyncGenerator[PageWrite, None]:
    """Sweep all drafts, or those that changed."""

    async def mapped(page: Page[EconomicDraft]) -> tuple[Prepared, list[RejectRow]]:
        numbers = [draft.draft_invoice_number for draft in page.items]
        lines = await sweep.api.draft_lines_of(numbers) if numbers else {}
        drafts = [draft.model_copy(update={"lines": lines.get(draft.number, ())}) for draft in page.items]
        catalogue = await sweep.lookups.all_products() if numbers else {}
        used = {line.product_number for draft in drafts for line in draft.lines or ()}
        known = [catalogue[number] for number in used if number and number in catalogue]
        if not numbers:
            return await prepare(sweep, [], page.fetched_at), []
        rules = await sweep.lookups.tax_rules(known)
        rows, rejects = map_documents(drafts, partial(invoice_mapping.draft_to_pike, rates=rules))
        return await prepare(sweep, rows, page.fetched_at), rejects

    progress = sweep.progress
    pages = sweep.api.draft_pages(
        changed_since=progress.changed_since, start_page=progress.position, enough=sweep.enough
    )
    async with ahead(pages, mapped) as prepared:
        async for page, (invoices, rejects) in prepared:
            yield _page(sweep, page, invoices, rejects)


def _page(sweep: Sweep, page: Page[EconomicDraft], invoices: Prepared, rejects: list[RejectRow]) -> PageWrite:
    async def met(work: Work) -> None:
        await sweep.met(work, page, [str(draft.number) for draft in page.items])
        sweep.progress.state_sums(page.items)

    async def write(work: Work) -> None:
        await invoices.write(work, sweep, [*page.rejects, *rejects])

    return PageWrite(page.is_last, met, write)
