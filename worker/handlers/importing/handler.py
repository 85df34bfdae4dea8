"""Starting, going on and ending an import. One delivery is one slice: some pages, then a message to ourselves."""

from contextlib import aclosing
from typing import Any

from events.envelope import Envelope
from events.imports import ImportCancelled, ImportContinue, ImportProgressed, ImportRequested, ImportStarted
from events.own import SyncContinue, SyncRequested
from schemas.problem import Cause, Problem
from worker import failpoints
from worker.errors import NotYet, Refused, refused
from worker.handlers.importing.closing import close_import
from worker.handlers.importing.order import ENTITY_OF
from worker.handlers.importing.progress import CLOSING, Progress, import_ids_of
from worker.handlers.importing.stages import STAGE_STEPS
from worker.handlers.importing.sweep import PageWrite, Sweep, incomplete
from worker.run import Run, Work, root_of
from worker.store import imports, previews, schedules
from worker.store.imports import ImportRow
from worker.telemetry.metrics import SYNC_ROUNDS

PROGRESS_EVERY_S = 1.0

MAX_RESTARTS = 3
"""How often an import sweeps a list again whose records were deleted under its hands, before it fails."""


async def start_import(event: Envelope[Any], run: Run) -> None:
    """``pike.import.requested``: begin, or go on when this request was begun before a crash."""
    data: ImportRequested = event.data
    row = await _begin(event, data, run)
    failpoints.hit("import.begun")
    if row.state != "running":
        async with run.finish(row.state):
            return
    await _slice(row, run)


async def continue_import(event: Envelope[Any], run: Run) -> None:
    """``pike-economic.import.continue``: the next slice."""
    data: ImportContinue = event.data
    async with run.read() as connection:
        row = await imports.find_by_event(connection, run.workspace_id, data.import_id)
    if row is not None and row.state == "failed":  # the slice that failed it, replayed by an operator
        async with run.checkpoint() as work:
            row = await _restart(row, run, work)
        if row is None:
            raise NotYet("another import of this workspace is running", delay_s=5.0)
    if row is None or row.state != "running":
        async with run.finish("ended_before"):
            return
    await _slice(row, run)


async def start_sync(event: Envelope[Any], run: Run) -> None:
    """``pike-economic.sync.requested``: a round of the schedule, unless a person's import does the same just now."""
    data: SyncRequested = event.data
    if run.connection is None:
        await _not_connected(event, run)
        return
    async with run.checkpoint() as work:
        row = await imports.find_by_event(work.connection, run.workspace_id, event.id, event.source)
        if row is None:
            row = await _start(event, data, run, work)
    if row is None or row.state != "running":
        async with run.finish("skipped" if row is None else row.state) as work:
            await schedules.ended(work.connection, run.workspace_id, event.id, "skipped")
        return
    await _round(row, run)


async def continue_sync(event: Envelope[Any], run: Run) -> None:
    """``pike-economic.sync.continue``: the next slice of a round."""
    data: SyncContinue = event.data
    if run.connection is None:
        await _not_connected(event, run)
        return
    async with run.read() as connection:
        row = await imports.find_by_event(connection, run.workspace_id, data.import_id)
    if row is None or row.state != "running":
        async with run.finish("ended_before"):
            return
    await _round(row, run)


async def _not_connected(event: Envelope[Any], run: Run) -> None:
    """End a round whose workspace was disconnected, or whose grant was withdrawn, before it got here."""
    async with run.finish("not_connected") as work:
        row = await imports.find_by_event(work.connection, run.workspace_id, root_of(event))
        if row is not None:
            await imports.end(work.connection, row.id, "cancelled")
        await schedules.ended(work.connection, run.workspace_id, root_of(event), "skipped")


async def _round(row: ImportRow, run: Run) -> None:
    """Work on a slice of a round. What e-conomic refuses ends it without a dead letter: the next round is near.

    Where it shows: the schedule's row, ``sync_status`` and the metric of rounds.
    """
    try:
        await _slice(row, run)
    except Refused as exc:
        problem = exc.problem.model_dump(mode="json")
        async with run.finish("failed") as work:
            await imports.end(work.connection, row.id, "failed", problem=problem)
        SYNC_ROUNDS.labels(row.mode, "failed").inc()


async def fail_import(event: Envelope[Any], problem: Problem, work: Work) -> None:
    """Close the import whose slice died; what its pages wrote stays, nothing is deactivated."""
    source = event.source if isinstance(event.data, ImportRequested) else None
    row = await imports.find_by_event(work.connection, event.workspace_id, root_of(event), source)
    stated = problem.model_dump(mode="json")
    if row is not None:
        await imports.end(work.connection, row.id, "failed", problem=stated)
    await schedules.ended(work.connection, event.workspace_id, root_of(event), "failed", problem=stated)


async def _begin(event: Envelope[Any], data: ImportRequested, run: Run) -> ImportRow:
    """Start the import, take it up again, or start it anew when it failed and an operator replays it."""
    async with run.checkpoint() as work:
        row = await imports.find_by_event(work.connection, run.workspace_id, event.id, event.source)
        if row is None:
            row = await _start(event, data, run, work)
        elif row.state == "failed":
            row = await _restart(row, run, work)
    if row is None:
        raise NotYet("another import of this workspace is running", delay_s=5.0)
    return row


async def _start(event: Envelope[Any], data: ImportRequested | SyncRequested, run: Run, work: Work) -> ImportRow | None:
    asked = data if isinstance(data, ImportRequested) else None
    if asked is not None:  # whoever presses Import does not wait for a round that nobody asked for
        await imports.make_way(work.connection, run.workspace_id)
    for import_id in import_ids_of(run.workspace_id, event.source, event.id):
        started = await imports.start(
            work.connection,
            {
                "id": import_id,
                "event_source": event.source,
                "event_id": event.id,
                "workspace_id": run.workspace_id,
                "agreement_number": run.need_connection().agreement_number,
                "entities": data.entities,
                "mode": data.mode,
                "dry_run": asked is not None and asked.dry_run,
                "requested_by": "schedule" if asked is None else asked.requested_by,
                "scheduled": asked is None,
                "traceparent": event.traceparent,
            },
        )
        if started:
            if asked is not None:
                work.emit(
                    ImportStarted(import_id=event.id, entities=data.entities, mode=data.mode, dry_run=asked.dry_run)
                )
            return await imports.find_by_event(work.connection, run.workspace_id, event.id, event.source)
    return None


async def _restart(row: ImportRow, run: Run, work: Work) -> ImportRow | None:
    if not await imports.restart(work.connection, row.id, run.need_connection().agreement_number):
        return None
    return await imports.find_by_event(work.connection, run.workspace_id, row.event_id, row.event_source)


async def _slice(row: ImportRow, run: Run) -> None:
    """Work page by page until the time of a slice is used up or the import is through."""
    if row.agreement_number != run.need_connection().agreement_number:
        raise _other_agreement(row.agreement_number, run.need_connection().agreement_number)
    sweep = Sweep(run, Progress.of(row))
    progress = sweep.progress
    if not progress.stage:
        async with run.read() as connection:
            progress.begin(await imports.since_last(connection, *sweep.scope))
    started = reported = run.clock.monotonic()
    while progress.stage != CLOSING:
        ended = False
        async with aclosing(STAGE_STEPS[progress.stage](sweep)) as pages:
            async for page in pages:
                failpoints.hit("import.page_read")
                now = run.clock.monotonic()
                report = page.last or now - reported >= PROGRESS_EVERY_S
                reported = now if report else reported
                if await _commit(page, sweep, report):
                    await _cancel(row, progress, run)
                    return
                ended = page.last
                sweep.slice_over = now - started >= run.slice_s
        if sweep.slice_over or not ended:
            async with run.finish("continued") as work:
                work.send_on((SyncContinue if row.scheduled else ImportContinue)(import_id=row.event_id))
            return
    failpoints.hit("import.closing")
    await close_import(sweep)


def _other_agreement(begun: int, now: int) -> Refused:
    return refused(
        Cause.IMPORT_INCOMPLETE,
        f"This import began in agreement {begun}, and the workspace was connected to agreement {now} meanwhile.",
        "Start a new import. What this one had brought stays; nothing was deactivated.",
    )


async def _commit(page: PageWrite, sweep: Sweep, report: bool) -> bool:
    """Write a page and move the cursor in one commit. Returns whether somebody asked to cancel."""
    progress = sweep.progress
    stage = progress.stage
    async with sweep.run.checkpoint() as work:
        await page.met(work)
        if sweep.rehearsal:
            async with work.rehearsal() as rehearsed:
                await page.write(rehearsed)
        else:
            await page.write(work)
        await sweep.settle(work)
        if page.last:
            await _stage_done(progress, work)
        if report:
            sweep.answer(work, _progressed(sweep, stage), ephemeral=True)
        cancelled = await imports.advance(work.connection, progress.row.id, progress.cursor, progress.counts)
    failpoints.hit("import.page_committed")
    return cancelled


async def _stage_done(progress: Progress, work: Work) -> None:
    """Go on with the next stage, or sweep this one again when records went away while it was read."""
    if not progress.shrunk:
        progress.next_stage()
        return
    if progress.restarts >= MAX_RESTARTS:
        raise incomplete(progress.stage, progress.seen.get(progress.stage, 0), progress.totals.get(progress.stage))
    await imports.forget_rejects(work.connection, progress.row.id, progress.stage)
    await imports.forget_pages(work.connection, progress.row.id, progress.stage)
    await previews.forget(work.connection, progress.row.id, progress.list_name)
    progress.restart_stage()


def _progressed(sweep: Sweep, stage: str) -> ImportProgressed:
    progress, usage = sweep.progress, sweep.api.usage
    entity = ENTITY_OF[stage]
    stages = progress.counted_stages(entity)
    totals = [progress.totals.get(name) for name in stages]
    known = [total for total in totals if total is not None]
    return ImportProgressed(
        import_id=progress.row.event_id,
        entity=entity,
        done=sum(progress.seen.get(name, 0) for name in stages),
        total=sum(known) if len(known) == len(stages) else None,
        pages=sum(progress.pages.get(name, 0) for name in stages),
        budget_left=None if usage.limit is None or usage.used is None else max(usage.limit - usage.used, 0),
    )


async def _cancel(row: ImportRow, progress: Progress, run: Run) -> None:
    async with run.finish("cancelled") as work:
        ended = await imports.end(work.connection, row.id, "cancelled", counts=progress.counts)
        if ended and not row.scheduled:
            work.emit(ImportCancelled(import_id=row.event_id, counts=progress.entity_counts()))
