"""What Postgres knows of an invoice before the first call: its customer, products, ledger, and whose its ids are."""

from collections.abc import Mapping
from dataclasses import dataclass

from events.invoice import InvoiceCreated
from schemas.customer import LocalCustomer
from schemas.invoice import RequestedInvoice
from schemas.problem import Cause
from worker.errors import Refused, refused
from worker.run import Run
from worker.store import customers, effects, own_invoices, ownership, products
from worker.store.effects import Effect, Elsewhere


@dataclass(frozen=True, slots=True)
class Loaded:
    """The request with its products resolved, the customer, and the ledger's entries of this agreement by step."""

    invoice: RequestedInvoice
    customer: LocalCustomer
    effects: Mapping[str, Effect]

    @property
    def sent(self) -> Effect | None:
        """The ledger's entry of a draft that was sent and not refused."""
        known = self.effects.get("draft")
        return known if known is not None and known.state != "refused" else None


async def load(data: InvoiceCreated, run: Run) -> Loaded:
    """Read customer, products and what was done before. Raises ``Refused`` for what only a person can put right."""
    ours = run.need_connection()
    agreement = ours.agreement_number
    requested = data.invoice
    async with run.read() as connection:
        existing = await own_invoices.find(connection, run.workspace_id, requested.id)
        customer = await customers.find(connection, run.workspace_id, agreement, requested.customer_id)
        ids = [line.product_id for line in requested.lines if line.product_id is not None]
        linked = await products.find_many(connection, run.workspace_id, agreement, ids)
        done = await effects.find_all(connection, agreement, requested.id)
        elsewhere = await effects.elsewhere(connection, agreement, requested.id)
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
    if elsewhere is not None:
        raise _elsewhere(elsewhere)
    if existing is not None and existing.external_number and existing.agreement_number != agreement:
        raise _elsewhere(Elsewhere(existing.agreement_number or 0, open=False))
    if customer is None:
        if data.customer is None:
            raise refused(
                Cause.NOT_FOUND,
                f"Pike's customer {requested.customer_id} is not known here.",
                "Send the customer along with the invoice, or create it in Pike first.",
                fields=["customer_id"],
            )
        customer = LocalCustomer.model_validate(data.customer.model_dump())
    numbers = {product_id: product.external_number for product_id, product in linked.items()}
    instead = ours.defaults.get("default_product") if ours.on_missing_product == "default" else None
    lines = tuple(
        line.model_copy(update={"product_number": numbers.get(line.product_id) or line.product_number or instead})
        if line.product_id is not None
        else line
        for line in requested.lines
    )
    return Loaded(requested.model_copy(update={"lines": lines}), customer, done)


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


def _elsewhere(other: Elsewhere) -> Refused:
    """Refuse an invoice that was sent to another agreement, which this workspace was connected to before."""
    number = other.agreement_number
    if other.open:
        return refused(
            Cause.OUTCOME_UNKNOWN,
            f"This invoice was sent to agreement {number} before, and nobody knows yet whether it arrived there.",
            f"Connect agreement {number} again and send the invoice again: it is looked up there first.",
        )
    return refused(
        Cause.LOCKED,
        f"This invoice is already in another agreement ({number}).",
        "Make a new invoice in Pike for the agreement that is connected now.",
    )
