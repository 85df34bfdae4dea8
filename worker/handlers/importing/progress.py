"""An import on its way: which stages it has, where it stands, what it counted."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from events.imports import EntityCounts
from schemas.invoice import EconomicBooked, EconomicInvoice
from schemas.kinds import LIST_OF, Entity, ImportEntity
from worker.handlers.importing.order import COUNTED, ENTITY_OF, LATE, ORDER, PARTS_OF_BOOKED, STAGES, STAGES_OF_CHANGES
from worker.store.imports import ImportRow
from worker.store.records import Written

_FORESEEN = {"create": "created", "change": "updated"}
CLOSING = "closing"

LATE_OVERLAP = timedelta(minutes=2)
"""The same for what changed while the import itself was reading."""

OVERLAP = timedelta(minutes=10)
"""Changes are asked for from this much earlier on: e-conomic keeps whole minutes, and clocks differ."""


def import_ids_of(workspace_id: str, source: str, event_id: str) -> list[UUID]:
    """Return our row id for an import: the event's id where it is a UUID, and one for it where that is taken.

    Another workspace or publisher may use the same id, and one UUID may be spelled in several ways.
    """
    derived = uuid5(NAMESPACE_URL, f"{workspace_id}#{source}#{event_id}")
    try:
        return [UUID(event_id), derived]
    except ValueError:
        return [derived]


def sum_key(document: str, currency: str, year: int) -> str:
    """Name a row of the data report."""
    return f"{document}|{currency}|{year}"


@dataclass(slots=True)
class Progress:
    """Cursor and counts of one import, changed page by page and stored with each page."""

    row: ImportRow
    stage: str
    base: dict[str, str] = field(default_factory=dict)
    """Per entity of which only changes are read: since when. An entity that is not here is swept as a whole."""
    position: int = 0
    """Within a stage: the next page, or for booked invoices the last number that is in."""
    swept: bool = False
    """Within a stage: the last page is in, only what was put off is left to do."""
    pages: dict[str, int] = field(default_factory=dict)
    since: dict[str, str] = field(default_factory=dict)
    """Per stage: when its oldest page was asked for. Rows that the stage met were read then or later."""
    shrunk: bool = False
    """Records went away while the list was read: those behind them moved up and may have been passed over."""
    restarts: int = 0
    seen: dict[str, int] = field(default_factory=dict)
    totals: dict[str, int | None] = field(default_factory=dict)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    put_off: list[int] = field(default_factory=list)
    """Customers that fit one of Pike's own and are decided when all have been seen."""
    ambiguous: list[dict[str, Any]] = field(default_factory=list)
    """In a preview: customers that fit several of Pike's, as the answer lists them."""
    sums: dict[str, list[str]] = field(default_factory=dict)
    """Per document, currency and year: count, net, VAT, gross as e-conomic's documents state them."""
    base_net: str = "0"
    """Net of all booked invoices in the agreement's base currency, as the documents state it."""

    @classmethod
    def of(cls, row: ImportRow) -> "Progress":
        """Take up an import where its last committed page left it."""
        cursor = row.cursor
        return cls(
            row=row,
            stage=cursor.get("stage") or "",
            base=dict(cursor.get("base", {})),
            position=int(cursor.get("position", 0)),
            swept=bool(cursor.get("swept", False)),
            pages=dict(cursor.get("pages", {})),
            since=dict(cursor.get("since", {})),
            shrunk=bool(cursor.get("shrunk", False)),
            restarts=int(cursor.get("restarts", 0)),
            seen=dict(cursor.get("seen", {})),
            totals=dict(cursor.get("totals", {})),
            counts={name: dict(counts) for name, counts in row.counts.items()},
            remarks=list(cursor.get("remarks", ())),
            put_off=list(cursor.get("put_off", ())),
            ambiguous=list(cursor.get("ambiguous", ())),
            sums=dict(cursor.get("sums", {})),
            base_net=cursor.get("base_net", "0"),
        )

    @property
    def cursor(self) -> dict[str, Any]:
        """What has to be stored to go on from here."""
        return {
            "stage": self.stage,
            "base": self.base,
            "position": self.position,
            "swept": self.swept,
            "pages": self.pages,
            "since": self.since,
            "shrunk": self.shrunk,
            "restarts": self.restarts,
            "seen": self.seen,
            "totals": self.totals,
            "remarks": self.remarks,
            "put_off": self.put_off,
            "ambiguous": self.ambiguous,
            "sums": self.sums,
            "base_net": self.base_net,
        }

    def begin(self, since: Mapping[str, datetime]) -> None:
        """Go to the first stage. ``since``: per entity, when the last import of it was begun; unused in a full one."""
        if self.row.mode == "changes":
            readable = [entity for entity in self.row.entities if entity in since and entity in STAGES_OF_CHANGES]
            self.base = {entity: (since[entity] - OVERLAP).isoformat() for entity in readable}
        self.stage = self._stages()[0]

    @property
    def changed_since(self) -> datetime | None:
        """From when on the current stage reads changes; ``None`` when it reads everything."""
        if self.late:
            return self.since_when(self.list_name) - LATE_OVERLAP
        base = self.base.get(self.entity)
        return datetime.fromisoformat(base) if base else None

    @property
    def late(self) -> bool:
        """Whether the current stage reads what changed while the one before it was read."""
        return self.stage.startswith(LATE)

    @property
    def looks_for_gone(self) -> bool:
        """Whether the current stage meets everything there is, so that what it does not meet is gone."""
        return self.changed_since is None and self.stage != "booked"

    @property
    def entity(self) -> ImportEntity:
        """The entity that the current stage belongs to."""
        return ENTITY_OF[self.stage]

    def wants(self, entity: str) -> bool:
        """Return whether this kind was asked for."""
        return entity in self.row.entities

    def swept_all(self, entity: str) -> bool:
        """Return whether this import reads all records of a kind."""
        return self.wants(entity) and entity not in self.base

    @property
    def list_name(self) -> str:
        """The list that the current stage reads, as a whole or in part: a number is unique within it."""
        return "booked" if self.stage in PARTS_OF_BOOKED else self.stage.removeprefix(LATE)

    def next_stage(self) -> None:
        """Go on to the next sweep, or to the closing step after the last."""
        stages = self._stages()
        following = (stage for stage in stages[stages.index(self.stage) + 1 :] if not self._superfluous(stage))
        self.stage = next(following, CLOSING)
        self.position = 0
        self.swept = False

    def restart_stage(self) -> None:
        """Sweep this stage again from its first page; what the first sweep wrote is met again, unchanged."""
        counts = self._of(self.entity)
        if self.row.dry_run:
            counts["created"] = counts["updated"] = 0
        counts["unchanged"] = -counts["created"] - counts["updated"]
        counts["rejected"] = 0
        for by_stage in (self.pages, self.since, self.seen, self.totals):
            by_stage.pop(self.stage, None)
        self.sums = {key: value for key, value in self.sums.items() if not key.startswith("draft|")}
        self.put_off.clear()
        self.position, self.swept, self.shrunk = 0, False, False
        self.restarts += 1

    def met(self, count: int, total: int | None, fetched_at: datetime) -> None:
        """Note how many records a page had, how many e-conomic says there are, and when it was asked."""
        stage, before = self.stage, self.totals.get(self.stage)
        self.shrunk = self.shrunk or (before is not None and total is not None and total < before)
        self.seen[stage] = self.seen.get(stage, 0) + count
        self.totals[stage] = total
        self.pages[stage] = self.pages.get(stage, 0) + 1
        asked = fetched_at.isoformat()
        self.since[stage] = min(self.since.get(stage, asked), asked)

    def since_when(self, stage: str) -> datetime:
        """Return when the oldest page of a finished stage was asked for."""
        return datetime.fromisoformat(self.since[stage])

    def count(self, written: Iterable[Written], read: int, rejected: int = 0) -> None:
        """Add what a page of ``read`` usable records did to the counts of the stage's entity."""
        counts = self._of(self.entity)
        for record in written:
            if record.touched:
                counts["created" if record.created else "updated"] += 1
                read -= 1
        if not self.late:  # these were counted before
            counts["unchanged"] += read
        counts["rejected"] += rejected

    def state_sums(self, documents: Iterable[EconomicInvoice]) -> None:
        """Add what e-conomic's own documents say, to be compared with Pike's rows at the end (B7)."""
        for document in documents:
            booked = isinstance(document, EconomicBooked)
            key = sum_key("booked" if booked else "draft", document.currency, document.date.year)
            count, *amounts = self.sums.get(key, ["0", "0", "0", "0"])
            added = (document.net_amount, document.vat_amount, document.gross_amount)
            self.sums[key] = [
                str(int(count) + 1),
                *(str(Decimal(amount) + more) for amount, more in zip(amounts, added, strict=True)),
            ]
            if booked and document.net_amount_in_base_currency is not None:
                self.base_net = str(Decimal(self.base_net) + document.net_amount_in_base_currency)

    def count_foreseen(self, found: Iterable[tuple[str, Entity, str, int]]) -> None:
        """Set what a preview would create and change from its rows (list, entity, action, how many).

        A record that it met twice was counted twice on the way, because nothing of it was written.
        """
        for counts in self.counts.values():
            counts["created"] = counts["updated"] = 0
        for list_, entity, action, count in found:
            kind = ENTITY_OF.get(list_)
            if kind == LIST_OF[entity] and action in _FORESEEN:
                self._of(kind)[_FORESEEN[action]] += count

    def deactivated(self, entity: ImportEntity, count: int) -> None:
        """Add records that this import deactivated."""
        self._of(entity)["deactivated"] += count

    def complete(self, stage: str) -> bool:
        """Return whether a sweep met as many records as e-conomic says there are.

        Of booked invoices it may meet more: people book while we read, and none ever goes away.
        """
        total, seen = self.totals.get(stage), self.seen.get(stage, 0)
        if total is None:
            return False
        return seen >= total if stage == "booked" else seen == total

    def entity_counts(self) -> dict[Any, EntityCounts]:
        """Return the counts as they stand in events."""
        return {
            entity: EntityCounts(**{name: max(count, 0) for name, count in self._of(entity).items()})
            for entity in self.row.entities
        }

    def counted_stages(self, entity: str) -> list[str]:
        """Return the stages of an entity that read a list from end to end."""
        return [stage for stage in self._stages() if ENTITY_OF[stage] == entity and stage in COUNTED]

    def listed(self) -> list[str]:
        """Return the stages that met a list whose length e-conomic stated."""
        return [stage for stage in self.totals if stage in COUNTED]

    def _superfluous(self, stage: str) -> bool:
        """Return whether a late stage has nothing to catch up with: a list of one page is a snapshot."""
        return stage.startswith(LATE) and self.pages.get(stage.removeprefix(LATE), 0) <= 1

    def _of(self, entity: str) -> dict[str, int]:
        return self.counts.setdefault(entity, dict.fromkeys(EntityCounts.model_fields, 0))

    def _stages(self) -> list[str]:
        wanted = {
            stage
            for entity in self.row.entities
            for stage in (STAGES_OF_CHANGES if entity in self.base else STAGES)[entity]
        }
        return [stage for stage in ORDER if stage in wanted]
