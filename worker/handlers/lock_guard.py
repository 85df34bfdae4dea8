"""``pike.invoice.updated`` and ``pike.product.updated``: what e-conomic rules is not changed from Pike (R22, R30, R31).

The database refuses such a change by itself; these events tell a service that published one what happened to it.
"""

from typing import Any, Literal

from events.envelope import Envelope
from events.invoice import InvoiceUpdated
from events.product import ProductUpdated
from events.records import ChangeRefused
from schemas.problem import Cause, Problem
from worker.run import Run
from worker.store import guarded

_EDITABLE = {"invoice": frozenset({"project_id"}), "product": frozenset({"active"})}


async def guard_invoice(event: Envelope[Any], run: Run) -> None:
    """Refuse changes to an invoice that e-conomic rules; everything else is none of our business."""
    data: InvoiceUpdated = event.data
    await _guard("invoice", data, run)


async def guard_product(event: Envelope[Any], run: Run) -> None:
    """Refuse changes to a product that e-conomic rules."""
    data: ProductUpdated = event.data
    await _guard("product", data, run)


async def _guard(entity: Literal["invoice", "product"], data: InvoiceUpdated | ProductUpdated, run: Run) -> None:
    fields = sorted(set(data.changes) - _EDITABLE[entity])
    async with run.read() as connection:
        record = await guarded.find(connection, entity, run.workspace_id, data.id)
    if record is None or not record.locked or not fields:
        async with run.finish("accepted"):
            return
    number = record.external_number or str(data.id)
    problem = Problem(
        cause=Cause.LOCKED,
        user_message=f"{entity.capitalize()} {number} is in e-conomic, not editable in Pike: {', '.join(fields)}.",
        remedy=f"Change the {entity} in e-conomic and press Refresh in Pike.",
        fields=fields,
    )
    async with run.finish("refused") as work:
        work.emit(ChangeRefused(entity=entity, id=str(data.id), fields=tuple(fields), problem=problem))
