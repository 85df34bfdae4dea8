"""The overflow: messages set aside because their workspace has more under way than its share.

A second queue behind RabbitMQ's, kept where one can see which workspace has how much and take from each in turn.
Presence means "not settled yet". A row that is taken is leased; when the lease runs out (crash) anybody may take it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from worker.store.pool import Connection


@dataclass(frozen=True, slots=True)
class SetAside:
    """One message as it came, with the workspace that it was counted under."""

    lane: str
    workspace_id: str
    routing_key: str
    message_id: str | None
    content_type: str | None
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class OverflowRow:
    """A message taken from the overflow, leased to the taker."""

    id: int
    message: SetAside


_PUT = """
insert into economic.overflow (lane, workspace_id, routing_key, message_id, content_type, headers, body)
select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::bytea[])
"""

# The workspaces are found by hopping over the index, one step each, however many rows they have. Each gives the same
# number of rows, so that one with few is not behind one with fifty thousand.
_TAKE = """
with recursive hop as (
    (select workspace_id from economic.overflow where lane = $1 order by workspace_id limit 1)
    union all
    select (select o.workspace_id from economic.overflow o
            where o.lane = $1 and o.workspace_id > hop.workspace_id order by o.workspace_id limit 1)
    from hop where hop.workspace_id is not null
), willing as materialized (
    select workspace_id from hop where workspace_id is not null and workspace_id <> all ($2::text[])
), taken as (
    select due.id
    from (select workspace_id from willing order by random()) w
    cross join lateral (
        select o.id from economic.overflow o
        where o.lane = $1 and o.workspace_id = w.workspace_id and o.due_at <= now()
        order by o.due_at, o.id
        limit (select greatest(ceil($3::numeric / greatest(count(*), 1)), 1)::int from willing)
        for update skip locked
    ) due
    limit $3::int
)
update economic.overflow o set due_at = now() + make_interval(secs => $4) from taken where o.id = taken.id
returning o.id, o.lane, o.workspace_id, o.routing_key, o.message_id, o.content_type, o.headers, o.body
"""

_DELETE = "delete from economic.overflow where id = any ($1::bigint[])"

_LATER = """
update economic.overflow o set due_at = now() + make_interval(secs => t.delay_s), headers = o.headers || t.headers
from unnest($1::bigint[], $2::float8[], $3::jsonb[]) as t(id, delay_s, headers) where o.id = t.id
"""

_WAITING = """
select lane, count(*)::int as messages, count(distinct workspace_id)::int as workspaces,
       extract(epoch from now() - min(set_aside_at))::float8 as oldest_s
from economic.overflow group by lane
"""

_LARGEST = """
select lane, workspace_id, count(*)::int as messages,
       round(extract(epoch from now() - min(set_aside_at)))::int as oldest_s
from economic.overflow group by lane, workspace_id order by count(*) desc, workspace_id limit 20
"""


async def put(connection: Connection, messages: Sequence[SetAside]) -> None:
    """Keep messages; once this has returned the broker may forget them."""
    columns = zip(
        *((m.lane, m.workspace_id, m.routing_key, m.message_id, m.content_type, m.headers, m.body) for m in messages),
        strict=True,
    )
    await connection.execute(_PUT, *(list(column) for column in columns))


async def take(
    connection: Connection, lane: str, limit: int, *, without: Sequence[str], lease_s: float
) -> list[OverflowRow]:
    """Lease up to ``limit`` messages that are due, evenly from the workspaces that have some, oldest first.

    ``without``: workspaces that are to be left alone for now.
    """
    rows = await connection.fetch(_TAKE, lane, list(without), limit, lease_s)
    return [OverflowRow(row["id"], SetAside(*list(row.values())[1:])) for row in rows]


async def delete(connection: Connection, ids: Sequence[int]) -> None:
    """Forget messages that are settled."""
    await connection.execute(_DELETE, list(ids))


async def later(connection: Connection, waits: Sequence[tuple[int, float, dict[str, str]]]) -> None:
    """Let messages, by row id, be due in so many seconds, with these headers over their own."""
    ids, delays, headers = zip(*waits, strict=True)
    await connection.execute(_LATER, list(ids), list(delays), list(headers))


async def waiting(connection: Connection) -> list[dict[str, Any]]:
    """Return per lane how many messages wait, of how many workspaces, and the oldest one's age in seconds."""
    return [dict(row) for row in await connection.fetch(_WAITING)]


async def largest(connection: Connection) -> list[dict[str, Any]]:
    """Return the workspaces that have most in the overflow, per lane, at most twenty."""
    return [dict(row) for row in await connection.fetch(_LARGEST)]
