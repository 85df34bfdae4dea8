"""Open invoices again, for payments: of a booked invoice nothing else ever changes, and no time of change is kept."""

from collections.abc import AsyncGenerator

from schemas.invoice import EconomicBooked
from worker.economic.paging import Page
from worker.handlers.importing.stages.invoices import map_documents, prepare
from worker.handlers.importing.sweep import PageWrite, Sweep
from worker.mapping import invoice as invoice_mapping
from worker.run import Work
from worker.store import booked as booked_rows
from worker.store import imports

PAGES = 4
"""Pages of a thousand open invoices per import of changes; the next one goes on behind them."""

MOST_PAID = 400
"""Invoices that are no longer open and are read again per page, two hundred a call; the rest waits."""

_MARK = "unpaid_after"


async def unpaid_stage(sweep: Sweep) -> AsyncGenerator[PageWrite, None]:
    """Compare a stretch of e-conomic's list of unpaid invoices with Pike's open ones, and re-read what differs."""
    async with sweep.run.read() as connection:
        after = int(await imports.mark(connection, *sweep.scope, _MARK) or 0)
    left = PAGES
    async for page in sweep.api.unpaid_after(after):
        left -= 1
        last = page.is_last or not left
        upto = None if page.is_last else page.items[-1].number if page.items else after
        yield await _page(sweep, page, (after, upto), last=last)
        if last:
            return
        after = upto or after


async def _page(sweep: Sweep, page: Page[EconomicBooked], stretch: tuple[int, int | None], *, last: bool) -> PageWrite:
    after, upto = stretch
    async with sweep.run.read() as connection:
        have = await booked_rows.open_remainders(connection, *sweep.scope, after, upto)
    open_now = {item.number: item for item in page.items}
    unread = {reject.external_number for reject in page.rejects}
    differing = [item for number, item in open_now.items() if number in have and have[number] != item.remainder]
    closed = [number for number in have if number not in open_now and str(number) not in unread][:MOST_PAID]
    reopened = await _reopened(sweep, [number for number in open_now if number not in have])
    changed = [*differing, *(open_now[number] for number in reopened), *await sweep.api.booked_by_number(closed)]
    mapped, rejects = map_documents(changed, invoice_mapping.booked_to_pike)
    prepared = await prepare(sweep, mapped, page.fetched_at)

    async def met(work: Work) -> None:
        await imports.set_mark(work.connection, *sweep.scope, _MARK, str(upto or 0))

    async def write(work: Work) -> None:
        await prepared.write(work, sweep, rejects)

    return PageWrite(last, met, write)


async def _reopened(sweep: Sweep, numbers: list[int]) -> frozenset[int]:
    """Return those that Pike has as paid: a payment was taken back."""
    if not numbers:
        return frozenset()
    async with sweep.run.read() as connection:
        return await booked_rows.known(connection, *sweep.scope, numbers)
