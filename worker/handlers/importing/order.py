"""The sweeps of an import and their order. Listed kinds follow from ``worker.entities``, invoices stand here."""

from collections.abc import Mapping

from schemas.kinds import ImportEntity
from worker.entities import ENTITIES

LATE = "late_"
"""Prefix of the sweeps that read what changed while a list of several pages was being read: people go on working."""

_DATED = [name for name, entity in ENTITIES.items() if entity.listing.dated]

STAGES: Mapping[ImportEntity, tuple[str, ...]] = {
    **{name: (name, f"{LATE}{name}") if name in _DATED else (name,) for name in ENTITIES},
    "invoices": ("drafts", "booked", f"{LATE}drafts"),
}
"""Kind → the sweeps it takes. ``ORDER`` below is fixed: invoices point at customers and products."""

STAGES_OF_CHANGES: Mapping[ImportEntity, tuple[str, ...]] = {
    **{name: (name,) for name in _DATED},
    "invoices": ("drafts", "booked", "missed", "unpaid"),
}
"""The same for an import of what changed since the one before; a kind that is not here is read as a whole."""

ENTITY_OF: Mapping[str, ImportEntity] = {
    stage: entity for stages in (STAGES, STAGES_OF_CHANGES) for entity, names in stages.items() for stage in names
}

COUNTED = (*ENTITIES, "drafts", "booked")
"""Stages that read a list from end to end and can say whether they met all of it."""

PARTS_OF_BOOKED = ("missed", "unpaid")

ORDER = (*COUNTED, *PARTS_OF_BOOKED, *(f"{LATE}{name}" for name in _DATED), f"{LATE}drafts")
