"""A page of invoices of whatever kind: mapped, with the customers and products that they need brought along (R9)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from schemas.invoice import PikeInvoice, Recipient
from schemas.product import PikeProduct
from worker.economic.paging import Reject
from worker.entities import CUSTOMERS, PRODUCTS
from worker.errors import Refused
from worker.handlers.importing import customers as matched
from worker.handlers.importing.reading import Reading, RejectRow, announce
from worker.handlers.moves import announce_moves
from worker.run import Work
from worker.store import customers, invoices, matches, products, records


def map_documents(
    documents: Sequence[Any], to_pike: Callable[[Any], PikeInvoice]
) -> tuple[list[PikeInvoice], list[RejectRow]]:
    """Map a page; a document that cannot be mapped is put aside with the reason."""
    mapped: list[PikeInvoice] = []
    rejects: list[RejectRow] = []
    for document in documents:
        try:
            mapped.append(to_pike(document))
        except Refused as exc:
            rejects.append((str(document.number), exc.problem.user_message, document.model_dump_json()[:10_000]))
    return mapped, rejects


@dataclass(frozen=True, slots=True)
class Prepared:
    """A page of invoices with what they need: customers and products that Pike does not have yet."""

    invoices: list[PikeInvoice]
    as_of: datetime
    customers: matched.Prepared | None
    recipients: Mapping[str, Recipient]
    products: Sequence[PikeProduct]
    gone_products: Mapping[str, str]
    order_numbers: Mapping[str, int] = field(default_factory=dict)

    async def write(self, work: Work, reading: Reading, rejects: Sequence[Reject | RejectRow]) -> None:
        """Write customers and products first, then the invoices that point at them."""
        connection, scope = work.connection, reading.scope
        if self.customers is not None:
            brought = await matched.write(work, reading.run, self.customers, self.as_of, reading.import_id)
            reading.record("customer", brought)
        made = await customers.ensure_from_recipients(connection, *scope, self.recipients, self.as_of)
        announce(work, "customer", made)
        written = await records.upsert(connection, PRODUCTS.table, *scope, self.products, self.as_of)
        reading.record("product", written)
        made = await products.ensure_numbers(connection, *scope, self.gone_products, self.as_of)
        announce(work, "product", made)
        written = await invoices.upsert_invoices(
            connection, *scope, self.invoices, self.as_of, order_numbers=self.order_numbers, sparingly=True
        )
        announce_moves(work, written, self.invoices, self.as_of)
        reading.record("invoice", written, rejects, read=len(self.invoices))


async def prepare(
    reading: Reading, page: list[PikeInvoice], as_of: datetime, order_numbers: Mapping[str, int] | None = None
) -> Prepared:
    """Find out which customers and products of a page are missing in Pike, and read those that still exist."""
    customer_numbers = {i.customer_number: i.recipient or Recipient() for i in page if i.customer_number}
    named = {
        line.product_number: line.description or line.product_number
        for invoice in page
        for line in invoice.lines or ()
        if line.product_number
    }
    missing: list[int] = []
    if page:
        async with reading.run.read() as connection:
            known = await records.known_numbers(connection, CUSTOMERS.table, *reading.scope, list(customer_numbers))
            waiting = await matches.open_matches(connection, *reading.scope)
            have = await records.known_numbers(connection, PRODUCTS.table, *reading.scope, list(named))
        missing = sorted(int(number) for number in customer_numbers.keys() - known - waiting)
        named = {number: named[number] for number in named.keys() - have}
    brought = await _bring_customers(reading, missing)
    arrived = brought.numbers if brought else set()
    live, gone = await _bring_products(reading, named)
    return Prepared(
        invoices=page,
        as_of=as_of,
        customers=brought,
        recipients={str(n): customer_numbers[str(n)] for n in missing if str(n) not in arrived},
        products=live,
        gone_products=gone,
        order_numbers=order_numbers or {},
    )


async def _bring_customers(reading: Reading, missing: Sequence[int]) -> matched.Prepared | None:
    """Read customers that only the invoices name. After a sweep of customers a missing one is known to be gone."""
    if not missing or reading.knows_all("customers"):
        return None
    return await matched.decide(
        reading.run, await reading.matching(), await reading.api.customers_by_number(missing), search=True
    )


async def _bring_products(reading: Reading, missing: Mapping[str, str]) -> tuple[list[PikeProduct], dict[str, str]]:
    """Return products to write and, by number, names of those that e-conomic no longer has (R25)."""
    if not missing:
        return [], {}
    if reading.knows_all("products"):
        return [], dict(missing)
    catalogue = await reading.lookups.all_products()
    found = [catalogue[number] for number in sorted(missing) if number in catalogue]
    live = await PRODUCTS.rows(found, reading.lookups)
    return live, {number: name for number, name in missing.items() if number not in catalogue}
