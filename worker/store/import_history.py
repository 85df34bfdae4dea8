"""Imports as people look back on them: a list by key, and one with its report, its problem and what it left out."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from worker.store.pool import Connection

PAGE = 25


@dataclass(frozen=True, slots=True)
class PastImport:
    """An import. ``event_id`` is the id that Pike and the pages know it by; ``id`` is our row's."""

    id: UUID
    event_id: str
    entities: tuple[str, ...]
    mode: str
    dry_run: bool
    requested_by: str | None
    state: str
    cancel_requested: bool
    counts: Mapping[str, Mapping[str, int]]
    started_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    problem: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Whole:
    """An import with its data report, and where it stands: what each stage has met of how many."""

    row: PastImport
    report: Mapping[str, Any] | None
    cursor: Mapping[str, Any]
    rejects: int
    deactivated: int
    """Products that it deactivated and that still are inactive: what undoing it would activate."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that an import could not use."""

    entity: str
    external_number: str | None
    reason: str


_COLUMNS = """id, event_id, entities, mode, dry_run, requested_by, state, cancel_requested, counts, started_at, updated_at,
              finished_at, problem"""


async def page(
    connection: Connection,
    workspace_id: str,
    edge: tuple[datetime, UUID] | None = None,
    *,
    backwards: bool = False,
    limit: int = PAGE,
) -> list[PastImport]:
    """Return imports, newest first, from after ``edge`` on; backwards from before it, in the order of that way.

    Only what somebody asked for: the schedule's rounds, a hundred a day, would hide it. One more than ``limit`` tells
    that it goes on.
    """
    way, beyond = ("", ">") if backwards else ("desc", "<")
    rows = await connection.fetch(
        f"""select {_COLUMNS} from economic.imports
            where workspace_id = $1 and not scheduled
              and ($2::timestamptz is null or (started_at, id) {beyond} ($2, $3::uuid))
            order by started_at {way}, id {way} limit $4""",  # noqa: S608
        workspace_id,
        *(edge or (None, None)),
        limit + 1,
    )
    return [_read(row) for row in rows]


async def find(connection: Connection, workspace_id: str, event_id: str) -> Whole | None:
    """Return the workspace's import that Pike knows by this id, the running or newest one should there be several."""
    row = await connection.fetchrow(
        f"""select {_COLUMNS}, report, cursor from economic.imports where workspace_id = $1 and event_id = $2
            order by state = 'running' desc, started_at desc limit 1""",  # noqa: S608
        workspace_id,
        event_id,
    )
    if row is None:
        return None
    values = dict(row)
    report, cursor = values.pop("report"), values.pop("cursor")
    beside = await connection.fetchrow(
        """select (select count(*)::int from economic.import_rejects where import_id = $1) as rejects,
                  (select count(*)::int from pike.products
                   where workspace_id = $2 and deactivated_by_import = $1 and not active) as deactivated""",
        values["id"],
        workspace_id,
    )
    return Whole(_read(values), report, cursor, beside["rejects"], beside["deactivated"])


async def rejects(connection: Connection, import_id: UUID, limit: int = 100) -> list[Reject]:
    """Return the first records that an import could not use."""
    rows = await connection.fetch(
        """select entity, external_number, reason from economic.import_rejects where import_id = $1
           order by entity, at, external_number limit $2""",
        import_id,
        limit,
    )
    return [Reject(**row) for row in rows]


def _read(row: Any) -> PastImport:
    values = dict(row)
    values["entities"] = tuple(values["entities"])
    return PastImport(**values)
