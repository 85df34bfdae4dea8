"""The last step of an import: what vanished, R11, the data report, and the answer; all in one commit."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from events.fields import FieldChange
from events.imports import AmbiguousMatch, EntityCounts, ImportCompleted, ImportPreviewed, PreviewedChange
from schemas.kinds import LIST_OF, Entity
from schemas.problem import Cause, Problem
from worker.entities import ENTITIES
from worker.handlers.importing.progress import Progress
from worker.handlers.importing.report import make_report
from worker.handlers.importing.sweep import Sweep, incomplete
from worker.handlers.importing.vanished import Swept, find_gone
from worker.run import Work
from worker.store import imports, previews, vanished
from worker.telemetry.metrics import IMPORT_ROWS, SYNC_ROUNDS

MAX_EXAMPLES = 100
"""Records that the answer to a preview shows one by one; the rest is counted, and kept in the database."""

DRAFT_GONE = Problem(
    cause=Cause.DRAFT_DELETED,
    user_message="This draft no longer exists in e-conomic and was not booked there.",
    remedy="If it should exist, send the invoice again from Pike; otherwise nothing has to be done.",
)


async def close_import(sweep: Sweep) -> None:
    """Finish an import. A sweep that was not complete fails it, before anything is deactivated."""
    progress = sweep.progress
    for stage in progress.listed():
        if not progress.complete(stage):
            raise incomplete(stage, progress.seen.get(stage, 0), progress.totals[stage])
    for name, entity in ENTITIES.items():
        if entity.retires_own and progress.swept_all(name) and not progress.seen.get(name):
            progress.remarks.append(f"e-conomic has no {name}: Pike's own {name} were left active (R11).")
    if progress.row.scheduled:
        await _close_round(sweep)
        return
    totals = await sweep.api.booked_totals() if progress.wants("invoices") else None
    gone = {kind: await find_gone(sweep, kind) for kind in _swept(progress)}
    if sweep.rehearsal:
        await _end_preview(sweep, gone)
        return
    async with sweep.run.finish("completed") as work:
        await _deactivate(sweep, work, gone)
        await sweep.settle(work)
        await _compare_with_preview(sweep, work)
        report = await make_report(sweep, work, totals)
        await imports.end(
            work.connection,
            progress.row.id,
            "completed",
            counts=progress.counts,
            report=report.model_dump(mode="json"),
        )
        counts = progress.entity_counts()
        work.emit(ImportCompleted(import_id=progress.row.event_id, counts=counts, report=report))
    _measure(counts)


async def _close_round(sweep: Sweep) -> None:
    """Finish a round of the schedule: what vanished, and no report, which nobody reads.

    R11 is not done: only a person decides that Pike's own products give way.
    """
    progress = sweep.progress
    gone = {kind: await find_gone(sweep, kind) for kind in _swept(progress)}
    async with sweep.run.finish("synced") as work:
        if not await imports.lock_running(work.connection, progress.row.id):
            return  # a person's import took its place: that one looks for what vanished
        await _deactivate(sweep, work, gone)
        await sweep.settle(work)
        await imports.end(work.connection, progress.row.id, "completed", counts=progress.counts)
    SYNC_ROUNDS.labels(progress.row.mode, "completed").inc()
    _measure(progress.entity_counts())


def _measure(counts: Mapping[Any, EntityCounts]) -> None:
    for entity, counted in counts.items():
        for result, number in counted.model_dump().items():
            IMPORT_ROWS.labels(entity, result).inc(number)


async def _end_preview(sweep: Sweep, gone: Mapping[Swept, Sequence[str]]) -> None:
    """Answer what the import would have done (B5); every change of it has been undone."""
    progress = sweep.progress
    async with sweep.run.finish("previewed") as work:
        async with work.rehearsal() as rehearsed:
            await _deactivate(sweep, rehearsed, gone)
        await sweep.settle(work)
        progress.count_foreseen(await previews.count(work.connection, progress.row.id))
        await imports.end(work.connection, progress.row.id, "completed", counts=progress.counts)
        work.emit(
            ImportPreviewed(
                import_id=progress.row.event_id,
                counts=progress.entity_counts(),
                ambiguous=tuple(AmbiguousMatch(**match) for match in progress.ambiguous),
                examples=await _examples(sweep, work),
                remarks=tuple(progress.remarks),
            )
        )


async def _examples(sweep: Sweep, work: Work) -> tuple[PreviewedChange, ...]:
    """Return the changes and deactivations first: what an import creates is seldom what people fear."""
    found = await previews.find(work.connection, sweep.progress.row.id, ("change", "deactivate"), MAX_EXAMPLES)
    if len(found) < MAX_EXAMPLES:
        found += await previews.find(work.connection, sweep.progress.row.id, ("create",), MAX_EXAMPLES - len(found))
    return tuple(
        PreviewedChange(
            entity=row.entity,
            action=row.action,
            id=row.record_id,
            external_number=row.external_number,
            changes=tuple(FieldChange(**change) for change in row.changes),
        )
        for row in found
    )


async def _compare_with_preview(sweep: Sweep, work: Work) -> None:
    """Say in which counts this import differed from the preview that somebody looked at before."""
    row = sweep.progress.row
    preview = await previews.newest(work.connection, *sweep.scope, row.entities, row.mode)
    if preview is None:
        return
    for entity, counts in sweep.progress.entity_counts().items():
        foreseen = preview["counts"].get(entity, {})
        for name, count in counts.model_dump().items():
            if name != "unchanged" and count != foreseen.get(name, 0):
                sweep.progress.remarks.append(
                    f"The preview of {preview['finished_at']:%H:%M} UTC foresaw {foreseen.get(name, 0)} {entity} "
                    f"{name}; it were {count}."
                )


def _swept(progress: Progress) -> list[Swept]:
    """Return the lists whose missing records are gone. An empty list proves nothing, but for drafts."""
    kinds: list[Swept] = [name for name in ENTITIES if progress.swept_all(name) and progress.seen.get(name)]
    if progress.swept_all("invoices"):
        kinds.append("drafts")
    return kinds


async def _deactivate(sweep: Sweep, work: Work, gone: Mapping[Swept, Sequence[str]]) -> None:
    """Records that are gone in e-conomic become inactive, never deleted; and R11, only after the complete list."""
    connection, progress, scope = work.connection, sweep.progress, sweep.scope
    for name, entity in ENTITIES.items():
        if name in gone:
            since = progress.since_when(name)
            marked = await vanished.mark_vanished(connection, entity.table, *scope, since, gone[name])
            _count(sweep, entity.kind, marked)
    if "drafts" in gone:
        problem = DRAFT_GONE.model_dump(mode="json")
        since = progress.since_when("drafts")
        found = await vanished.mark_vanished_drafts(connection, *scope, since, gone["drafts"], problem)
        _count(sweep, "invoice", found)
    for name, entity in ENTITIES.items():
        if entity.retires_own and name in gone and not progress.row.scheduled:
            retired = await vanished.deactivate_unlinked(connection, entity.table, *scope, progress.row.id)
            _count(sweep, entity.kind, retired)


def _count(sweep: Sweep, entity: Entity, deactivated: Sequence[tuple[UUID, str | None]]) -> None:
    sweep.progress.deactivated(LIST_OF[entity], len(deactivated))
    sweep.recorded.deactivated += [(entity, record_id, number) for record_id, number in deactivated]
