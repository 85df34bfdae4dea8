"""The walk of a pushed invoice: load, find the customer, translate, draft once, book if asked, read back, record."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from events.envelope import Envelope
from events.invoice import InvoiceCreated, InvoiceOutcomeUnknown, InvoiceSynced
from events.records import RecordsChanged
from schemas.customer import EconomicCustomer, LocalCustomer
from schemas.draft_out import BookingOut
from schemas.invoice import EconomicBooked, EconomicDraft, PikeInvoice, RequestedInvoice
from schemas.problem import Cause, Problem
from worker import failpoints
from worker.economic.endpoints import EconomicApi
from worker.errors import NotYet, Refused, refused
from worker.handlers.lookups import Lookups
from worker.handlers.pushing.customer import customer_in_economic
from worker.handlers.pushing.ledger import Write, looked_up, write_once
from worker.handlers.pushing.loading import Loaded, load
from worker.handlers.registers import Registers
from worker.mapping import compare as comparing
from worker.mapping import invoice as invoice_mapping
from worker.mapping import push
from worker.mapping.body import to_json
from worker.mapping.tax_rules import TaxRules
from worker.run import Run, Work
from worker.store import customers, effects, invoices, own_invoices, ownership
from worker.store.invoices import LinesOf
from worker.store.records import write_audit


class PushInvoice:
    """Handler of ``pike.invoice.created``. Repeats by whatever way end in the same one draft."""

    def __init__(self, registers: Registers) -> None:
        self._registers = registers

    async def __call__(self, event: Envelope[Any], run: Run) -> None:
        """Send the invoice, or find it again, and record what e-conomic has."""
        data: InvoiceCreated = event.data
        connection = run.need_connection()
        loaded = await load(data, run)
        failpoints.hit("push.loaded")
        stored = await _sent_before(run, loaded)
        lookups = self._registers.of(connection, run.need_api())
        if stored is None:
            customer = await customer_in_economic(run, loaded.customer)
            rules = await _rules(lookups, loaded.invoice)
            stored = await _draft(run, loaded, customer)
        else:
            rules = await _rules(lookups, loaded.invoice)
        if connection.booking == "book" and isinstance(stored, EconomicDraft):
            stored = await _book(run, loaded, stored)
        await _record(run, loaded, stored, rules)


async def fail_push(event: Envelope[Any], problem: Problem, work: Work) -> None:
    """Show the failure at the invoice, which stays editable unless its outcome is unknown (R22)."""
    data: InvoiceCreated = event.data
    taken = await ownership.taken(
        work.connection,
        event.workspace_id,
        invoice_id=data.invoice.id,
        customer_id=data.invoice.customer_id,
        product_ids=(),
        line_ids=(),
    )
    if "invoice" in taken:
        return
    await _keep_request(work, event.workspace_id, data if "customer" not in taken else _without_customer(data))
    unknown = problem.cause is Cause.OUTCOME_UNKNOWN or await effects.any_open(work.connection, data.invoice.id)
    status = "outcome_unknown" if unknown else "failed"
    await own_invoices.set_status(
        work.connection, event.workspace_id, data.invoice.id, status, problem.model_dump(mode="json")
    )


def _without_customer(data: InvoiceCreated) -> InvoiceCreated:
    return data.model_copy(update={"customer": None})


async def _sent_before(run: Run, loaded: Loaded) -> EconomicDraft | EconomicBooked | None:
    """Look up what was sent before, ahead of every check: what is there is recorded, whatever has changed since."""
    if loaded.sent is None:
        return None
    api = run.need_api()
    reference = push.reference_for(run.need_connection().agreement_number, loaded.invoice.id)
    return await looked_up(reference, lambda: look_up(api, reference), loaded.sent)


async def _rules(lookups: Lookups, invoice: RequestedInvoice) -> TaxRules:
    numbers = {line.product_number for line in invoice.lines if line.product_number}
    return await lookups.tax_rules(await lookups.products(numbers))


async def _draft(run: Run, loaded: Loaded, customer: EconomicCustomer) -> EconomicDraft | EconomicBooked:
    connection, api = run.need_connection(), run.need_api()
    reference = push.reference_for(connection.agreement_number, loaded.invoice.id)
    body = push.to_economic(loaded.invoice, customer, _defaults(connection.defaults), reference)
    data: InvoiceCreated = run.event.data

    async def with_intent(work: Work) -> None:
        await _keep_request(work, run.workspace_id, data)
        if not await own_invoices.hold(work.connection, run.workspace_id, loaded.invoice.id):
            raise NotYet("another workspace has just used this invoice's id", delay_s=1.0)

    async def on_unknown(work: Work, problem: Problem) -> None:
        shown = problem.model_dump(mode="json")
        await own_invoices.set_status(work.connection, run.workspace_id, loaded.invoice.id, "outcome_unknown", shown)
        work.emit(InvoiceOutcomeUnknown(invoice_id=loaded.invoice.id, problem=problem))

    return await write_once(
        run,
        Write[EconomicDraft | EconomicBooked](
            step="draft",
            subject_id=loaded.invoice.id,
            reference=reference,
            body=to_json(body),
            send=api.create_draft,
            look_up=lambda: look_up(api, reference),
            number_of=lambda made: str(made.number),
        ),
        loaded.effects.get("draft"),
        with_intent=with_intent,
        on_unknown=on_unknown,
    )


async def _book(run: Run, loaded: Loaded, draft: EconomicDraft) -> EconomicBooked:
    """Booking cannot be undone, so it has its own row in the ledger."""
    api = run.need_api()
    reference = push.reference_for(run.need_connection().agreement_number, loaded.invoice.id)

    async def find_booked() -> EconomicBooked | None:
        found = await look_up(api, reference)
        return found if isinstance(found, EconomicBooked) else None

    body = BookingOut(draft_invoice=BookingOut.Draft(draft_invoice_number=draft.number))
    try:
        return await write_once(
            run,
            Write(
                step="book",
                subject_id=loaded.invoice.id,
                reference=reference,
                body=to_json(body),
                send=api.book_draft,
                look_up=find_booked,
                number_of=lambda made: str(made.number),
            ),
            loaded.effects.get("book"),
        )
    except Refused as exc:
        if exc.problem.cause is not Cause.DRAFT_DELETED:
            raise
        booked = await find_booked()
        if booked is not None:  # somebody booked it by hand meanwhile
            return booked
        # e-conomic answers the draft's key with the draft that is gone: what is sent again needs a key of its own
        async with run.checkpoint() as work:
            await effects.expire_key(
                work.connection, run.need_connection().agreement_number, loaded.invoice.id, "draft"
            )
        raise


async def look_up(api: EconomicApi, reference: str) -> EconomicDraft | EconomicBooked | None:
    """Find an invoice by our marker, booked ones first: a draft with the marker may be a copy somebody made of it."""
    booked = await api.find_booked_by_reference(reference)
    if booked:
        return await api.get_booked(min(invoice.number for invoice in booked))
    drafts = await api.find_drafts_by_reference(reference)
    return await api.find_draft(min(draft.number for draft in drafts)) if drafts else None


def _defaults(defaults: Mapping[str, Any]) -> push.InvoiceDefaults:
    layout, terms = defaults.get("layout"), defaults.get("payment_terms")
    if not isinstance(layout, int) or not isinstance(terms, int):
        raise refused(
            Cause.PAYMENT_TERMS_UNUSABLE,
            "The connection has no default layout or payment terms, which every invoice in e-conomic needs.",
            "Create a layout and payment terms in e-conomic and connect again.",
        )
    return push.InvoiceDefaults(
        layout_number=layout, payment_terms_number=terms, payment_terms_type=defaults.get("payment_terms_type")
    )


async def _keep_request(work: Work, workspace_id: str, data: InvoiceCreated) -> None:
    if data.customer is not None:
        await customers.insert_local(
            work.connection, workspace_id, LocalCustomer.model_validate(data.customer.model_dump())
        )
    await own_invoices.save_request(work.connection, workspace_id, data.invoice)


async def _record(
    run: Run,
    loaded: Loaded,
    stored: EconomicDraft | EconomicBooked,
    rules: TaxRules,
) -> None:
    """Write what e-conomic has, lock the row, link the customer and answer; one commit."""
    agreement = run.need_connection().agreement_number
    row = _to_pike(stored, rules)
    zone = stored.recipient.vat_zone.vat_zone_number if stored.recipient.vat_zone else None
    numbers = {line.product_number for line in loaded.invoice.lines if line.product_number}
    accounts = {n: a for n in numbers if (a := rules.finance_account_for(n, zone)) is not None}
    adjustments = comparing.compare(loaded.invoice, stored, accounts)
    as_of = run.clock.now()
    async with run.finish("synced") as work:
        scope = (work.connection, run.workspace_id, agreement)
        await _keep_request(work, run.workspace_id, run.event.data)
        if row.customer_number is not None:
            await customers.link(*scope, {loaded.customer.id: row.customer_number})
            await customers.stamp(*scope, row.customer_number)
        written = await invoices.upsert_invoices(
            *scope, [row], as_of, pushed={loaded.invoice.id: _lines_of(loaded.invoice)}
        )
        await write_audit(work.connection, run.workspace_id, "invoice", f"push:{run.event.id}", written)
        await _done(work, agreement, loaded, stored)
        ids: tuple[UUID, ...] = tuple(record.id for record in written) or (loaded.invoice.id,)
        work.emit(RecordsChanged(entity="invoice", ids=ids))
        work.emit(_synced(loaded, row, adjustments, as_of))


def _to_pike(stored: EconomicDraft | EconomicBooked, rules: TaxRules) -> PikeInvoice:
    if isinstance(stored, EconomicBooked):
        return invoice_mapping.booked_to_pike(stored, rules.codes_by_account())
    return invoice_mapping.draft_to_pike(stored, rules)


async def _done(work: Work, agreement: int, loaded: Loaded, stored: EconomicDraft | EconomicBooked) -> None:
    """Close every step of the ledger that this push went through; steps that were not taken have no row."""
    outcomes = [(loaded.invoice.id, "draft", str(stored.number))]
    if stored.customer is not None:
        outcomes.append((loaded.customer.id, "customer", str(stored.customer.customer_number)))
    if isinstance(stored, EconomicBooked):
        outcomes.append((loaded.invoice.id, "book", str(stored.number)))
    for subject, step, number in outcomes:
        await effects.record(
            work.connection,
            agreement=agreement,
            subject_id=subject,
            step=step,  # type: ignore[arg-type]
            state="done",
            external_number=number,
        )


def _lines_of(invoice: RequestedInvoice) -> LinesOf:
    numbered = list(enumerate(invoice.lines, start=1))
    return LinesOf(
        ids={position: line.id for position, line in numbered},
        accounts_requested={p: line.finance_account for p, line in numbered if line.finance_account is not None},
    )


def _synced(loaded: Loaded, row: PikeInvoice, adjustments: list[Any], as_of: Any) -> InvoiceSynced:
    return InvoiceSynced(
        invoice_id=loaded.invoice.id,
        external_number=row.external_number,
        status=row.status,
        net=row.net_amount,
        vat=row.vat_amount,
        gross=row.gross_amount,
        last_synced_at=as_of,
        adjustments=tuple(adjustments),
    )
