"""What an import would do (B5): one row per record that a preview would create, change or deactivate."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal
from uuid import UUID

from schemas.kinds import Entity
from worker.store.pool import Connection


@dataclass(frozen=True, slots=True)
class Previewed:
    """One record. ``changes``: ``[{field, old, new}]``; ``record_id`` is Pike's, ``None`` while there is none."""

    entity: Entity
    action: Literal["create", "change", "deactivate"]
    record_id: UUID | None
    external_number: str | None
    changes: list[dict[str, Any]]


async def add(connection: Connection, import_id: UUID, list_: str, rows: Sequence[Previewed]) -> None:
    """Keep what a page of a list would do. A record met again, as it is by now, takes its own place."""
    if rows:
        await connection.execute(
            """insert into economic.import_preview as known
                    (import_id, list, entity, action, record_id, external_number, changes)
               select distinct on (t.entity, coalesce(t.record_id::text, t.external_number, ''))
                      $1, $2, t.* from jsonb_to_recordset($3)
                    as t(entity text, action text, record_id uuid, external_number text, changes jsonb)
               on conflict (import_id, list, entity, (coalesce(record_id::text, external_number, '')))
               do update set action = excluded.action, changes = excluded.changes""",
            import_id,
            list_,
            [asdict(row) for row in rows],
        )


async def forget(connection: Connection, import_id: UUID, list_: str) -> None:
    """Drop what was foreseen of a list that is swept again."""
    await connection.execute("delete from economic.import_preview where import_id = $1 and list = $2", import_id, list_)


async def count(connection: Connection, import_id: UUID) -> list[tuple[str, Entity, str, int]]:
    """Return list, entity, action and how many records of it a preview found."""
    rows = await connection.fetch(
        """select list, entity, action, count(*) as found from economic.import_preview
           where import_id = $1 group by list, entity, action""",
        import_id,
    )
    return [(row["list"], row["entity"], row["action"], row["found"]) for row in rows]


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
