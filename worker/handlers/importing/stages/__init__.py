"""The stages of an import, in the table that says which generator sweeps which."""

from collections.abc import AsyncGenerator, Callable, Mapping
from functools import partial

from worker.entities import ENTITIES
from worker.handlers.importing.order import LATE, ORDER
from worker.handlers.importing.stages.booked import booked_stage, missed_stage
from worker.handlers.importing.stages.customers import customers_stage
from worker.handlers.importing.stages.drafts import drafts_stage
from worker.handlers.importing.stages.listed import listed_stage
from worker.handlers.importing.stages.unpaid import unpaid_stage
from worker.handlers.importing.sweep import PageWrite, Sweep

Stage = Callable[[Sweep], AsyncGenerator[PageWrite, None]]

_LISTS: Mapping[str, Stage] = {
    **{name: partial(listed_stage, entity=entity) for name, entity in ENTITIES.items()},
    "customers": customers_stage,
    "drafts": drafts_stage,
}

STAGE_STEPS: Mapping[str, Stage] = {
    **_LISTS,
    **{stage: _LISTS[stage.removeprefix(LATE)] for stage in ORDER if stage.startswith(LATE)},
    "booked": booked_stage,
    "missed": missed_stage,
    "unpaid": unpaid_stage,
}

__all__ = ["STAGE_STEPS"]
