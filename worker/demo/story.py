"""The story that ``make demo`` tells: connect, import, refresh, push, lock, a failure explained, replay, a lost answer.

Every figure is compared with the other side: Pike's rows with the local e-conomic's own state, and the reverse.
"""

import asyncio
import contextlib
from typing import Any

from worker.demo.claims import Story
from worker.demo.importing import tell_import
from worker.demo.pike import Pike
from worker.demo.pushing import tell_failure, tell_lost_answer, tell_push
from worker.demo.stack import Stack, stack
from worker.sandbox import SeedSize
from worker.telemetry.logging import configure

WORKSPACE = "acme"
SIZE = SeedSize(customers=2000, products=1000, invoices=5000, drafts=20, lines_per_invoice=3)


async def tell() -> int:
    """Tell the whole story on a private stack. Returns the exit code."""
    configure(level="WARNING")
    story = Story()
    story.step("A private stack: RabbitMQ, Postgres, a local e-conomic, one worker")
    async with stack(SIZE, story.say) as running:
        story.claim("the worker answers /health/ready", True, f"servers: {running.servers.how}")
        pike = Pike(running, WORKSPACE)
        ready = asyncio.Event()
        listener = asyncio.create_task(pike.listen(ready))
        await ready.wait()
        try:
            await _connect(story, pike, running)
            await tell_import(story, pike, running)
            await _refresh(story, pike, running)
            invoice = await tell_push(story, pike, running)
            await tell_failure(story, pike, running, invoice)
            await tell_lost_answer(story, pike, running, invoice)
            await _all_is_quiet(story, pike)
        finally:
            listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listener
    return story.finish()


async def _connect(story: Story, pike: Pike, running: Stack) -> None:
    story.step("A finance admin connects the agreement")
    agreement = running.sandbox.agreements[0]
    made = await pike.command_json(
        "connect", "--workspace", WORKSPACE, "--grant-token", "-", stdin=agreement.grant_token + "\n"
    )
    await pike.wait_for_type("economic.connection.established")
    story.equal("agreement number, asked with the grant", str(made["agreement_number"]), str(agreement.number))
    story.say(f"{made['company_name']}, base currency {made['base_currency']}")
    sealed = await pike.value(
        "select position($1::bytea in grant_sealed) from economic.connections", agreement.grant_token.encode()
    )
    story.claim("the grant token lies encrypted in the database", sealed == 0, "its text is not in the row")


async def _refresh(story: Story, pike: Pike, running: Stack) -> None:
    story.step("Refresh: a price changes in e-conomic, somebody presses Refresh in Pike")
    agreement = running.sandbox.agreements[0]
    number = next(p.number for p in agreement.products if not p.barred)
    before = await pike.value("select price from pike.products where external_number = $1", number)
    agreement.hooks.by_type.pop("PRODUCT_UPDATED", None)  # else the webhook brings the price before anybody presses
    agreement.set_price(number, before + 100)
    others = """select md5(string_agg(p::text, ',' order by id)) from pike.products p
                where external_number is distinct from $1"""
    untouched = await pike.value(others, number)
    answer = await pike.command_json("refresh", "--workspace", WORKSPACE, "product", number)
    changes = {change["field"]: (change["old"], change["new"]) for change in answer["changes"]}
    story.claim("what changed is told", "price" in changes, f"product {number}: {_told(changes)}")
    story.equal(
        "the new price is in Pike",
        await pike.value("select price from pike.products where external_number = $1", number),
        agreement.products[number].sales_price,
    )
    story.claim("no other product was touched (R13)", await pike.value(others, number) == untouched, "same fingerprint")


def _told(changes: dict[str, Any]) -> str:
    return ", ".join(f"{field} {old} → {new}" for field, (old, new) in changes.items())


async def _all_is_quiet(story: Story, pike: Pike) -> None:
    story.step("Afterwards")
    status = await pike.command_json("status")
    unfinished = sum(row["count"] for row in status["inbox"])
    story.equal("events unfinished", unfinished, 0)
    story.equal("answers not yet published", status["outbox"]["count"], 0)
    story.equal("open dead letters", sum(row["count"] for row in status["dead_letters"]), 0)
    proof = await pike.command_json("reconcile")
    pushed = proof["invoices"][0]
    story.equal(
        "invoices pushed, and found in e-conomic by their reference", pushed["in_ledger"], pushed["in_economic"]
    )
    story.claim(
        "the zero-loss proof holds (B2)",
        proof["lost"] == proof["double"] == 0,
        f"{sum(proof['events'].values())} events received, lost {proof['lost']}, double {proof['double']}",
    )
    doctor = await pike.command_json("doctor")
    story.claim("doctor finds nothing", doctor["ok"], f"{len(doctor['checks'])} checks")
    story.say("completion events seen on pike.events:")
    for event_type, count in sorted(pike.counted().items()):
        story.say(f"  {count:>4}  {event_type}")
