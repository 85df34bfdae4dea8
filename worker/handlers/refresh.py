"""``pike.refresh.requested``: read one record again, write what differs, say what changed; no other is touched."""

from typing import Any, Literal
from uuid import UUID

from events.envelope import Envelope
from events.fields import FieldChange
from events.refresh import RefreshCompleted, RefreshRequested
from schemas.invoice import EconomicBooked, EconomicDraft, PikeInvoice
from schemas.kinds import LIST_OF, Entity
from schemas.problem import Cause, Problem
from worker import failpoints
from worker.entities import CUSTOMERS, ENTITIES, PRODUCTS, EntityType
from worker.errors import Refused, refused
from worker.handlers.importing import customers as customer_sweep
from worker.handlers.importing.reading import announce
from worker.handlers.moves import announce_moves
from worker.handlers.registers import Registers
from worker.mapping import invoice as invoice_mapping
from worker.mapping import push
from worker.run import Run, Work
from worker.store import connections, customers, guarded, invoices, products, records
from worker.store.records import Written

Target = tuple[UUID | None, str, Literal["draft", "booked"]]
"""Pike's id if the record is known by it, e-conomic's number, and which series an invoice's number belongs to."""


class Refresh:
    """Handler of ``pike.refresh.requested``."""

    def __init__(self, registers: Registers) -> None:
        self._registers = registers

    async def __call__(self, event: Envelope[Any], run: Run) -> None:
        """Refresh one record; a number that Pike does not have yet is imported."""
        data: RefreshRequested = event.data
        target = await _target(data, run)
        name = LIST_OF[data.entity]
        match name:
            case "customers":
                await self._customer(run, target)
            case "invoices":
                await self._invoice(run, target)
            case _:
                await self._listed(ENTITIES[name], run, target)

    async def _listed(self, entity: EntityType[Any, Any], run: Run, target: Target) -> None:
        api, connection = run.need_api(), run.need_connection()
        as_of = run.clock.now()
        found = await api.get_record(entity.listing, target[1])
        rows = await entity.rows([found], self._registers.of(connection, api))
        failpoints.hit("refresh.read")
        async with run.finish("refreshed") as work:
            written = await records.upsert(
                work.connection, entity.table, run.workspace_id, connection.agreement_number, rows, as_of
            )
            await _answer(work, run, entity.kind, target, written)

    async def _customer(self, run: Run, target: Target) -> None:
        as_of = run.clock.now()
        customer = await run.need_api().get_customer(int(target[1]))
        matcher = await customer_sweep.Matcher.load(run)
        prepared = await customer_sweep.decide(run, matcher, [customer], search=True)
        if prepared.ambiguous:
            raise _ambiguous(prepared.rejects[0][1])
        failpoints.hit("refresh.read")
        async with run.finish("refreshed") as work:
            written = await customer_sweep.write(work, run, prepared, as_of, None)
            await _answer(work, run, "customer", target, written)

    async def _invoice(self, run: Run, target: Target) -> None:
        api, connection = run.need_api(), run.need_connection()
        lookups = self._registers.of(connection, api)
        as_of = run.clock.now()
        document = await _document(run, target)
        numbers = {line.product_number for line in document.lines or () if line.product_number}
        live = await lookups.products(numbers)
        rules = await lookups.tax_rules(live)
        row = (
            invoice_mapping.booked_to_pike(document, rules.codes_by_account())
            if isinstance(document, EconomicBooked)
            else invoice_mapping.draft_to_pike(document, rules)
        )
        orders = {}
        if isinstance(document, EconomicBooked) and document.order_number:
            orders[row.external_number] = document.order_number
        prepared = await _customer_of(run, row)
        catalogue = await PRODUCTS.rows(live, lookups)
        failpoints.hit("refresh.read")
        async with run.finish("refreshed") as work:
            scope = (work.connection, run.workspace_id, connection.agreement_number)
            if prepared is not None:
                brought = await customer_sweep.write(work, run, prepared, as_of, None)
                announce(work, "customer", [record.id for record in brought if record.touched])
            elif row.customer_number and row.recipient:
                await customers.ensure_from_recipients(*scope, {row.customer_number: row.recipient}, as_of)
            have = await records.known_numbers(scope[0], PRODUCTS.table, *scope[1:], sorted(numbers))
            new = [product for product in catalogue if product.external_number not in have]
            await records.upsert(scope[0], PRODUCTS.table, *scope[1:], new, as_of)
            gone = numbers - have - {product.external_number for product in new}
            await products.ensure_numbers(*scope, {number: number for number in gone}, as_of)
            written = await invoices.upsert_invoices(*scope, [row], as_of, order_numbers=orders)
            announce_moves(work, written, [row], as_of)
            await _answer(work, run, "invoice", target, written)


async def fail_refresh(event: Envelope[Any], problem: Problem, work: Work) -> None:
    """Show the failed attempt beside the record; its data stays as it is (R28, R29)."""
    data: RefreshRequested = event.data
    record_id = data.id
    if record_id is None and data.external_number is not None:
        connected = await connections.find(work.connection, event.workspace_id)
        if connected is None:
            return
        record_id = await guarded.find_by_number(
            work.connection,
            data.entity,
            (event.workspace_id, connected.agreement_number),
            data.external_number,
            data.document,
        )
    if record_id is not None:
        await records.note_attempt(
            work.connection, data.entity, event.workspace_id, record_id, problem.model_dump(mode="json")
        )


async def _target(data: RefreshRequested, run: Run) -> Target:
    if data.external_number is not None:
        return None, data.external_number, data.document
    if data.id is None:
        raise RuntimeError("the model guarantees an id or a number")
    async with run.read() as connection:
        known = await guarded.find(connection, data.entity, run.workspace_id, data.id)
    if known is None:
        raise refused(
            Cause.NOT_FOUND,
            f"Pike has no {data.entity} {data.id} in this workspace.",
            "Check the id; a record that exists in e-conomic only can be refreshed by its number.",
            fields=["id"],
        )
    agreement = run.need_connection().agreement_number
    if known.external_number is not None and known.agreement_number not in (None, agreement):
        raise refused(
            Cause.NOT_FOUND,
            f"This {data.entity} is of agreement {known.agreement_number}; agreement {agreement} is connected now, "
            f"where the number {known.external_number} is another one.",
            f"Import data to get the {data.entity} of the agreement that is connected now, or connect "
            f"agreement {known.agreement_number} again.",
            fields=["id"],
        )
    if known.external_number is None:
        raise refused(
            Cause.NOT_FOUND,
            f"This {data.entity} exists in Pike only and is not linked to e-conomic.",
            "There is nothing to refresh. Import data to link it, or send it to e-conomic first.",
            fields=["id"],
        )
    return data.id, known.external_number, known.document or "booked"


async def _document(run: Run, target: Target) -> EconomicDraft | EconomicBooked:
    """Read the invoice; a draft that is gone may have been booked since, which our own marker tells."""
    api = run.need_api()
    if target[2] == "booked":
        return await api.get_booked(int(target[1]))
    draft = await api.find_draft(int(target[1]))
    if draft is not None:
        return draft
    if target[0] is not None:
        reference = push.reference_for(run.need_connection().agreement_number, target[0])
        booked = await api.find_booked_by_reference(reference)
        if booked:
            return await api.get_booked(min(invoice.number for invoice in booked))
    raise refused(
        Cause.DRAFT_DELETED,
        f"Draft {target[1]} no longer exists in e-conomic: it was deleted there, or booked under another number.",
        "Import invoices to find it if it was booked. If it was deleted, unlock the invoice in Pike or send it again.",
        fields=["external_number"],
    )


async def _customer_of(run: Run, row: PikeInvoice) -> customer_sweep.Prepared | None:
    """Return the invoice's customer ready to be written, when Pike does not have it and e-conomic still does."""
    if row.customer_number is None:
        return None
    async with run.read() as connection:
        known = await records.known_numbers(
            connection, CUSTOMERS.table, run.workspace_id, run.need_connection().agreement_number, [row.customer_number]
        )
    if known:
        return customer_sweep.Prepared([])
    found = await run.need_api().find_customer(int(row.customer_number))
    if found is None:
        return None
    return await customer_sweep.decide(run, await customer_sweep.Matcher.load(run), [found], search=True)


async def _answer(work: Work, run: Run, entity: Entity, target: Target, written: list[Written]) -> None:
    """Audit, announce, and complete. Nothing written means that a newer state was already there."""
    await records.write_audit(work.connection, run.workspace_id, entity, f"refresh:{run.event.id}", written)
    announce(work, entity, [record.id for record in written if record.touched])
    record_id = written[0].id if written else target[0]
    if record_id is None:
        scope = (run.workspace_id, run.need_connection().agreement_number)
        record_id = await guarded.find_by_number(work.connection, entity, scope, target[1], target[2])
    if record_id is None:
        raise RuntimeError(f"{entity} {target[1]} was neither written nor found")
    changes = written[0].changes if written else ()
    work.emit(
        RefreshCompleted(
            entity=entity,
            id=record_id,
            external_number=written[0].external_number if written else target[1],
            last_synced_at=run.clock.now(),
            changes=tuple(FieldChange(field=c.field, old=c.old, new=c.new) for c in changes),
        )
    )


def _ambiguous(reason: str) -> Refused:
    return refused(
        Cause.AMBIGUOUS_MATCH,
        reason,
        "Say in Pike which customer it is, or make the two differ in VAT number, e-mail address or name.",
        fields=["external_number"],
    )
