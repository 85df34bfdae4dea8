"""What must be true when a run is over, whatever happened in it."""

import json
from collections import Counter, defaultdict

from tests.simulation.cluster import Cluster
from tests.simulation.scenario import Published

SYNCED = "economic.invoice.synced"
FAILED = "economic.invoice.sync_failed"
REFUSED = "economic.change.refused"


def settled(cluster: Cluster) -> bool:
    """Whether nothing is left to do, and nobody is left who may wake up and do it again."""
    if any(process.paused and process.alive for process in cluster.processes):
        return False
    tables = cluster.postgres.tables
    open_events = any(row["state"] not in ("done", "dead") for row in tables.rows("inbox"))
    waiting = tables.rows("outbox") or tables.rows("overflow")
    return not open_events and not waiting and cluster.broker.idle()


def check(cluster: Cluster) -> None:
    """Note every promise that was broken."""
    _nothing_stuck(cluster)
    answers = _answers(cluster)
    rows = {(row["source"], row["event_id"]): row for row in cluster.postgres.tables.rows("inbox")}
    letters = Counter((row["event_id"], row["cause"]) for row in cluster.postgres.tables.rows("dead_letters"))
    for message in {each.event_id: each for each in cluster.scenario.messages if each.kind != "conflict"}.values():
        row = rows.get(("/pike", message.event_id))
        if message.kind == "unreadable":
            if sum(letters.values()) == 0:
                cluster.world.violated("the unreadable message is nowhere")
        elif row is None:
            cluster.world.violated(f"event {message.event_id} was lost")
        else:
            _answered_once(cluster, message, row["state"], row["outcome"], answers[message.event_id])
            _one_letter(cluster, message, row["state"], letters)
    _conflicts(cluster, letters)
    _at_most_one(cluster)


def _nothing_stuck(cluster: Cluster) -> None:
    world, tables = cluster.world, cluster.postgres.tables
    for row in tables.rows("inbox"):
        if row["state"] not in ("done", "dead"):
            world.violated(f"event {row['event_id']} is stuck: {row['state']}, {row['attempts']} attempts")
    for row in tables.rows("outbox"):
        world.violated(f"answer {row['type']} was never published: {row['last_error']}")
    if tables.rows("overflow"):
        world.violated(f"{len(tables.rows('overflow'))} messages are stuck in the overflow")
    if not cluster.broker.idle():
        world.violated("messages are stuck at the broker")


def _answers(cluster: Cluster) -> dict[str, Counter[str]]:
    """Return per request the types of its answers; the same message id twice is one answer."""
    seen: set[str] = set()
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for message_id, kind, body in cluster.broker.heard:
        event = json.loads(body)
        if message_id not in seen and kind in (SYNCED, FAILED, REFUSED):
            seen.add(message_id)
            found[event.get("correlationid", "")][kind] += 1
    return found


def _answered_once(cluster: Cluster, message: Published, state: str, outcome: str | None, heard: Counter[str]) -> None:
    if message.kind == "invoice":
        expected = Counter({SYNCED if state == "done" else FAILED: 1})
    else:
        expected = Counter({REFUSED: 1}) if state == "dead" or outcome == "refused" else Counter()
    if heard != expected:
        told = dict(heard) or "nothing"
        cluster.world.violated(f"event {message.event_id} is {state} ({outcome}); Pike heard {told}")


def _one_letter(cluster: Cluster, message: Published, state: str, letters: Counter[tuple[str, str]]) -> None:
    own = sum(n for (event, cause), n in letters.items() if event == message.event_id and cause != "conflicting_event")
    if own != (state == "dead"):
        cluster.world.violated(f"event {message.event_id} is {state} and has {own} dead letters")


def _conflicts(cluster: Cluster, letters: Counter[tuple[str, str]]) -> None:
    """Of two bodies with one id the first is acted on; the other is kept for a person, once."""
    for message in cluster.scenario.messages:
        if message.kind == "conflict" and letters[message.event_id, "conflicting_event"] != 1:
            kept = letters[message.event_id, "conflicting_event"]
            cluster.world.violated(f"the conflicting {message.event_id} has {kept} dead letters")


def _at_most_one(cluster: Cluster) -> None:
    """B1: one document per invoice; "synced" has one, "failed" has none."""
    tables = cluster.postgres.tables
    states = {row["id"]: row for row in tables.rows("invoices")}
    for index, agreement in enumerate(cluster.economic.agreements):
        there = Counter(
            document.body["references"]["other"]
            for documents in (agreement.drafts, agreement.booked)
            for document in documents.values()
        )
        for message in cluster.scenario.messages:
            if message.kind != "invoice" or message.workspace != f"ws-{index + 1}" or message.invoice is None:
                continue
            count, row = there[f"Pike {message.invoice}"], states.get(message.invoice)
            inbox = tables.committed.get("inbox", {}).get(("/pike", message.event_id))
            if count > 1:
                cluster.world.violated(f"invoice {message.invoice} is {count} times in e-conomic")
            if count != 1 and inbox and inbox["state"] == "done":
                cluster.world.violated(f"{message.event_id} is done and e-conomic has {count} invoices of it")
            if count == 1 and row and row["status"] == "failed":
                cluster.world.violated(f"invoice {message.invoice} shows as failed and is in e-conomic")
