"""Booked invoices by number; the lines of a page come in bulk and are proved against its headers."""

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

from schemas.invoice import EconomicBooked
from worker.economic.endpoints.lines import LinesByNumber
from worker.economic.paging import Page
from worker.errors import Refused
from worker.handlers.importing.ahead import ahead
from worker.handlers.importing.reading import Reading, RejectRow
from worker.handlers.importing.stages.invoices import Prepared, map_documents, prepare
from worker.handlers.importing.sweep import PageWrite, Sweep, nothing
from worker.mapping import invoice as invoice_mapping
from worker.run import Work
from worker.store import booked as booked_rows

WINDOW = timedelta(days=31)
"""How far back is looked when e-conomic has more booked invoices than Pike: people may book with a number of choice."""


async def booked_stage(sweep: Sweep) -> AsyncGenerator[PageWrite, None]:
    """Sweep all booked invoices, or those above the highest number that Pike has."""
    progress = sweep.progress
    if progress.changed_since is not None and not progress.position:
        async with sweep.run.read() as connection:
            progress.position = await booked_rows.highest(connection, *sweep.scope)
    pages = sweep.api.booked_pages(after_number=progress.position, enough=sweep.enough)
    async with ahead(pages, partial(_mapped, sweep)) as prepared:
        async for page, (rows, rejects) in prepared:
            yield _page(sweep, page, rows, rejects)


async def missed_stage(sweep: Sweep) -> AsyncGenerator[PageWrite, None]:
    """After the new ones: when e-conomic still has more than Pike, look for numbers passed over in the last weeks."""
    progress = sweep.progress
    totals = await sweep.api.booked_totals()
    async with sweep.run.read() as connection:
        have = await booked_rows.count(connection, *sweep.scope)
    if have >= (totals.invoice_count or 0):
        yield PageWrite(True, nothing, nothing)
        return
    since = (sweep.run.clock.now() - WINDOW).date()

    async def only_new(page: Page[EconomicBooked]) -> tuple[Prepared, list[RejectRow]]:
        async with sweep.run.read() as connection:
            known = await booked_rows.known(connection, *sweep.scope, [item.number for item in page.items])
        return await _mapped(sweep, page, leave_out=known)

    async with ahead(sweep.api.booked_pages(after_number=progress.position, date_from=since), only_new) as prepared:
        async for page, (rows, rejects) in prepared:
            yield _page(sweep, page, rows, rejects)


async def _mapped(
    sweep: Sweep, page: Page[EconomicBooked], leave_out: frozenset[int] = frozenset()
) -> tuple[Prepared, list[RejectRow]]:
    headers = [header for header in page.items if header.number not in leave_out]
    lines = await sweep.api.booked_lines(headers[0].number, headers[-1].number) if headers else {}
    return await map_booked(sweep, headers, lines, page.fetched_at)


async def map_booked(
    reading: Reading, headers: Sequence[EconomicBooked], lines: LinesByNumber, fetched_at: datetime
) -> tuple[Prepared, list[RejectRow]]:
    """Map booked invoices with the lines that came in bulk; those that cannot be mapped are put aside."""
    booked, unread = await _with_lines(reading, headers, lines)
    codes = await reading.lookups.vat_codes_by_account() if booked else {}
    mapped, unmapped = map_documents(booked, partial(invoice_mapping.booked_to_pike, tax_codes=codes))
    orders = {str(invoice.number): invoice.order_number for invoice in booked if invoice.order_number}
    return await prepare(reading, mapped, fetched_at, orders), [*unread, *unmapped]


def _page(sweep: Sweep, page: Page[EconomicBooked], rows: Prepared, rejects: list[RejectRow]) -> PageWrite:
    async def met(work: Work) -> None:
        progress = sweep.progress
        # each page is filtered by "number greater than the last": only the first one's total is the whole
        await sweep.note(work, page, (), total=progress.totals.get(progress.stage) or page.total)
        progress.position = max([progress.position, *_numbers(page)])
        progress.state_sums(page.items)

    async def write(work: Work) -> None:
        await rows.write(work, sweep, [*page.rejects, *rejects])

    return PageWrite(page.is_last, met, write)


def _numbers(page: Page[EconomicBooked]) -> list[int]:
    """Numbers of a page's invoices, the unreadable ones among them: a resumed sweep goes on after all of these."""
    unreadable = (reject.external_number or "" for reject in page.rejects)
    return [*(invoice.number for invoice in page.items), *(int(text) for text in unreadable if text.isdecimal())]


async def _with_lines(
    reading: Reading, headers: Sequence[EconomicBooked], lines: LinesByNumber
) -> tuple[list[EconomicBooked], list[RejectRow]]:
    """Give headers their lines. Where their sum is not the header's net, that invoice is read alone.

    One that cannot be read alone either is put aside with the reason; the others go on.
    """
    rejects: list[RejectRow] = []
    complete = []
    for header in headers:
        invoice = header.model_copy(update={"lines": lines.get(header.number, ())})
        if _net_of(invoice) != header.net_amount:
            try:
                alone = await reading.api.get_booked(header.number)
            except Refused as exc:
                rejects.append((str(header.number), exc.problem.user_message, header.model_dump_json()[:10_000]))
                continue
            total = _net_of(alone)
            if total != alone.net_amount:
                reading.remark(
                    f"Invoice {header.number}: the lines add up to {total}, e-conomic states {alone.net_amount} net."
                )
            invoice = alone
        complete.append(invoice)
    return complete, rejects


def _net_of(invoice: EconomicBooked) -> Decimal:
    return sum((line.total_net_amount or Decimal(0) for line in invoice.lines or ()), Decimal(0))
