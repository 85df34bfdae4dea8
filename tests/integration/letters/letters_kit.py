"""Dead letters to write, and a stand-in for the worker that ends what is sent again."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

from events.codec import decode
from worker.runtime.identity import meaning
from worker.store import dead_letters
from worker.store.dead_letters import DeadLetter, NewLetter
from worker.store.pool import Database

WS = "ws"
SOURCE = "/pike/tests"
BARRED = {
    "cause": "product_barred",
    "user_message": "Line 1: product 7 is barred in e-conomic.",
    "remedy": "Unbar the product.",
    "fields": ["lines[0].product"],
    "economic": {"error_code": "E06600", "property": "ProductNumber", "log_id": "log-1"},
    "final": True,
}


def invoice_event(
    title: str = "Website", invoice_id: UUID | None = None, event_id: str | None = None
) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": event_id or str(uuid4()), "source": SOURCE, "type": "pike.invoice.created",
        "workspaceid": WS, "datacontenttype": "application/json",
        "data": {"invoice": {
            "id": str(invoice_id or uuid4()), "title": title, "customer_id": str(uuid4()),
            "issue_date": "2026-11-23", "currency": "DKK",
            "lines": [{"id": str(uuid4()), "description": "Thanks", "quantity": "0", "unit_price": "0"}],
        }},
    }  # fmt: skip


async def bury(
    database: Database, event: dict[str, Any] | None = None, problem: dict[str, Any] = BARRED, **fields: Any
) -> DeadLetter:
    """Write a dead letter with its dead inbox row, as a worker does."""
    event = event or invoice_event()
    body = json.dumps(event).encode()
    parsed = decode(body, {}, "application/cloudevents+json")
    async with database.transaction("test") as connection:
        letter_id = await dead_letters.insert(
            connection,
            NewLetter(
                **{
                    "lane": "work",
                    "body": body,
                    "cause": problem["cause"],
                    "problem": problem,
                    "received_at": None,
                    "source": parsed.source,
                    "event_id": parsed.id,
                    "type": parsed.type,
                    "workspace_id": parsed.workspace_id,
                    "content_type": "application/cloudevents+json",
                    **fields,
                }
            ),
        )
        await connection.execute(
            """insert into economic.inbox (source, event_id, type, workspace_id, lane, body_hash, state, outcome)
               values ($1, $2, $3, $4, 'work', $5, 'dead', $6) on conflict do nothing""",
            parsed.source, parsed.id, parsed.type, parsed.workspace_id, meaning(parsed), problem["cause"],
        )  # fmt: skip
        (letter,) = await dead_letters.search(connection, ids=[letter_id], state=None)
    return letter


async def bury_many(database: Database, count: int) -> list[UUID]:
    return [(await bury(database)).id for _ in range(count)]


async def end_sent(database: Database, outcome: Callable[[str], str]) -> int:
    """End everything that waits in the outbox; ``outcome`` says for an event's id "done" or the cause of its death."""
    async with database.transaction("test") as connection:
        rows = await connection.fetch("delete from economic.outbox returning event_id")
        for row in rows:
            cause = outcome(row["event_id"])
            await connection.execute(
                """update economic.inbox set state = $2, outcome = $3 where event_id = $1 and state = 'waiting'""",
                row["event_id"],
                "done" if cause == "done" else "dead",
                cause,
            )
    return len(rows)


@asynccontextmanager
async def ending(database: Database, outcome: Callable[[str], str] = lambda _id: "done") -> AsyncIterator[None]:
    """End what is sent as long as the block runs."""

    async def work() -> None:
        while True:
            await end_sent(database, outcome)
            await asyncio.sleep(0.01)

    working = asyncio.create_task(work())
    try:
        yield
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def states(database: Database, table: str = "dead_letters") -> dict[str, int]:
    async with database.connection("test") as connection:
        rows = await connection.fetch(f"select state, count(*) as count from economic.{table} group by state")
    return {row["state"]: row["count"] for row in rows}


async def letters(database: Database, ids: Sequence[UUID]) -> list[DeadLetter]:
    async with database.connection("test") as connection:
        return await dead_letters.search(connection, ids=ids, state=None)
