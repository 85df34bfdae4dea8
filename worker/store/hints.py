"""What webhooks hinted at: records to read again, one row however often they were named, and who reads them.

``reading_id`` of the receiver is the event that reads; there is at most one per connection. Whoever adds hints locks the
receiver first and wakes a reader when there is none; the reader, at its end, locks it and looks whether anything is left.
So every hint that was committed is read, and no two read the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from worker.store.pool import Connection

Kind = Literal["product", "customer", "invoice"]

MAX_PENDING = 5_000
"""Records of a connection that wait to be read one by one; more of them, and a round of changes reads the list."""

SETTLED_S = 0.25
"""A record that was named again just now is left for a moment: bursts name the same ones several times."""

LONGEST_S = 1.25
"""A record that is named again and again is read after so long all the same."""


@dataclass(frozen=True, slots=True)
class Hint:
    """A record that changed in e-conomic. ``renamed_from``: the number that it had before."""

    entity: Kind
    external_number: str
    renamed_from: str | None = None


@dataclass(frozen=True, slots=True)
class Pending:
    """A hint that waits, and how often it was given."""

    hint: Hint
    version: int
    first_at: datetime


_ADD = """
insert into economic.hints as h (connection_id, entity, external_number, renamed_from)
select distinct on (connection_id, entity, external_number) connection_id, entity, external_number, renamed_from
from unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) as t(connection_id, entity, external_number, renamed_from)
order by connection_id, entity, external_number, renamed_from nulls last
on conflict (connection_id, entity, external_number) do update
set version = h.version + 1, last_at = clock_timestamp(), renamed_from = coalesce(excluded.renamed_from, h.renamed_from)
"""

_OVERFLOW = """
select t.id from unnest($1::uuid[]) as t(id)
where (select count(*) from (select 1 from economic.hints h where h.connection_id = t.id limit $2) counted) >= $2
"""

_PENDING = """
select entity, external_number, renamed_from, version, first_at
from (
    select h.*, row_number() over (partition by entity order by first_at, external_number) as place
    from economic.hints h
    where connection_id = $1 and (last_at <= clock_timestamp() - make_interval(secs => $3)
                                  or first_at <= clock_timestamp() - make_interval(secs => $4))
) ripe
where place <= $2 order by first_at, external_number
"""

_FORGET = """
delete from economic.hints h using unnest($2::text[], $3::text[], $4::bigint[]) as t(entity, number, version)
where h.connection_id = $1 and h.entity = t.entity and h.external_number = t.number and h.version = t.version
"""


async def lock(connection: Connection, connection_ids: Sequence[UUID]) -> dict[UUID, str | None]:
    """Lock receivers until the commit, always in the same order; returns who reads for each."""
    rows = await connection.fetch(
        """select connection_id, reading_id from economic.hook_receivers
           where connection_id = any($1::uuid[]) order by connection_id for update""",
        list(connection_ids),
    )
    return {row["connection_id"]: row["reading_id"] for row in rows}


async def add(connection: Connection, hints: Sequence[tuple[UUID, Hint]]) -> None:
    """Add hints of receivers that are locked; one that waits already is only counted."""
    await connection.execute(
        _ADD,
        [connection_id for connection_id, _ in hints],
        [hint.entity for _, hint in hints],
        [hint.external_number for _, hint in hints],
        [hint.renamed_from for _, hint in hints],
    )


async def relieve(connection: Connection, connection_ids: Sequence[UUID]) -> list[UUID]:
    """Where too much waits, let the schedule's next round read it, now; returns those connections.

    Renumberings stay: only they tell which row goes on.
    """
    found = [row["id"] for row in await connection.fetch(_OVERFLOW, list(connection_ids), MAX_PENDING)]
    if found:
        await connection.execute(
            "delete from economic.hints where connection_id = any($1::uuid[]) and renamed_from is null", found
        )
        await connection.execute(
            "update economic.schedules set next_at = now() where connection_id = any($1::uuid[])", found
        )
    return found


async def set_reader(connection: Connection, connection_id: UUID, event_id: str | None) -> None:
    """Note which event reads, or that none does."""
    await connection.execute(
        """update economic.hook_receivers
           set reading_id = $2, reading_since = case when $2::text is null then null else now() end
           where connection_id = $1""",
        connection_id,
        event_id,
    )


async def pending(connection: Connection, connection_id: UUID, limit: int) -> list[Pending]:
    """Return what waits and has settled, the oldest first, at most ``limit`` of each kind."""
    rows = await connection.fetch(_PENDING, connection_id, limit, SETTLED_S, LONGEST_S)
    return [
        Pending(Hint(row["entity"], row["external_number"], row["renamed_from"]), row["version"], row["first_at"])
        for row in rows
    ]


async def any_left(connection: Connection, connection_id: UUID) -> bool:
    """Return whether anything waits."""
    sql = "select exists (select 1 from economic.hints where connection_id = $1)"
    return bool(await connection.fetchval(sql, connection_id))


async def forget(connection: Connection, connection_id: UUID, read: Sequence[Pending]) -> None:
    """Drop hints that were read; one that was given again meanwhile stays."""
    await connection.execute(
        _FORGET,
        connection_id,
        [each.hint.entity for each in read],
        [each.hint.external_number for each in read],
        [each.version for each in read],
    )


async def forget_all(connection: Connection, connection_id: UUID) -> None:
    """Drop everything that waits: the connection was closed."""
    await connection.execute("delete from economic.hints where connection_id = $1", connection_id)


async def release(connection: Connection, event_id: str) -> None:
    """Note that an event does not read any more."""
    await connection.execute(
        "update economic.hook_receivers set reading_id = null, reading_since = null where reading_id = $1", event_id
    )


async def leave_to_schedule(connection: Connection, event_id: str) -> None:
    """Drop what an event was to read, and let the schedule's next round read it, now."""
    ids = [
        row["connection_id"]
        for row in await connection.fetch(
            """update economic.hook_receivers set reading_id = null, reading_since = null
               where reading_id = $1 returning connection_id""",
            event_id,
        )
    ]
    await connection.execute("delete from economic.hints where connection_id = any($1::uuid[])", ids)
    await connection.execute("update economic.schedules set next_at = now() where connection_id = any($1::uuid[])", ids)


async def lost_readers(connection: Connection, source: str, limit: int) -> list[tuple[UUID, str]]:
    """Return and lock connections where hints wait and nobody reads them: (id, workspace).

    That is so after a dead letter, and when a receiver's event is nowhere any more.
    """
    rows = await connection.fetch(
        """select r.connection_id, c.workspace_id
           from economic.hook_receivers r join economic.connections c on c.id = r.connection_id
           where c.status = 'active' and exists (select 1 from economic.hints h where h.connection_id = r.connection_id)
             and (r.reading_id is null or r.reading_since < now() - interval '5 minutes'
                  and not exists (select 1 from economic.outbox o where o.event_id = r.reading_id)
                  and not exists (select 1 from economic.inbox e where e.source = $1 and e.event_id = r.reading_id
                                  and e.state not in ('done', 'dead')))
           limit $2 for update of r skip locked""",
        source,
        limit,
    )
    return [(row["connection_id"], row["workspace_id"]) for row in rows]
