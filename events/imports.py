"""Imports: requested, going on, previewed, ended. The import's id is the id of the event that requested it."""

from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import AfterValidator, Field

from events.envelope import Incoming, Outgoing
from events.fields import GROWS, AnyEntity, AnyImportEntity, Count, FieldChange, ImportId, Person
from schemas.base import Strict
from schemas.kinds import ImportEntity, ListedEntity
from schemas.problem import Problem
from schemas.values import Amount


def _each_once(entities: tuple[ImportEntity, ...]) -> tuple[ImportEntity, ...]:
    return tuple(dict.fromkeys(entities))


class ImportRequested(Incoming):
    """Read the named kinds from e-conomic. ``changes`` reads what changed since the last import.

    ``dry_run`` writes nothing and answers ``economic.import.previewed`` (B5).
    """

    TYPE: ClassVar[str] = "pike.import.requested"

    entities: Annotated[tuple[ImportEntity, ...], Field(min_length=1), AfterValidator(_each_once)]
    mode: Literal["full", "changes"] = "full"
    dry_run: bool = False
    requested_by: Person | None = None


class ImportCancelRequested(Incoming):
    """Stop an import at its next page; what it has written stays."""

    TYPE: ClassVar[str] = "pike.import.cancel_requested"

    import_id: ImportId
    requested_by: Person | None = None


class ImportContinue(Incoming):
    """Internal: the next slice of an import, so that deliveries stay short and workspaces take turns."""

    TYPE: ClassVar[str] = "pike-economic.import.continue"

    import_id: ImportId


class EntityCounts(Strict):
    """What an import did, or would do, to one kind of record."""

    created: Count = 0
    updated: Count = 0
    unchanged: Count = 0
    deactivated: Count = 0
    rejected: Count = 0


class ReportRow(Strict):
    """Pike's count and sums beside e-conomic's own, per kind, currency and year (B7).

    Amounts are in ``currency``. ``difference`` is Pike's gross less e-conomic's; ``None`` where e-conomic states
    no sum to compare with.
    """

    kind: Annotated[Literal[ListedEntity, "drafts", "booked"], GROWS]
    currency: str | None = None
    year: int | None = None
    count: Count
    net: Amount | None = None
    vat: Amount | None = None
    gross: Amount | None = None
    economic_count: Count | None = None
    economic_net: Amount | None = None
    economic_vat: Amount | None = None
    economic_gross: Amount | None = None
    difference: Amount | None = None


class DataReport(Strict):
    """The report after an import; ``remarks`` are sentences for people, such as a currency that differs."""

    rows: tuple[ReportRow, ...] = ()
    remarks: tuple[str, ...] = ()


class AmbiguousMatch(Strict):
    """A customer of e-conomic that fits several of Pike's; left to a person (B11)."""

    entity: AnyEntity = "customer"
    external_number: str
    name: str
    matched_by: Literal["vat_number", "email", "name"]
    candidates: tuple[UUID, ...]


class PreviewedChange(Strict):
    """A record that an import would create, change or deactivate. ``id`` is Pike's; ``None`` while there is none."""

    entity: AnyEntity
    action: Literal["create", "change", "deactivate"]
    id: UUID | None = None
    external_number: str | None = None
    changes: tuple[FieldChange, ...] = ()


class ImportStarted(Outgoing):
    """An import began."""

    TYPE: ClassVar[str] = "economic.import.started"

    import_id: ImportId
    entities: tuple[AnyImportEntity, ...] = ()
    mode: Literal["full", "changes"] = "full"
    dry_run: bool = False


class ImportProgressed(Outgoing):
    """A page is done. ``total`` is what e-conomic said at the start, ``None`` while unknown.

    ``pages`` of this kind are in. ``budget_left``: tokens that the agreement's minute still has, where e-conomic says.
    """

    TYPE: ClassVar[str] = "economic.import.progressed"

    import_id: ImportId
    entity: AnyImportEntity
    done: Count
    total: Count | None = None
    pages: Count | None = None
    budget_left: Count | None = None


class ImportPreviewed(Outgoing):
    """What an import would do. Nothing was written.

    ``examples`` are the first hundred records, changes and deactivations before new ones; ``counts`` has them all.
    """

    TYPE: ClassVar[str] = "economic.import.previewed"

    import_id: ImportId
    counts: dict[AnyImportEntity, EntityCounts]
    ambiguous: tuple[AmbiguousMatch, ...] = ()
    report: DataReport | None = None
    examples: tuple[PreviewedChange, ...] = ()
    remarks: tuple[str, ...] = ()


class ImportCompleted(Outgoing):
    """Everything asked for is in the read model; ``rejected`` records are kept with their reason."""

    TYPE: ClassVar[str] = "economic.import.completed"

    import_id: ImportId
    counts: dict[AnyImportEntity, EntityCounts]
    report: DataReport | None = None


class ImportFailed(Outgoing):
    """The import ended before it was complete. Pages already written stay, nothing was deactivated."""

    TYPE: ClassVar[str] = "economic.import.failed"

    import_id: ImportId
    problem: Problem


class ImportCancelled(Outgoing):
    """The import was stopped on request."""

    TYPE: ClassVar[str] = "economic.import.cancelled"

    import_id: ImportId
    counts: dict[AnyImportEntity, EntityCounts] = Field(default_factory=dict)
    requested_by: str | None = None
