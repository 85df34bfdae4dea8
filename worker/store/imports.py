"""Imports as they run: cursor, counts, rejects, and the one-per-workspace rule."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from schemas.kinds import ImportEntity
from worker.store import schedules
from worker.store.pool import Connection


@dataclass(frozen=True, slots=True)
class ImportRow:
    """An import. ``id`` is our row id; ``event_id`` is the id that Pike knows it by."""

    id: UUID
    event_source: str
    event_id: str
    workspace_id: str
    agreement_number: int
    entities: tuple[ImportEntity, ...]
    mode: str
    dry_run: bool
    requested_by: str | None
    scheduled: bool
    traceparent: str | None
    state: str
    cancel_requested: bool
    cursor: Mapping[str, Any]
    counts: Mapping[str, Any]
    started_at: datetime


_COLUMNS = """id, event_source, event_id, workspace_id, agreement_number, entities, mode, dry_run, requested_by, scheduled,
              traceparent, state, cancel_requested, cursor, counts, started_at"""


def _read(row: Any) -> ImportRow:
    values = dict(row)
    values["entities"] = tuple(values["entities"])
    return ImportRow(**values)


async def start(connection: Connection, row: Mapping[str, Any]) -> bool:
    """Insert a running import. False when it exists already or another one of the workspace is running."""
    return (
        await connection.fetchval(
            """insert into economic.imports (id, event_source, event_id, workspace_id, agreement_number, entities, mode,
                                             dry_run, requested_by, scheduled, traceparent, state)
               values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'running') on conflict do nothing returning 1""",
            row["id"],
            row["event_source"],
            row["event_id"],
            row["workspace_id"],
            row["agreement_number"],
            list(row["entities"]),
            row["mode"],
            row["dry_run"],
            row["requested_by"],
            row["scheduled"],
            row["traceparent"],
        )
        is not None
    )


async def restart(connection: Connection, import_id: UUID, agreement: int) -> bool:
    """Let a failed import run again, from its first page; False while another one of the workspace is running."""
    opened = await connection.fetchval(
        """update economic.imports i
           set state = 'running', agreement_number = $2, cursor = '{}', counts = '{}', report = null, problem = null,
               cancel_requested = false, started_at = now(), updated_at = now(), finished_at = null
           where id = $1 and state = 'failed'
             and not exists (select 1 from economic.imports o where o.workspace_id = i.workspace_id and o.state = 'running')
           returning 1""",
        import_id,
        agreement,
    )
    if opened is not None:
        await connection.execute("delete from economic.import_rejects where import_id = $1", import_id)
        await forget_pages(connection, import_id)
    return opened is not None


async def find_by_event(
    connection: Connection, workspace_id: str, event_id: str, source: str | None = None
) -> ImportRow | None:
    """Return the workspace's import that Pike knows by this event id; ``source`` where the publisher is known.

    Should publishers share ids, it is the one that is running, else the newest.
    """
    row = await connection.fetchrow(
        f"""select {_COLUMNS} from economic.imports
            where workspace_id = $1 and event_id = $2 and ($3::text is null or event_source = $3)
            order by state = 'running' desc, started_at desc limit 1""",  # noqa: S608
        workspace_id,
        event_id,
        source,
    )
    return _read(row) if row else None


async def since_last(connection: Connection, workspace_id: str, agreement: int) -> dict[str, datetime]:
    """Return, by entity, when the last import that brought it to an end was begun."""
    rows = await connection.fetch(
        """select entity, max(i.started_at) as began from economic.imports i, unnest(i.entities) as entity
           where i.workspace_id = $1 and i.agreement_number = $2 and i.state = 'completed' and not i.dry_run
           group by entity""",
        workspace_id,
        agreement,
    )
    return {row["entity"]: row["began"] for row in rows}


async def note_page(connection: Connection, import_id: UUID, stage: str, page: int, numbers: Sequence[str]) -> None:
    """Keep which records a page of a sweep had."""
    await connection.execute(
        """insert into economic.import_pages (import_id, stage, page, numbers) values ($1, $2, $3, $4)
           on conflict (import_id, stage, page) do update set numbers = excluded.numbers""",
        import_id,
        stage,
        page,
        list(numbers),
    )


async def forget_pages(connection: Connection, import_id: UUID, stage: str | None = None) -> None:
    """Drop what was noted of a stage that is swept again, or of an import that has ended."""
    await connection.execute(
        "delete from economic.import_pages where import_id = $1 and ($2::text is null or stage = $2)", import_id, stage
    )


async def mark(connection: Connection, workspace_id: str, agreement: int, name: str) -> str | None:
    """Return where a stretch-wise reading stopped."""
    found: str | None = await connection.fetchval(
        "select value from economic.sync_marks where workspace_id = $1 and agreement_number = $2 and mark = $3",
        workspace_id,
        agreement,
        name,
    )
    return found


async def set_mark(connection: Connection, workspace_id: str, agreement: int, name: str, value: str) -> None:
    """Keep where a stretch-wise reading goes on."""
    await connection.execute(
        """insert into economic.sync_marks (workspace_id, agreement_number, mark, value) values ($1, $2, $3, $4)
           on conflict (workspace_id, agreement_number, mark) do update set value = excluded.value""",
        workspace_id,
        agreement,
        name,
        value,
    )


async def advance(
    connection: Connection, import_id: UUID, cursor: Mapping[str, Any], counts: Mapping[str, Any]
) -> bool:
    """Move the cursor in the commit that wrote the page. Returns whether the import is to stop here.

    Somebody asked to cancel it meanwhile, or it is not running any more: a person's import took its place.
    """
    cancelled: bool | None = await connection.fetchval(
        """update economic.imports set cursor = $2, counts = $3, updated_at = now()
           where id = $1 and state = 'running' returning cancel_requested""",
        import_id,
        dict(cursor),
        dict(counts),
    )
    return cancelled is not False


async def lock_running(connection: Connection, import_id: UUID) -> bool:
    """Keep others from ending an import until the commit; False when it is not running any more."""
    sql = "select 1 from economic.imports where id = $1 and state = 'running' for update"
    return await connection.fetchval(sql, import_id) is not None


async def make_way(connection: Connection, workspace_id: str) -> None:
    """End the schedule's round that is at work in a workspace, because a person asks for an import."""
    row = await connection.fetchrow(
        """update economic.imports set state = 'cancelled', finished_at = now(), updated_at = now()
           where workspace_id = $1 and state = 'running' and scheduled returning id, event_id""",
        workspace_id,
    )
    if row is not None:
        await forget_pages(connection, row["id"])
        await schedules.ended(connection, workspace_id, row["event_id"], "cancelled")


async def end(
    connection: Connection,
    import_id: UUID,
    state: str,
    *,
    counts: Mapping[str, Any] | None = None,
    report: Mapping[str, Any] | None = None,
    problem: Mapping[str, Any] | None = None,
) -> bool:
    """Close a running import, and with it the round of the schedule that it was; False when it was not running."""
    await forget_pages(connection, import_id)
    row = await connection.fetchrow(
        """update economic.imports
           set state = $2, counts = coalesce($3, counts), report = $4, problem = $5, finished_at = now(), updated_at = now()
           where id = $1 and state = 'running' returning workspace_id, event_id, scheduled, mode""",
        import_id,
        state,
        counts,
        report,
        problem,
    )
    if row is None:
        return False
    if row["scheduled"]:
        swept = state == "completed" and row["mode"] == "full"
        await schedules.ended(connection, row["workspace_id"], row["event_id"], state, swept=swept, problem=problem)
        await _forget_rounds(connection, row["workspace_id"])
    return True


async def _forget_rounds(connection: Connection, workspace_id: str) -> None:
    """Drop rounds of the schedule that ended a week ago: there are a hundred a day, and a newer one has ended now."""
    await connection.execute(
        """delete from economic.imports where workspace_id = $1 and scheduled and state <> 'running'
           and finished_at < now() - interval '7 days'""",
        workspace_id,
    )


async def request_cancel(connection: Connection, workspace_id: str, event_id: str) -> bool:
    """Ask a running import to stop after its current page."""
    return (
        await connection.fetchval(
            """update economic.imports set cancel_requested = true, updated_at = now()
               where workspace_id = $1 and event_id = $2 and state = 'running' returning 1""",
            workspace_id,
            event_id,
        )
        is not None
    )


async def add_rejects(
    connection: Connection, import_id: UUID, entity: str, rejects: Sequence[tuple[str | None, str, str]]
) -> None:
    """Keep records that could not be used: number, reason, and the record as it came."""
    if rejects:
        await connection.execute(
            """insert into economic.import_rejects (import_id, entity, external_number, reason, raw)
               select $1, $2, t.* from unnest($3::text[], $4::text[], $5::text[]) as t""",
            import_id,
            entity,
            [None if number is None else _storable(number) for number, _, _ in rejects],
            [_storable(reason) for _, reason, _ in rejects],
            [_storable(raw) for _, _, raw in rejects],
        )


def _storable(text: str) -> str:
    """Write out what no Postgres text can hold: NUL, and halves of surrogate pairs."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")


async def forget_rejects(connection: Connection, import_id: UUID, entity: str) -> None:
    """Drop the rejects of a list that is swept again."""
    await connection.execute(
        "delete from economic.import_rejects where import_id = $1 and entity = $2", import_id, entity
    )


async def rejected_numbers(connection: Connection, import_id: UUID, entity: str) -> list[str | None]:
    """Return the numbers of records that were met but could not be used; ``None`` for one without a number."""
    rows = await connection.fetch(
        "select external_number from economic.import_rejects where import_id = $1 and entity = $2", import_id, entity
    )
    return [row["external_number"] for row in rows]


async def sums(connection: Connection, workspace_id: str, agreement: int) -> list[dict[str, Any]]:
    """Return counts and sums of the active linked invoices by document, currency and year (B7)."""
    rows = await connection.fetch(
        """select case when booked_number is null then 'draft' else 'booked' end as document, currency,
                  extract(year from issue_date)::int as year, count(*)::int as count,
                  sum(net_amount) as net, sum(vat_amount) as vat, sum(gross_amount) as gross, sum(remainder) as remainder
           from pike.invoices
           where workspace_id = $1 and agreement_number = $2 and external_number is not null and active
           group by 1, 2, 3 order by 1, 2, 3""",
        workspace_id,
        agreement,
    )
    return [dict(row) for row in rows]
