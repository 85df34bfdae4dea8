"""The outbox: events to publish, written in the transaction that did the work. Presence means "not confirmed yet".

A new row is leased to the process that wrote it, which publishes it straight after the commit; a row whose lease
has run out (crash, broker away) may be taken by anybody.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from worker.store.pool import Connection

OWN_LEASE_S = 15.0
"""How long the writer has for its own rows before others may take them."""


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """One message to publish. ``ephemeral`` ones (progress) may be dropped when nobody listens."""

    event_id: str
    type: str
    workspace_id: str
    exchange: str
    routing_key: str
    body: bytes
    content_type: str
    headers: dict[str, str] = field(default_factory=dict)
    ephemeral: bool = False


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A stored message with its row id and how often publishing it failed."""

    id: int
    message: OutboxMessage
    attempts: int = 0


_APPEND = """
insert into economic.outbox
    (event_id, type, workspace_id, exchange, routing_key, content_type, headers, body, ephemeral, leased_until)
select t.*, now() + make_interval(secs => $10)
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::jsonb[], $8::bytea[], $9::bool[]) as t
returning id
"""

# Chosen once: as a subquery of the update it may be run for every row, and each time it finds others to lock. In the
# order of the index, which is read as far as needed and forgets what was deleted; leases end in the order of writing.
_TAKE = """
with due as materialized (
    select id from economic.outbox where leased_until < now() order by leased_until limit $1 for update skip locked
)
update economic.outbox o set leased_until = now() + make_interval(secs => $2) from due where o.id = due.id
returning o.*
"""

DELETE = "delete from economic.outbox where id = any ($1::bigint[])"
"""Removes confirmed messages, by their row ids."""

_FAILED = """
update economic.outbox o
set attempts = o.attempts + 1, last_error = f.error, unheard = f.unheard,
    leased_until = now() + make_interval(secs => least(5 * power(2, least(o.attempts, 10)), 3600))
from unnest($1::bigint[], $2::text[], $3::bool[]) as f(id, error, unheard)
where o.id = f.id
"""


def columns_of(messages: Sequence[OutboxMessage]) -> tuple[list[Any], ...]:
    """Return the messages as the arrays that a statement which stores them takes, one per column."""
    return (
        [m.event_id for m in messages],
        [m.type for m in messages],
        [m.workspace_id for m in messages],
        [m.exchange for m in messages],
        [m.routing_key for m in messages],
        [m.content_type for m in messages],
        [m.headers for m in messages],
        [m.body for m in messages],
        [m.ephemeral for m in messages],
    )


async def append(
    connection: Connection, messages: Sequence[OutboxMessage], lease_s: float = OWN_LEASE_S
) -> list[OutboxRow]:
    """Store messages in the caller's transaction and return them with their row ids.

    They are leased to this process, which must announce them to its relay; a process without one (a command) gives
    ``lease_s=0``, so that the next worker takes them.
    """
    if not messages:
        return []
    rows = await connection.fetch(
        _APPEND,
        *columns_of(messages),
        lease_s,
    )
    return [OutboxRow(row["id"], message) for row, message in zip(rows, messages, strict=True)]


async def take(connection: Connection, limit: int, lease_s: float = OWN_LEASE_S) -> list[OutboxRow]:
    """Lease rows that nobody works on, oldest first. Several processes never get the same row."""
    rows = await connection.fetch(_TAKE, limit, lease_s)
    return sorted((_row(row) for row in rows), key=lambda row: row.id)


async def delete(connection: Connection, ids: Sequence[int]) -> None:
    """Remove confirmed messages."""
    if ids:
        await connection.execute(DELETE, list(ids))


async def failed(connection: Connection, failures: Sequence[tuple[int, str, bool]]) -> None:
    """Keep messages that could not be published for later: 5 s, 10 s, … at most an hour.

    Each is (row id, error, whether no queue is bound to its type).
    """
    if failures:
        await connection.execute(_FAILED, *(list(column) for column in zip(*failures, strict=True)))


async def drop_unheard(connection: Connection, older_than_s: float) -> int:
    """Give up answers that nobody has been bound to for so long; returns how many."""
    status: str = await connection.execute(
        "delete from economic.outbox where unheard and created_at < now() - make_interval(secs => $1)", older_than_s
    )
    return int(status.rsplit(" ", 1)[1])


def _row(row: dict[str, object]) -> OutboxRow:
    values = dict(row)
    message = OutboxMessage(**{name: values[name] for name in OutboxMessage.__dataclass_fields__})  # type: ignore[arg-type]
    return OutboxRow(int(str(values["id"])), message, int(str(values["attempts"])))
