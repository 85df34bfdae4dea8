"""An outbox: the event is written in the transaction that makes the invoice, and published afterwards, at least once.

Between the commit and the publish a process may die; the row is still there, and whoever runs next publishes it with
the same id, which the integration acts on once. Needs the packages ``pike-economic`` and ``asyncpg``.
"""

import asyncpg

from events import Envelope, Incoming
from events.codec import CONTENT_TYPE, decode, encode
from events.publisher import Publisher

TABLE = """create table if not exists outbox (
    position bigint generated always as identity primary key,
    body bytea not null,
    created_at timestamptz not null default now()
)"""


async def append(connection: asyncpg.Connection, event: Envelope[Incoming]) -> None:
    """Keep the event. Call inside the transaction that makes it true; make it with ``events.publisher.new_event``."""
    await connection.execute("insert into outbox (body) values ($1)", encode(event))


async def drain(pool: asyncpg.Pool, pike: Publisher) -> int:
    """Publish what waits, oldest first, and return how many events went out.

    Run it in a loop, in as many copies as you like: each row is taken by one. Raises what the publisher raises; the
    event it was about, and those behind it, stay for the next call.
    """
    sent = 0
    while await _publish_next(pool, pike):
        sent += 1
    return sent


async def _publish_next(pool: asyncpg.Pool, pike: Publisher) -> bool:
    async with pool.acquire() as connection, connection.transaction():
        row = await connection.fetchrow(
            "select position, body from outbox order by position limit 1 for update skip locked"
        )
        if row is None:
            return False
        await pike.send(decode(row["body"], {}, CONTENT_TYPE))
        # Dying here publishes it a second time, with the same id: acted on once
        await connection.execute("delete from outbox where position = $1", row["position"])
        return True
