"""Warming a new connection up: what events run all day is run once for nothing.

A new connection knows nothing. asyncpg asks Postgres about every type of array that it meets, statements are parsed, and
the server's process reads the catalogue: 10 to 20 ms for the first run of each of these statements. Whoever was first to
use the connection waited for that, with all who were to be committed together. New connections come into use when
something is late already, so that it made bad moments worse.
"""

from typing import Any

from worker.store import admission, endings, outbox
from worker.store.pool import Connection
from worker.store.tables import CUSTOMERS, PRODUCTS
from worker.store.upserts import records_sql

HOT = (admission.CLAIM, records_sql(PRODUCTS), records_sql(CUSTOMERS), endings.WRITE, outbox.DELETE)
"""Each takes its rows as arrays, and does nothing when they are empty."""


async def warm_up(connection: Connection) -> None:
    """Run each of ``HOT`` without rows, so that its next run on this connection is as quick as any."""
    for sql in HOT:
        statement = await connection.prepare(sql)
        await connection.execute(sql, *map(_nothing, statement.get_parameters()))


def _nothing(parameter: Any) -> Any:
    return [] if parameter.kind == "array" else 0
