"""What an import would do (B5): one row per record that a preview would create, change or deactivate."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal
from uuid import UUID

from worker.store.pool import Connection


@dataclass(frozen=True, slots=True)
class Previewed:
    """One record. ``changes``: ``[{field, old, new}]``; ``record_id`` is Pike's, ``None`` while there is none."""

    entity: str
    action: Literal["create", "change", "deactivate"]
    record_id: UUID | None
    external_number: str | None
    changes: list[dict[str, Any]]


async def add(connection: Connection, import_id: UUID, rows: Sequence[Previewed]) -> None:
    """Keep what a page would do."""
    if rows:
        await connection.execute(
            """insert into economic.import_preview (import_id, entity, action, record_id, external_number, changes)
               select $1, t.* from jsonb_to_recordset($2)
                    as t(entity text, action text, record_id uuid, external_number text, changes jsonb)""",
            import_id,
            [asdict(row) for row in rows],
        )


async def find(
    connection: Connection,
    import_id: UUID,
    actions: Sequence[str] = ("create", "change", "deactivate"),
    limit: int = 100,
) -> list[Previewed]:
    """Return rows of a preview in the order they were found."""
    rows = await connection.fetch(
        """select entity, action, record_id, external_number, changes from economic.import_preview
           where import_id = $1 and action = any($2::text[]) order by id limit $3""",
        import_id,
        list(actions),
        limit,
    )
    return [Previewed(**row) for row in rows]


async def newest(
    connection: Connection, workspace_id: str, agreement: int, entities: Sequence[str], mode: str
) -> dict[str, Any] | None:
    """Return end and counts of the newest preview of the last day that asked for the same, ``None`` without one."""
    row = await connection.fetchrow(
        """select id, finished_at, counts from economic.imports
           where workspace_id = $1 and agreement_number = $2 and entities @> $3 and entities <@ $3 and mode = $4
             and dry_run and state = 'completed' and finished_at > now() - interval '1 day'
           order by finished_at desc limit 1""",
        workspace_id,
        agreement,
        list(entities),
        mode,
    )
    return dict(row) if row else None
