"""What reading records of an agreement shares, whoever asked for it: the run, look-ups, what became of the rows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from events.records import RecordsChanged
from schemas.kinds import KINDS, Entity
from worker.economic.paging import Reject
from worker.handlers.importing.customers import Matcher
from worker.handlers.lookups import Lookups
from worker.mapping.matching import Ambiguous
from worker.run import Run, Work
from worker.store import records
from worker.store.records import Written

RejectRow = tuple[str | None, str, str]
"""Number, reason, and the record as it came."""


@dataclass(slots=True)
class Recorded:
    """What the page at hand did, or in a preview would do."""

    written: list[tuple[Entity, Written]] = field(default_factory=list)
    rejects: list[RejectRow] = field(default_factory=list)
    ambiguous: list[Ambiguous] = field(default_factory=list)
    deactivated: list[tuple[Entity, UUID, str | None]] = field(default_factory=list)
    moved: list[tuple[Entity, UUID]] = field(default_factory=list)
    """Rows that have another number now."""


class Reading:
    """One try at reading records. ``actor`` is who changed the rows, for the audit."""

    def __init__(self, run: Run, lookups: Lookups, actor: str, import_id: UUID | None = None) -> None:
        self.run = run
        self.api = run.need_api()
        self.lookups = lookups
        self.actor = actor
        self.import_id = import_id
        self.workspace_id = run.workspace_id
        connection = run.need_connection()
        self.agreement = connection.agreement_number
        self.base_currency = connection.base_currency
        self.matcher: Matcher | None = None
        self.recorded = Recorded()

    @property
    def scope(self) -> tuple[str, int]:
        """Workspace and agreement."""
        return (self.workspace_id, self.agreement)

    async def matching(self) -> Matcher:
        """Return Pike's own customers, indexed; read once."""
        if self.matcher is None:
            self.matcher = await Matcher.load(self.run)
        return self.matcher

    def knows_all(self, _entity: str) -> bool:
        """Return whether every record of a kind was read here, so that what is missing in Pike is gone."""
        return False

    def remark(self, sentence: str) -> None:
        """Keep a sentence for whoever reads the report."""

    def count(self, written: Sequence[Written], read: int, rejected: int) -> None:
        """Count what was read, where that is told to somebody."""

    def record(
        self,
        entity: Entity,
        written: Sequence[Written],
        rejects: Sequence[Reject | RejectRow] = (),
        *,
        read: int | None = None,
    ) -> None:
        """Note what was done. ``read``: how many records there were; those that were not written are unchanged.

        ``None`` for records that came along with those of another kind: they are not counted.
        """
        if read is not None:
            self.count(written, read, len(rejects))
        self.recorded.written += [(entity, record) for record in written if record.touched]
        self.recorded.rejects += [
            each if isinstance(each, tuple) else (each.external_number, each.reason, each.raw) for each in rejects
        ]

    async def tell(self, work: Work, recorded: Recorded) -> None:
        """Write the audit and announce what changed."""
        for entity in KINDS:
            written = [record for kind, record in recorded.written if kind == entity]
            gone = [record_id for kind, record_id, _ in recorded.deactivated if kind == entity]
            await records.write_audit(work.connection, self.workspace_id, entity, self.actor, written)
            await records.audit_active(work.connection, self.workspace_id, entity, self.actor, gone, active=False)
            moved = [record_id for kind, record_id in recorded.moved if kind == entity]
            announce(work, entity, [*dict.fromkeys([*(record.id for record in written), *gone, *moved])])


def announce(work: Work, entity: Entity, ids: Sequence[UUID]) -> None:
    """Emit ``economic.records.changed``, at most a thousand ids each."""
    for start in range(0, len(ids), 1000):
        work.emit(RecordsChanged(entity=entity, ids=tuple(ids[start : start + 1000])))
