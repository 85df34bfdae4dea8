"""Customers with their contacts; on a first import those that Pike already has are linked (B11)."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from datetime import datetime

from schemas.customer import EconomicCustomerRow
from worker.economic.paging import Page, Reject
from worker.handlers.importing import customers as matched
from worker.handlers.importing.ahead import ahead
from worker.handlers.importing.sweep import PageWrite, Sweep, nothing
from worker.run import Work


async def customers_stage(sweep: Sweep) -> AsyncGenerator[PageWrite, None]:
    """Sweep all customers, or those that changed themselves or in their contacts.

    A customer that fits one of Pike's is put off until all of them have been seen: two customers of e-conomic with
    one VAT number are only ambiguous when they are looked at together.
    """
    matcher, progress = await sweep.matching(), sweep.progress
    since = progress.changed_since
    if not progress.swept:
        pages = sweep.api.customer_pages(changed_since=since, start_page=progress.position, enough=sweep.enough)
        async with ahead(pages, lambda page: matched.prepare(sweep.run, matcher, page.items)) as prepared:
            async for page, customers in prepared:
                yield _page(sweep, page, customers)
    if not progress.swept:  # the slice is over
        return
    if progress.shrunk:  # nothing is linked on a list that may have holes; the stage starts again
        yield PageWrite(True, nothing, nothing)
        return
    numbers = [*progress.put_off, *await _with_changed_contacts(sweep)]
    as_of = sweep.run.clock.now()
    found = await sweep.api.customers_by_number(list(dict.fromkeys(numbers)))
    decided = await matched.decide(sweep.run, matcher, found, search=since is not None)

    async def met(_work: Work) -> None:
        progress.put_off.clear()

    async def write(work: Work) -> None:
        await _write(sweep, work, decided, as_of, ())

    yield PageWrite(True, met, write)


def _page(sweep: Sweep, page: Page[EconomicCustomerRow], prepared: matched.Prepared) -> PageWrite:
    async def met(work: Work) -> None:
        await sweep.met(work, page, [str(customer.customer_number) for customer in page.items])
        sweep.progress.swept = page.is_last
        sweep.progress.put_off.extend(prepared.put_off)

    async def write(work: Work) -> None:
        await _write(sweep, work, prepared, page.fetched_at, page.rejects)

    return PageWrite(False, met, write)


async def _with_changed_contacts(sweep: Sweep) -> Iterable[int]:
    """Return the customers whose contacts changed: their own time of change may not tell."""
    since = sweep.progress.changed_since
    if since is None:
        return ()
    numbers: dict[int, None] = {}
    async for page in sweep.api.contact_pages(changed_since=since):
        numbers.update(dict.fromkeys(contact.customer_number for contact in page.items))
    return numbers


async def _write(
    sweep: Sweep, work: Work, prepared: matched.Prepared, as_of: datetime, rejects: Sequence[Reject]
) -> None:
    written = await matched.write(work, sweep.run, prepared, as_of, sweep.progress.row.id, sparingly=True)
    sweep.record("customer", written, [*rejects, *prepared.rejects], read=len(prepared.customers))
    sweep.recorded.ambiguous += prepared.ambiguous
