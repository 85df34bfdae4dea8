"""What the stages of one import share: the run, its progress, look-ups, and what became of the page at hand."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from events.envelope import EventData
from schemas.problem import Cause
from worker.economic.paging import Page
from worker.errors import Refused, refused
from worker.handlers.importing.progress import Progress
from worker.handlers.importing.reading import Reading, Recorded
from worker.handlers.lookups import Lookups
from worker.mapping.matching import Ambiguous
from worker.run import Run, Work
from worker.store import imports, previews
from worker.store.previews import Previewed
from worker.store.records import Written

MAX_AMBIGUOUS = 500
"""Customers that a preview lists for a person at most."""


@dataclass(frozen=True, slots=True)
class PageWrite:
    """One page, read and mapped, waiting for its commit.

    ``met`` moves the cursor and notes which records there are; ``write`` changes Pike's rows and is undone at once in
    a preview. Both run in the page's transaction.
    """

    last: bool
    met: Callable[[Work], Awaitable[None]]
    write: Callable[[Work], Awaitable[None]]


class Sweep(Reading):
    """What the stages of one import share."""

    def __init__(self, run: Run, progress: Progress) -> None:
        row = progress.row
        actor = f"{'schedule' if row.scheduled else 'import'}:{row.event_id}"
        super().__init__(run, Lookups(run.need_api(), run.need_connection().base_currency), actor, row.id)
        self.progress = progress
        self.slice_over = False

    def enough(self) -> bool:
        """Return whether no further page shall be asked for; those on their way are still used."""
        return self.slice_over

    @property
    def rehearsal(self) -> bool:
        """True for a preview: everything is done and undone."""
        return self.progress.row.dry_run

    def answer(self, work: Work, data: EventData, *, ephemeral: bool = False) -> None:
        """Tell whoever asked how the import goes. Nobody asked for a round of the schedule."""
        if not self.progress.row.scheduled:
            work.emit(data, ephemeral=ephemeral)

    def knows_all(self, entity: str) -> bool:
        """See ``Reading``."""
        return self.progress.swept_all(entity)

    def remark(self, sentence: str) -> None:
        """See ``Reading``."""
        self.progress.remarks.append(sentence)

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

    def count(self, written: Sequence[Written], read: int, rejected: int) -> None:
        """See ``Reading``."""
        self.progress.count(written, read, rejected)

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
        await self.tell(work, recorded)


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
