"""The sweeps of an import. Each reads a page, maps it, and yields what is to be written in one commit.

Reading and mapping happen outside the transaction; ``PageWrite.write`` is called inside it.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

from events.records import RecordsChanged
from schemas.invoice import EconomicBooked, PikeInvoice, Recipient
from schemas.problem import Cause
from schemas.product import EconomicProduct
from worker.economic.paging import Page, Reject
from worker.errors import Refused, refused
from worker.handlers.importing import customers as customer_sweep
from worker.handlers.importing.progress import Progress
from worker.handlers.lookups import Lookups
from worker.handlers.moves import announce_moves
from worker.mapping import invoice as invoice_mapping
from worker.mapping import product as product_mapping
from worker.run import Run, Work
from worker.store import customers, imports, invoices, products, records
from worker.store.records import Written


@dataclass(frozen=True, slots=True)
class PageWrite:
    """One page, read and mapped, waiting for its commit."""

    last: bool
    write: Callable[[Work], Awaitable[None]]


class Sweep:
    """What the sweeps of one import share."""

    def __init__(self, run: Run, progress: Progress) -> None:
        self.run = run
        self.progress = progress
        self.api = run.need_api()
        self.lookups = Lookups(self.api)
        self.workspace_id = run.workspace_id
        connection = run.need_connection()
        self.agreement = connection.agreement_number
        self.base_currency = connection.base_currency
        self.matcher: customer_sweep.Matcher | None = None

    async def matching(self) -> customer_sweep.Matcher:
        """Return Pike's own customers, indexed; read once per slice."""
        if self.matcher is None:
            self.matcher = await customer_sweep.Matcher.load(self.run)
        return self.matcher

    @property
    def actor(self) -> str:
        """Who changed it, for the audit."""
        return f"import:{self.progress.row.event_id}"

    async def record(
        self,
        work: Work,
        entity: str,
        written: Sequence[Written],
        rejects: Sequence[Reject | tuple[str | None, str, str]],
    ) -> None:
        """Count a page, keep its rejects and its audit, and announce the rows that changed."""
        self.progress.count(written, len(rejects))
        plain = [r if isinstance(r, tuple) else (r.external_number, r.reason, r.raw) for r in rejects]
        await imports.add_rejects(work.connection, self.progress.row.id, self.progress.stage, plain)
        await records.write_audit(work.connection, self.workspace_id, entity, self.actor, written)
        announce(work, entity, [record.id for record in written if record.touched])


def announce(work: Work, entity: Any, ids: Sequence[UUID]) -> None:
    """Emit ``economic.records.changed``, at most a thousand ids each."""
    for start in range(0, len(ids), 1000):
        work.emit(RecordsChanged(entity=entity, ids=tuple(ids[start : start + 1000])))


async def products_stage(sweep: Sweep) -> AsyncGenerator[PageWrite, None]:
    """Sweep all products in the order of their numbers."""
    units = await sweep.lookups.unit_names()
    async for page in sweep.api.product_pages(start_page=sweep.progress.position):
        mapped = [
            product_mapping.to_pike(product, sweep.base_currency, await sweep.lookups.finance_account(product), units)
            for product in page.items
        ]

        async def write(work: Work, page: Page[EconomicProduct] = page, mapped: Any = mapped) -> None:
            _met(sweep, page)
            written = await records.upsert_products(
                work.connection, sweep.workspace_id, sweep.agreement, mapped, page.fetched_at
            )
            await sweep.record(work, "product", written, page.rejects)

        yield PageWrite(page.is_last, write)


async def customers_stage(sweep: Sweep) -> AsyncGenerator[PageWrite, None]:
    """Sweep all customers with their contacts; on a first import link those that Pike already has (B11).

    A customer that fits one of Pike's is put off until all of them have been seen: two customers of e-conomic with
    one VAT number are only ambiguous when they are looked at together.
    """
    matcher = await sweep.matching()
    if not sweep.progress.swept:
        async for page in sweep.api.customer_pages(start_page=sweep.progress.position):
            prepared = await customer_sweep.prepare(sweep.run, matcher, page.items)

            async def write(work: Work, page: Any = page, prepared: customer_sweep.Prepared = prepared) -> None:
                _met(sweep, page)
                sweep.progress.swept = page.is_last
                sweep.progress.put_off.extend(prepared.put_off)
                await _write_customers(sweep, work, prepared, page.fetched_at, page.rejects)

            yield PageWrite(False, write)
    if sweep.progress.shrunk:  # nothing is linked on a list that may have holes; the stage starts again
        yield PageWrite(True, _nothing)
        return
    numbers = list(sweep.progress.put_off)
    as_of = sweep.run.clock.now()
    decided = await customer_sweep.decide(sweep.run, matcher, await sweep.api.customers_by_number(numbers))

    async def write_decided(work: Work) -> None:
        sweep.progress.put_off.clear()
        await _write_customers(sweep, work, decided, as_of, ())

    yield PageWrite(True, write_decided)


async def _write_customers(
    sweep: Sweep, work: Work, prepared: customer_sweep.Prepared, as_of: datetime, rejects: Sequence[Reject]
) -> None:
    written = await customer_sweep.write(work, sweep.run, prepared, as_of, sweep.progress.row.id)
    await sweep.record(work, "customer", written, [*rejects, *prepared.rejects])


async def _nothing(_work: Work) -> None:
    return None


def _met(sweep: Sweep, page: Page[Any]) -> None:
    sweep.progress.met(len(page.items) + len(page.rejects), page.total, page.fetched_at)
    sweep.progress.position = page.number + 1


async def drafts_stage(sweep: Sweep) -> AsyncGenerator[PageWrite, None]:
    """Sweep all drafts; their lines come in bulk, their VAT rates follow from product group and zone."""
    async for page in sweep.api.draft_pages(start_page=sweep.progress.position):
        numbers = [draft.draft_invoice_number for draft in page.items]
        lines = await sweep.api.draft_lines_of(numbers) if numbers else {}
        drafts = [draft.model_copy(update={"lines": lines.get(draft.number, ())}) for draft in page.items]
        catalogue = await sweep.lookups.all_products() if numbers else {}
        used = {line.product.product_number for draft in drafts for line in draft.lines or () if line.product}
        rules = await sweep.lookups.tax_rules(catalogue[number] for number in used if number in catalogue)
        mapped, rejects = _map(drafts, partial(invoice_mapping.draft_to_pike, rates=rules))
        prepared = await _prepare(sweep, mapped, page.fetched_at)

        async def write(work: Work, page: Any = page, prepared: "_Prepared" = prepared, rejects: Any = rejects) -> None:
            _met(sweep, page)
            sweep.progress.state_sums(page.items)
            written = await prepared.write(work, sweep, {})
            await sweep.record(work, "invoice", written, [*page.rejects, *rejects])

        yield PageWrite(page.is_last, write)


async def booked_stage(sweep: Sweep) -> AsyncGenerator[PageWrite, None]:
    """Sweep booked invoices by number; the lines of a page come in bulk and are proved against its headers."""
    codes = await sweep.lookups.vat_codes_by_account()
    async for page in sweep.api.booked_pages(after_number=sweep.progress.position):
        booked, unread = await _with_lines(sweep, page.items)
        mapped, unmapped = _map(booked, partial(invoice_mapping.booked_to_pike, tax_codes=codes))
        prepared = await _prepare(sweep, mapped, page.fetched_at)
        orders = {str(invoice.number): invoice.order_number for invoice in booked if invoice.order_number}
        rejects = [*unread, *unmapped]

        async def write(
            work: Work,
            page: Page[EconomicBooked] = page,
            prepared: "_Prepared" = prepared,
            rejects: Any = rejects,
            orders: Any = orders,
        ) -> None:
            # each page is filtered by "number greater than the last": only the first one's total is the whole
            total = sweep.progress.totals.get("booked") or page.total
            sweep.progress.met(len(page.items) + len(page.rejects), total, page.fetched_at)
            sweep.progress.position = max([sweep.progress.position, *_numbers(page)])
            sweep.progress.state_sums(page.items)
            written = await prepared.write(work, sweep, orders)
            await sweep.record(work, "invoice", written, [*page.rejects, *rejects])

        yield PageWrite(page.is_last, write)


def _numbers(page: Page[EconomicBooked]) -> list[int]:
    """Numbers of a page's invoices, the unreadable ones among them: a resumed sweep goes on after all of these."""
    unreadable = (reject.external_number or "" for reject in page.rejects)
    return [*(invoice.number for invoice in page.items), *(int(text) for text in unreadable if text.isdecimal())]


async def _with_lines(
    sweep: Sweep, page: Sequence[EconomicBooked]
) -> tuple[list[EconomicBooked], list[tuple[str | None, str, str]]]:
    """Give a page of headers its lines. Where their sum is not the header's net, that invoice is read alone.

    One that cannot be read alone either is put aside with the reason; the page goes on.
    """
    if not page:
        return [], []
    rejects: list[tuple[str | None, str, str]] = []
    lines = await sweep.api.booked_lines(page[0].number, page[-1].number)
    complete = []
    for header in page:
        invoice = header.model_copy(update={"lines": lines.get(header.number, ())})
        if _net_of(invoice) != header.net_amount:
            try:
                alone = await sweep.api.get_booked(header.number)
            except Refused as exc:
                rejects.append((str(header.number), exc.problem.user_message, header.model_dump_json()[:10_000]))
                continue
            total = _net_of(alone)
            if total != alone.net_amount:
                sweep.progress.remarks.append(
                    f"Invoice {header.number}: the lines add up to {total}, e-conomic states {alone.net_amount} net."
                )
            invoice = alone
        complete.append(invoice)
    return complete, rejects


def _net_of(invoice: EconomicBooked) -> Decimal:
    return sum((line.total_net_amount or Decimal(0) for line in invoice.lines or ()), Decimal(0))


def _map(
    documents: Sequence[Any], to_pike: Callable[[Any], PikeInvoice]
) -> tuple[list[tuple[Any, PikeInvoice]], list[tuple[str | None, str, str]]]:
    mapped: list[tuple[Any, PikeInvoice]] = []
    rejects: list[tuple[str | None, str, str]] = []
    for document in documents:
        try:
            mapped.append((document, to_pike(document)))
        except Refused as exc:
            rejects.append((str(document.number), exc.problem.user_message, document.model_dump_json()[:10_000]))
    return mapped, rejects


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A page of invoices with what they need: customers and products that Pike does not have yet."""

    invoices: list[PikeInvoice]
    as_of: datetime
    customers: customer_sweep.Prepared | None
    recipients: Mapping[str, Recipient]
    products: Sequence[Any]
    gone_products: Mapping[str, str]

    async def write(self, work: Work, sweep: Sweep, order_numbers: Mapping[str, int]) -> list[Written]:
        """Write customers and products first, then the invoices that point at them."""
        connection, workspace, agreement = work.connection, sweep.workspace_id, sweep.agreement
        if self.customers is not None:
            brought = await customer_sweep.write(work, sweep.run, self.customers, self.as_of, sweep.progress.row.id)
            announce(work, "customer", [record.id for record in brought if record.touched])
        made = await customers.ensure_from_recipients(connection, workspace, agreement, self.recipients, self.as_of)
        announce(work, "customer", made)
        found = await records.upsert_products(connection, workspace, agreement, self.products, self.as_of)
        made = await products.ensure_numbers(connection, workspace, agreement, self.gone_products, self.as_of)
        announce(work, "product", [*(record.id for record in found if record.touched), *made])
        written = await invoices.upsert_invoices(
            connection, workspace, agreement, self.invoices, self.as_of, order_numbers=order_numbers
        )
        announce_moves(work, written, self.invoices, self.as_of)
        return written


async def _prepare(sweep: Sweep, mapped: Sequence[tuple[Any, PikeInvoice]], as_of: datetime) -> _Prepared:
    """Find out which customers and products of a page are missing in Pike, and read those that still exist (R9)."""
    page = [invoice for _, invoice in mapped]
    customer_numbers = {i.customer_number: i.recipient or Recipient() for i in page if i.customer_number}
    named = {
        line.product_number: line.description or line.product_number
        for invoice in page
        for line in invoice.lines or ()
        if line.product_number
    }
    async with sweep.run.read() as connection:
        known = await customers.known_numbers(connection, sweep.workspace_id, sweep.agreement, list(customer_numbers))
        waiting = await customers.open_matches(connection, sweep.workspace_id, sweep.agreement)
        have = await products.known_numbers(connection, sweep.workspace_id, sweep.agreement, list(named))
    missing = sorted(int(number) for number in customer_numbers.keys() - known - waiting)
    brought = await _bring_customers(sweep, missing)
    arrived = brought.numbers if brought else set()
    live, gone = await _bring_products(sweep, {number: named[number] for number in named.keys() - have})
    return _Prepared(
        invoices=page,
        as_of=as_of,
        customers=brought,
        recipients={str(n): customer_numbers[str(n)] for n in missing if str(n) not in arrived},
        products=live,
        gone_products=gone,
    )


async def _bring_customers(sweep: Sweep, missing: Sequence[int]) -> customer_sweep.Prepared | None:
    """Read customers that only the invoices name. After a sweep of customers a missing one is known to be gone."""
    if not missing or sweep.progress.wants("customers"):
        return None
    return await customer_sweep.decide(
        sweep.run, await sweep.matching(), await sweep.api.customers_by_number(missing), search=True
    )


async def _bring_products(sweep: Sweep, missing: Mapping[str, str]) -> tuple[list[Any], dict[str, str]]:
    """Return products to write and, by number, names of those that e-conomic no longer has (R25)."""
    if not missing:
        return [], {}
    if sweep.progress.wants("products"):
        return [], dict(missing)
    catalogue = await sweep.lookups.all_products()
    units = await sweep.lookups.unit_names()
    live = [
        product_mapping.to_pike(
            catalogue[number], sweep.base_currency, await sweep.lookups.finance_account(catalogue[number]), units
        )
        for number in sorted(missing)
        if number in catalogue
    ]
    return live, {number: name for number, name in missing.items() if number not in catalogue}


def incomplete(what: str, seen: int, total: int | None) -> Refused:
    """Make the failure of a sweep that met fewer or more records than e-conomic says there are."""
    return refused(
        Cause.IMPORT_INCOMPLETE,
        f"e-conomic listed {total} {what}, {seen} arrived. Somebody was probably working there meanwhile.",
        "Press Import again. What arrived was kept; nothing was deactivated.",
        fields=[what],
    )


STAGE_STEPS: Mapping[str, Callable[[Sweep], AsyncGenerator[PageWrite, None]]] = {
    "products": products_stage,
    "customers": customers_stage,
    "drafts": drafts_stage,
    "booked": booked_stage,
}

__all__ = ["STAGE_STEPS", "PageWrite", "Sweep", "announce", "incomplete"]
