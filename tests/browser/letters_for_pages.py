"""Dead letters for the tests of pages: made by a worker from events that fail, or written as a worker writes them."""

import json
from typing import Any
from uuid import UUID, uuid4

from browser_kit import Site
from harness import WORKSPACE

from worker.runtime.identity import meaning
from worker.store import dead_letters
from worker.store.dead_letters import NewLetter

FAILED, SYNCED = "economic.invoice.sync_failed", "economic.invoice.synced"
LONG_WORKSPACE = "w" * 900
LONG = "Very long text without any end " * 40 + "x" * 3000
EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'; drop table economic.dead_letters; --{{ 7*7 }}"
BARRED = {
    "cause": "product_barred",
    "user_message": "Line 1: product 7 is barred in e-conomic.",
    "remedy": "Unbar the product in e-conomic, or choose another one. Then replay the letter.",
    "fields": ["lines[0].product"],
    "economic": {"error_code": "E06600", "property": "ProductNumber", "log_id": "log-1"},
    "final": True,
}


async def barred_invoice(site: Site) -> tuple[str, str, str]:
    """Send an invoice with a barred product; returns the ids of its letter, of the product and of the invoice."""
    running = site.running
    product = next(p for p in running.agreement.products if not p.barred)
    number = next(c.number for c in running.agreement.customers if not c.barred and c.currency == "DKK")
    customer = await running.value("select id from pike.customers where external_number = $1", str(number))
    known = await running.value("select id from pike.products where external_number = $1", product.number)
    running.agreement.bar_product(product.number)
    invoice = {
        "id": str(uuid4()), "title": "Website, November", "customer_id": str(customer), "issue_date": "2026-11-23",
        "currency": "DKK", "lines": [{"id": str(uuid4()), "product_id": str(known), "description": "Design",
                                      "quantity": "3.00", "unit_price": "153.44"}],
    }  # fmt: skip
    await running.request("pike.invoice.created", {"invoice": invoice}, FAILED)
    letter = await running.value("select id from economic.dead_letters where state = 'open'")
    return str(letter), product.number, invoice["id"]


async def bury(
    site: Site, *, title: str = "Website", problem: dict[str, Any] = BARRED, data: dict[str, Any] | None = None,
    workspace: str = WORKSPACE, body: bytes | None = None, **fields: Any,
) -> UUID:  # fmt: skip
    """Write a dead letter with its dead inbox row, as a worker does. Replayed, it ends as not connected."""
    from events.codec import decode

    invoice = {"id": str(uuid4()), "title": title, "customer_id": str(uuid4()), "issue_date": "2026-11-23",
               "currency": "DKK", "lines": [{"id": str(uuid4()), "description": "Thanks", "quantity": "0",
                                             "unit_price": "0"}]}  # fmt: skip
    event = {
        "specversion": "1.0", "id": str(uuid4()), "source": "/pike/tests", "type": "pike.invoice.created",
        "workspaceid": workspace[:64], "datacontenttype": "application/json", "data": data or {"invoice": invoice},
    }  # fmt: skip
    raw = body or json.dumps(event).encode()
    parsed = decode(json.dumps(event).encode(), {}, "application/cloudevents+json")
    letter = NewLetter(
        **{
            "lane": "work", "body": raw, "cause": problem["cause"], "problem": problem, "received_at": None,
            "source": parsed.source, "event_id": parsed.id, "type": parsed.type, "workspace_id": workspace,
            "content_type": "application/cloudevents+json", "attempts": 1,
            "history": [{"at": "2026-11-29T05:00:00+00:00", "error": "Refused", "cause": problem["cause"],
                         "detail": problem["user_message"], "next": "dead", "ended": 0}],
            **fields,
        }
    )  # fmt: skip
    async with site.running.worker.dispatcher.database.transaction("test") as connection:
        letter_id = await dead_letters.insert(connection, letter)
        await connection.execute(
            """insert into economic.inbox (source, event_id, type, workspace_id, lane, body_hash, state, outcome)
               values ($1, $2, $3, $4, 'work', $5, 'dead', $6)""",
            parsed.source, parsed.id, parsed.type, parsed.workspace_id, meaning(parsed), problem["cause"],
        )  # fmt: skip
    return letter_id
