"""What the stages of one import share: the run, its progress, look-ups, and what became of the page at hand."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from events.envelope import EventData
from events.records import RecordsChanged
from schemas.kinds import KINDS, Entity
from schemas.problem import Cause
from worker.economic.paging import Page, Reject
from worker.errors import Refused, refused
from worker.handlers.importing.customers import Matcher
from worker.handlers.importing.progress import Progress
from worker.handlers.lookups import Lookups
from worker.mapping.matching import Ambiguous
from worker.run import Run, Work
from worker.store import imports, previews, records
from worker.store.previews import Previewed
from worker.store.records import Written

MAX_AMBIGUOUS = 500
"""Customers that a preview lists for a person at most."""

RejectRow = tuple[str | None, str, str]
"""Number, reason, and the record as it came."""


@dataclass(slots=True)
class Recorded:
    """What the page at hand did, or in a preview would do."""

    written: list[tuple[Entity, Written]] = field(default_factory=list)
    rejects: list[RejectRow] = field(default_factory=list)
    ambiguous: list[Ambiguous] = field(default_factory=list)
    deactivated: list[tuple[Entity, UUID, str | None]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PageWrite:
    """One page, read and mapped, waiting for its commit.

    ``met`` moves the cursor and notes which records there are; ``write`` changes Pike's rows and is undone at once in
    a preview. Both run in the page's transaction.
    """

    last: bool
    met: Callable[[Work], Awaitable[None]]
    write: Callable[[Work], Awaitable[None]]


class Sweep:
    """What the stages of one import share."""

    def __init__(self, run: Run, progress: Progress) -> None:
        self.run = run
        self.progress = progress
        self.api = run.need_api()
        self.workspace_id = run.workspace_id
        connection = run.need_connection()
        self.agreement = connection.agreement_number
        self.base_currency = connection.base_currency
        self.lookups = Lookups(self.api, self.base_currency)
        self.matcher: Matcher | None = None
        self.recorded = Recorded()
        self.slice_over = False

    def enough(self) -> bool:
        """Return whether no further page shall be asked for; those on their way are still used."""
        return self.slice_over

    @property
    def scope(self) -> tuple[str, int]:
        """Workspace and agreement."""
        return (self.workspace_id, self.agreement)

    @property
    def rehearsal(self) -> bool:
        """True for a preview: everything is done and undone."""
        return self.progress.row.dry_run

    @property
    def actor(self) -> str:
        """Who changed it, for the audit."""
        return f"{'schedule' if self.progress.row.scheduled else 'import'}:{self.progress.row.event_id}"

    def answer(self, work: Work, data: EventData, *, ephemeral: bool = False) -> None:
        """Tell whoever asked how the import goes. Nobody asked for a round of the schedule."""
        if not self.progress.row.scheduled:
            work.emit(data, ephemeral=ephemeral)

    async def matching(self) -> Matcher:
        """Return Pike's own customers, indexed; read once per slice."""
        if self.matcher is None:
            self.matcher = await Matcher.load(self.run)
        return self.matcher

    async def met(self, work: Work, page: Page[Any], numbers: Sequence[str]) -> None:
        """Move on by a page of a list that is swept by offset."""
        await self.note(work, page, numbers)
        self.progress.position = page.number + 1

    async def note(self, work: Work, page: Page[Any], numbers: Sequence[str], total: int | None = None) -> None:
        """Count a page, and keep which records it had: what no page had is gone."""
        progress = self.progress
        progress.met(len(page.items) + len(page.rejects), page.total if total is None else total, page.fetched_at)
        if numbers and progress.looks_for_gone:
            number = progress.pages[progress.stage]
            await imports.note_page(work.connection, progress.row.id, progress.stage, number, numbers)

    def record(
        self,
        entity: Entity,
        written: Sequence[Written],
        rejects: Sequence[Reject | RejectRow] = (),
        *,
        read: int | None = None,
    ) -> None:
        """Note what the page did. ``read``: how many records it had; those that were not written are unchanged.

        ``None`` for records that came along with the page of another kind: they are not counted.
        """
        if read is not None:
            self.progress.count(written, read, len(rejects))
        self.recorded.written += [(entity, record) for record in written if record.touched]
        self.recorded.rejects += [
            each if isinstance(each, tuple) else (each.external_number, each.reason, each.raw) for each in rejects
        ]

    async def settle(self, work: Work) -> None:
        """Keep what ``record`` noted: rejects; then audit and announcements, or the preview's rows."""
        recorded, self.recorded = self.recorded, Recorded()
        import_id = self.progress.row.id
        await imports.add_rejects(work.connection, import_id, self.progress.stage, recorded.rejects)
        if self.rehearsal:
            room = MAX_AMBIGUOUS - len(self.progress.ambiguous)
            self.progress.ambiguous += [as_listed(match) for match in recorded.ambiguous[:room]]
            await previews.add(work.connection, import_id, self.progress.list_name, previewed(recorded))
            return
        for entity in KINDS:
            written = [record for kind, record in recorded.written if kind == entity]
            gone = [record_id for kind, record_id, _ in recorded.deactivated if kind == entity]
            await records.write_audit(work.connection, self.workspace_id, entity, self.actor, written)
            await records.audit_active(work.connection, self.workspace_id, entity, self.actor, gone, active=False)
            announce(work, entity, [*dict.fromkeys([*(record.id for record in written), *gone])])


def previewed(recorded: Recorded) -> list[Previewed]:
    """Turn what a page would do into rows of the preview."""
    rows = [
        Previewed(
            entity,
            "create" if record.created else "change",
            None if record.created else record.id,
            record.external_number,
            [change.as_dict() for change in record.changes],
        )
        for entity, record in recorded.written
    ]
    rows += [Previewed(entity, "deactivate", id_, number, []) for entity, id_, number in recorded.deactivated]
    return rows


def as_listed(match: Ambiguous) -> dict[str, Any]:
    """Return a match as the answer to a preview lists it."""
    return {
        "external_number": match.external_number,
        "name": match.name,
        "matched_by": match.matched_by,
        "candidates": [str(candidate) for candidate in match.candidates],
    }


def announce(work: Work, entity: Entity, ids: Sequence[UUID]) -> None:
    """Emit ``economic.records.changed``, at most a thousand ids each."""
    for start in range(0, len(ids), 1000):
        work.emit(RecordsChanged(entity=entity, ids=tuple(ids[start : start + 1000])))


async def nothing(_work: Work) -> None:
    """Do nothing: for a page that only moves the cursor."""


def incomplete(what: str, seen: int, total: int | None) -> Refused:
    """Make the failure of a sweep that met fewer or more records than e-conomic says there are."""
    return refused(
        Cause.IMPORT_INCOMPLETE,
        f"e-conomic listed {total} {what}, {seen} arrived. Somebody was probably working there meanwhile.",
        "Press Import again. What arrived was kept; nothing was deactivated.",
        fields=[what],
    )
