"""Counting at the end: every request one outcome, every synced invoice one draft, every answer on its way.

An answer whose confirm a kill has swallowed stays in the outbox until its lease is over, and is then sent once more
under the same id. One that stays for good is lost, whatever else was heard.
"""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

import asyncpg

from tests.chaos.answers import ENDS
from tests.chaos.run import Run, revive


@dataclass(frozen=True)
class Verdict:
    """Figures of a run. ``lost`` and ``double`` count requests and invoices; both must be 0."""

    sent: int
    outcomes: int
    lost: int
    double: int
    detail: dict[str, Any]


async def settle(run: Run) -> None:
    """Without further faults, wait until every request has its end and no answer waits to be sent; bounded."""
    deadline = time.monotonic() + run.plan.settle_s
    while time.monotonic() < deadline:
        await revive(run)
        if all(run.answers.ends.get(event_id) for event_id in run.sent) and not await _unsent(run):
            return
        await asyncio.sleep(0.5)


async def judge(run: Run) -> Verdict:
    """Compare what was sent with answers, inbox and e-conomic."""
    several = {
        event_id: sorted(run.answers.ends[event_id].values())
        for event_id, event in run.sent.items()
        if len([kind for kind in run.answers.ends.get(event_id, {}).values() if kind in ENDS[event.type]]) > 1
    }
    unanswered = [event_id for event_id in run.sent if not run.answers.ends.get(event_id)]
    invoices = {event.data["invoice"]["id"]: event for event in run.sent.values() if "invoice" in event.data}
    drafts = _drafts(run)
    synced = {
        invoice_id
        for invoice_id, event in invoices.items()
        if "economic.invoice.synced" in run.answers.ends.get(event.id, {}).values()
    }
    doubled = [invoice_id for invoice_id, count in drafts.items() if count > 1]
    missing = [invoice_id for invoice_id in synced if not drafts[invoice_id]]
    unclaimed = [
        invoice_id
        for invoice_id, count in drafts.items()
        if count and invoice_id in invoices and invoice_id not in synced
    ]
    unsent = await _unsent(run)
    return Verdict(
        sent=len(run.sent),
        outcomes=sum(1 for event_id in run.sent if run.answers.ends.get(event_id)),
        lost=len(unanswered) + len(missing) + len(unclaimed) + sum(unsent.values()),
        double=len(several) + len(doubled),
        detail={
            "outcomes": Counter(kind for ends in run.answers.ends.values() for kind in ends.values()),
            "invoices_accepted": len(synced),
            "drafts": sum(drafts[invoice_id] for invoice_id in invoices),
            "unanswered": [
                (event_id, run.sent[event_id].type, run.sent[event_id].workspace) for event_id in unanswered
            ][:10],
            "several_outcomes": dict(list(several.items())[:10]),
            "doubled": doubled[:10],
            "synced_without_draft": missing[:10],
            "draft_without_synced": unclaimed[:10],
            "unsent": unsent,
            **await _states(run),
        },
    )


def _drafts(run: Run) -> Counter[str]:
    counted: Counter[str] = Counter()
    for agreement in run.sandbox.agreements:
        for document in [*agreement.drafts, *agreement.booked]:
            if (document.other or "").startswith("Pike "):
                counted[(document.other or "").removeprefix("Pike ")] += 1
    return counted


async def _unsent(run: Run) -> dict[str, int]:
    """Return how many answers of which kind wait for a confirm; those that no queue is bound to are left out."""
    connection = await asyncpg.connect(run.servers.database_url)
    try:
        rows = await connection.fetch(
            "select type, count(*)::int as n from economic.outbox where not unheard group by type"
        )
    finally:
        await connection.close()
    return {row["type"]: row["n"] for row in rows}


async def _states(run: Run) -> dict[str, Any]:
    connection = await asyncpg.connect(run.servers.database_url)
    try:
        inbox = await connection.fetch("select state, count(*)::int as n from economic.inbox group by state")
        causes = await connection.fetch("select cause, count(*)::int as n from economic.dead_letters group by cause")
    finally:
        await connection.close()
    return {
        "inbox": {row["state"]: row["n"] for row in inbox},
        "dead_letters": {row["cause"]: row["n"] for row in causes},
    }
