"""Reading the named records of one kind, and what is then to be written: in one transaction, with the others."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from uuid import UUID

from worker.entities import PRODUCTS
from worker.handlers.importing import customers as matched
from worker.handlers.importing.reading import Reading
from worker.handlers.importing.stages.booked import map_booked
from worker.run import Work
from worker.store import records, vanished
from worker.store.hints import Pending
from worker.store.tables import CUSTOMERS, Table

Reread = Callable[[Work], Awaitable[None]]
"""Writes what was read."""


async def read_products(reading: Reading, hinted: Sequence[Pending], as_of: datetime) -> Reread:
    """Read products; those that e-conomic no longer has are gone."""
    numbers = _numbers(hinted)
    looked_up = await reading.api.look_up_products(numbers)
    rows = await PRODUCTS.rows(list(looked_up.found.values()), reading.lookups)
    gone = looked_up.missing(numbers)

    async def write(work: Work) -> None:
        await _renumber(reading, work, PRODUCTS.table, hinted)
        written = await records.upsert(work.connection, PRODUCTS.table, *reading.scope, rows, as_of, sparingly=True)
        reading.record("product", written)
        await _mark_gone(reading, work, PRODUCTS.table, gone, as_of)

    return write


async def read_customers(reading: Reading, hinted: Sequence[Pending], as_of: datetime) -> Reread:
    """Read customers with their contacts; those that e-conomic no longer has are gone."""
    numbers = _numbers(hinted)
    looked_up = await reading.api.look_up_customers(numbers)
    found = list(looked_up.found.values())
    prepared = await matched.decide(reading.run, await reading.matching(), found, search=True)
    gone = looked_up.missing(numbers)

    async def write(work: Work) -> None:
        await _renumber(reading, work, CUSTOMERS, hinted)
        written = await matched.write(work, reading.run, prepared, as_of, None, sparingly=True)
        reading.record("customer", written)
        await _mark_gone(reading, work, CUSTOMERS, gone, as_of)

    return write


async def read_invoices(reading: Reading, hinted: Sequence[Pending], as_of: datetime) -> Reread:
    """Read booked invoices with their lines and whatever they point at. They are never gone: booked is booked."""
    looked_up = await reading.api.look_up_booked([each.hint.external_number for each in hinted])
    headers = sorted(looked_up.found.values(), key=lambda invoice: invoice.number)
    lines = await reading.api.booked_lines_of([header.number for header in headers]) if headers else {}
    prepared, rejects = await map_booked(reading, headers, lines, as_of)

    async def write(work: Work) -> None:
        await prepared.write(work, reading, rejects)

    return write


def _numbers(hinted: Sequence[Pending]) -> list[str]:
    """Return every number that was named, the ones of before too: whether they are gone is e-conomic's word."""
    named = [each.hint.external_number for each in hinted]
    return list(dict.fromkeys([*named, *(each.hint.renamed_from for each in hinted if each.hint.renamed_from)]))


async def _renumber(reading: Reading, work: Work, table: Table, hinted: Sequence[Pending]) -> None:
    """Give rows their new numbers, in the order of the hints, before anything is written under them."""
    for each in hinted:
        hint = each.hint
        if hint.renamed_from:
            moved: UUID | None = await records.renumber(
                work.connection, table, *reading.scope, hint.renamed_from, hint.external_number, reading.actor
            )
            if moved is not None:
                reading.recorded.moved.append((table.entity, moved))


async def _mark_gone(reading: Reading, work: Work, table: Table, gone: Sequence[str], as_of: datetime) -> None:
    marked = await vanished.mark_vanished(work.connection, table, *reading.scope, as_of, gone)
    reading.recorded.deactivated += [(table.entity, record_id, number) for record_id, number in marked]
