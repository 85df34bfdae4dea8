"""The stages of an import, in the table that says which generator sweeps which."""

from collections.abc import AsyncGenerator, Callable, Mapping

from worker.handlers.importing.stages.booked import booked_stage, missed_stage
from worker.handlers.importing.stages.customers import customers_stage
from worker.handlers.importing.stages.drafts import drafts_stage
from worker.handlers.importing.stages.products import products_stage
from worker.handlers.importing.stages.unpaid import unpaid_stage
from worker.handlers.importing.sweep import PageWrite, Sweep

STAGE_STEPS: Mapping[str, Callable[[Sweep], AsyncGenerator[PageWrite, None]]] = {
    "products": products_stage,
    "customers": customers_stage,
    "drafts": drafts_stage,
    "booked": booked_stage,
    "missed": missed_stage,
    "unpaid": unpaid_stage,
    "late_products": products_stage,
    "late_customers": customers_stage,
    "late_drafts": drafts_stage,
}

__all__ = ["STAGE_STEPS"]
