"""What sending an invoice would come to, found out with reads only: calls, what exists, what is still wrong (B4)."""

from events.invoice import InvoiceCreated
from schemas.customer import EconomicCustomer, LocalCustomer
from schemas.invoice import EconomicBooked, EconomicDraft
from schemas.problem import Cause, Problem
from worker.errors import Refused, refused
from worker.handlers.plan import Plan
from worker.handlers.pushing import customer as customers
from worker.handlers.pushing import handler
from worker.handlers.pushing.ledger import KEY_LIFE_S, SETTLE_S, _gone
from worker.handlers.pushing.loading import Loaded, load
from worker.mapping import push
from worker.mapping.checks import Findings
from worker.mapping.push_checks import check_line
from worker.run import Run
from worker.store import own_invoices
from worker.store.effects import Effect


async def preview_push(plan: Plan, run: Run) -> None:
    """Fill the plan. ``run`` reads only: it owns no claim, so that it could not commit anything."""
    data: InvoiceCreated = run.event.data
    connection, api = run.need_connection(), run.need_api()
    async with run.read() as reading:
        row = await own_invoices.find(reading, run.workspace_id, data.invoice.id)
    plan.pike["invoice"] = (
        {"status": row.status, "locked": row.locked, "external_number": row.external_number} if row else None
    )
    reference = push.reference_for(connection.agreement_number, data.invoice.id)
    found = await handler.look_up(api, reference)
    loaded = await load(data, run)
    plan.pike["ledger"] = {step: effect.state for step, effect in loaded.effects.items()}
    if found is not None:
        return _there(plan, found, reference, books=connection.booking == "book")
    customer = await _customer(plan, loaded.customer, run)
    await _check(plan, loaded, customer, run)
    _call(plan, loaded.effects.get("draft"), reference, books=connection.booking == "book")
    return None


def _there(plan: Plan, found: EconomicDraft | EconomicBooked, reference: str, *, books: bool) -> None:
    kind = "booked invoice" if isinstance(found, EconomicBooked) else "draft"
    plan.exists.append(f"{kind} {found.number} with reference {reference}")
    plan.calls.append(f"nothing: {kind} {found.number} with this reference already exists")
    if books and isinstance(found, EconomicDraft):
        plan.calls[-1:] = [f"POST /invoices/booked for draft {found.number}, which already exists"]


async def _customer(plan: Plan, local: LocalCustomer, run: Run) -> EconomicCustomer | None:
    """Return e-conomic's customer, or ``None`` when it is missing; then it would be created, or that is wrong."""
    api, connection = run.need_api(), run.need_connection()
    try:
        if local.external_number is not None:
            found = await api.find_customer(int(local.external_number))
            if found is None:
                raise customers._deleted(local)
        else:
            found = await customers._search(run, local)
    except Refused as exc:
        plan.add_wrong(exc.problem)
        return None
    if found is not None:
        plan.exists.append(f"customer {found.customer_number} {found.name}")
    elif connection.on_missing_customer == "halt":
        plan.add_wrong(_not_created(local))
    else:
        plan.calls.append(f"POST /customers for {local.name}")
    return found


async def _check(plan: Plan, loaded: Loaded, customer: EconomicCustomer | None, run: Run) -> None:
    """Run the checks that precede every sending, and look at the products as they are in e-conomic now."""
    connection = run.need_connection()
    try:
        if customer is not None:
            reference = push.reference_for(connection.agreement_number, loaded.invoice.id)
            push.to_economic(loaded.invoice, customer, handler._defaults(connection.defaults), reference)
        else:
            findings = Findings()
            for number, line in enumerate(loaded.invoice.lines, start=1):
                check_line(findings, number, line)
            findings.raise_if_any()
    except Refused as exc:
        plan.add_wrong(exc.problem)
    for product_number in sorted({line.product_number for line in loaded.invoice.lines if line.product_number}):
        product = await run.need_api().find_product(product_number)
        if product is None:
            plan.add_wrong(_product(product_number, Cause.NOT_FOUND, "no longer exists", "Create the product"))
        elif product.barred:
            plan.add_wrong(_product(product_number, Cause.PRODUCT_BARRED, "is barred", "Unbar the product"))
        else:
            plan.exists.append(f"product {product_number} {product.name}")


def _not_created(local: LocalCustomer) -> Problem:
    return refused(
        Cause.CUSTOMER_DELETED,
        f"{local.name} does not exist in e-conomic, and this connection does not create customers.",
        "Create the customer in e-conomic, or allow Pike to create customers in the connection's settings.",
        fields=["customer_id"],
    ).problem


def _product(number: str, cause: Cause, state: str, cure: str) -> Problem:
    return refused(
        cause,
        f"Product {number} {state} in e-conomic.",
        f"{cure} in e-conomic, or choose another one on the invoice in Pike; then send it again.",
        fields=["lines.product_id"],
    ).problem


def _call(plan: Plan, known: Effect | None, reference: str, *, books: bool) -> None:
    """Say what would be sent; the ledger decides between the first time, the same bytes again, and a new key."""
    create = f"POST /invoices/drafts with reference {reference}"
    if known is None or known.state == "refused":
        plan.calls.append(create)
    elif known.state == "done":
        plan.calls.append("nothing: it was sent before and has been deleted in e-conomic since")
        plan.add_wrong(_gone(reference).problem)
    elif known.age_s < SETTLE_S:
        plan.calls.append(f"nothing for {SETTLE_S:g} s: it was sent just now; then it is looked up again")
    elif known.age_s < KEY_LIFE_S:
        plan.calls.append(f"{create}, with the same key and bytes as before")
    else:
        plan.calls.append(f"{create}, with a new key, once two look-ups {SETTLE_S:g} s apart have found nothing")
    if books and not plan.wrong:
        plan.calls.append("POST /invoices/booked for that draft")
