"""The walk of a pushed invoice: load, find the customer, translate, draft once, book if asked, read back, record."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from events.envelope import Envelope
from events.invoice import InvoiceCreated, InvoiceOutcomeUnknown, InvoiceSynced
from events.records import RecordsChanged
from schemas.customer import EconomicCustomer, LocalCustomer
from schemas.invoice import BookingOut, EconomicBooked, EconomicDraft, PikeInvoice, RequestedInvoice
from schemas.problem import Cause, Problem
from worker.economic.endpoints import EconomicApi
from worker.errors import Refused, refused
from worker.handlers.lookups import Lookups
from worker.handlers.pushing.customer import customer_in_economic
from worker.handlers.pushing.ledger import Write, write_once
from worker.handlers.registers import Registers
from worker.mapping import compare as comparing
from worker.mapping import invoice as invoice_mapping
from worker.mapping import push
from worker.mapping.body import to_json
from worker.mapping.tax_rules import TaxRules
from worker.run import Run, Work
from worker.store import customers, effects, invoices, ownership, products
from worker.store.effects import Effect
from worker.store.invoices import LinesOf
from worker.store.records import write_audit


@dataclass(frozen=True, slots=True)
class _Loaded:
    """What Postgres knows before the first call."""

    invoice: RequestedInvoice
    customer: LocalCustomer
    effects: Mapping[str, Effect]


class PushInvoice:
    """Handler of ``pike.invoice.created``. Repeats by whatever way end in the same one draft."""

    def __init__(self, registers: Registers) -> None:
        self._registers = registers

    async def __call__(self, event: Envelope[Any], run: Run) -> None:
        """Send the invoice, or find it again, and record what e-conomic has."""
        data: InvoiceCreated = event.data
        connection = run.need_connection()
        loaded = await _load(data, run)
        customer = await customer_in_economic(run, loaded.customer)
        lookups = self._registers.of(connection.agreement_number, run.need_api())
        rules = await _rules(lookups, loaded.invoice)
        stored: EconomicDraft | EconomicBooked = await _draft(run, loaded, customer)
        if connection.booking == "book" and isinstance(stored, EconomicDraft):
            stored = await _book(run, loaded, stored)
        await _record(run, loaded, customer, stored, rules)


async def fail_push(event: Envelope[Any], problem: Problem, work: Work) -> None:
    """Show the failure at the invoice, which stays editable unless its outcome is unknown (R22)."""
    data: InvoiceCreated = event.data
    await _keep_request(work, event.workspace_id, data)
    unknown = problem.cause is Cause.OUTCOME_UNKNOWN or await effects.any_open(work.connection, data.invoice.id)
    status = "outcome_unknown" if unknown else "failed"
    await invoices.set_status(
        work.connection, event.workspace_id, data.invoice.id, status, problem.model_dump(mode="json")
    )


async def _load(data: InvoiceCreated, run: Run) -> _Loaded:
    """Read customer, products and what was done before. Raises ``Refused`` for what only a person can put right."""
    agreement = run.need_connection().agreement_number
    requested = data.invoice
    async with run.read() as connection:
        existing = await invoices.find(connection, run.workspace_id, requested.id)
        customer = await customers.find(connection, run.workspace_id, agreement, requested.customer_id)
        ids = [line.product_id for line in requested.lines if line.product_id is not None]
        linked = await products.find_many(connection, run.workspace_id, agreement, ids)
        done = await effects.find_all(connection, agreement, requested.id)
        taken = await ownership.taken(
            connection,
            run.workspace_id,
            invoice_id=requested.id,
            customer_id=requested.customer_id,
            product_ids=ids,
            line_ids=[line.id for line in requested.lines],
        )
    if taken:
        raise _not_yours(taken)
    if existing is not None and existing.locked and existing.agreement_number != agreement:
        raise refused(
            Cause.LOCKED,
            f"This invoice is already in another agreement ({existing.agreement_number}).",
            "Make a new invoice in Pike for the agreement that is connected now.",
        )
    if customer is None:
        if data.customer is None:
            raise refused(
                Cause.NOT_FOUND,
                f"Pike's customer {requested.customer_id} is not known here.",
                "Send the customer along with the invoice, or create it in Pike first.",
                fields=["customer_id"],
            )
        customer = LocalCustomer.model_validate(data.customer.model_dump())
    lines = tuple(
        line.model_copy(update={"product_number": linked[line.product_id].external_number})
        if line.product_id in linked
        else line
        for line in requested.lines
    )
    return _Loaded(requested.model_copy(update={"lines": lines}), customer, done)


def _not_yours(taken: set[str]) -> Refused:
    """Refuse ids that are somebody else's; whose they are is not said."""
    fields = {"invoice": "id", "customer": "customer_id", "product": "lines.product_id", "line": "lines.id"}
    names = [name for name in fields if name in taken]
    owner = "another invoice" if names == ["line"] else "another workspace"
    return refused(
        Cause.NOT_FOUND,
        f"The {' and the '.join(names)} id of this invoice belong{'s' if len(names) == 1 else ''} to {owner} in Pike. "
        "Nothing was sent to e-conomic.",
        "Publish the invoice in its own workspace, with ids of its own.",
        fields=[fields[name] for name in names],
    )


async def _rules(lookups: Lookups, invoice: RequestedInvoice) -> TaxRules:
    numbers = {line.product_number for line in invoice.lines if line.product_number}
    return await lookups.tax_rules(await lookups.products(numbers))


async def _draft(run: Run, loaded: _Loaded, customer: EconomicCustomer) -> EconomicDraft | EconomicBooked:
    connection, api = run.need_connection(), run.need_api()
    reference = push.reference_for(connection.agreement_number, loaded.invoice.id)
    body = push.to_economic(loaded.invoice, customer, _defaults(connection.defaults), reference)
    data: InvoiceCreated = run.event.data

    async def with_intent(work: Work) -> None:
        await _keep_request(work, run.workspace_id, data)

    async def on_unknown(work: Work, problem: Problem) -> None:
        shown = problem.model_dump(mode="json")
        await invoices.set_status(work.connection, run.workspace_id, loaded.invoice.id, "outcome_unknown", shown)
        work.emit(InvoiceOutcomeUnknown(invoice_id=loaded.invoice.id, problem=problem))

    return await write_once(
        run,
        Write[EconomicDraft | EconomicBooked](
            step="draft",
            subject_id=loaded.invoice.id,
            reference=reference,
            body=to_json(body),
            send=api.create_draft,
            look_up=lambda: _look_up(api, reference),
            number_of=lambda made: str(made.number),
        ),
        loaded.effects.get("draft"),
        with_intent=with_intent,
        on_unknown=on_unknown,
    )


async def _book(run: Run, loaded: _Loaded, draft: EconomicDraft) -> EconomicBooked:
    """Booking cannot be undone, so it has its own row in the ledger."""
    api = run.need_api()
    reference = push.reference_for(run.need_connection().agreement_number, loaded.invoice.id)

    async def look_up() -> EconomicBooked | None:
        found = await _look_up(api, reference)
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
                look_up=look_up,
                number_of=lambda made: str(made.number),
            ),
            loaded.effects.get("book"),
        )
    except Refused as exc:
        if exc.problem.cause is not Cause.DRAFT_DELETED:
            raise
        booked = await look_up()
        if booked is not None:  # somebody booked it by hand meanwhile
            return booked
        # e-conomic answers the draft's key with the draft that is gone: what is sent again needs a key of its own
        async with run.checkpoint() as work:
            await effects.expire_key(
                work.connection, run.need_connection().agreement_number, loaded.invoice.id, "draft"
            )
        raise


async def _look_up(api: EconomicApi, reference: str) -> EconomicDraft | EconomicBooked | None:
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
    await invoices.save_request(work.connection, workspace_id, data.invoice)


async def _record(
    run: Run,
    loaded: _Loaded,
    customer: EconomicCustomer,
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
        await customers.link(*scope, {loaded.customer.id: str(customer.customer_number)})
        await customers.stamp(*scope, str(customer.customer_number))
        written = await invoices.upsert_invoices(
            *scope, [row], as_of, pushed={loaded.invoice.id: _lines_of(loaded.invoice)}
        )
        await write_audit(work.connection, run.workspace_id, "invoice", f"push:{run.event.id}", written)
        await _done(work, agreement, loaded, customer, stored)
        ids: tuple[UUID, ...] = tuple(record.id for record in written) or (loaded.invoice.id,)
        work.emit(RecordsChanged(entity="invoice", ids=ids))
        work.emit(_synced(loaded, row, adjustments, as_of))


def _to_pike(stored: EconomicDraft | EconomicBooked, rules: TaxRules) -> PikeInvoice:
    if isinstance(stored, EconomicBooked):
        return invoice_mapping.booked_to_pike(stored, rules.codes_by_account())
    return invoice_mapping.draft_to_pike(stored, rules)


async def _done(
    work: Work, agreement: int, loaded: _Loaded, customer: EconomicCustomer, stored: EconomicDraft | EconomicBooked
) -> None:
    """Close every step of the ledger that this push went through; steps that were not taken have no row."""
    outcomes = [
        (loaded.customer.id, "customer", str(customer.customer_number)),
        (loaded.invoice.id, "draft", str(stored.number)),
    ]
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


def _synced(loaded: _Loaded, row: PikeInvoice, adjustments: list[Any], as_of: Any) -> InvoiceSynced:
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
