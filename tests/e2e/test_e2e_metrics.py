"""What /metrics and the health pages say while a worker works."""

import re
from collections.abc import AsyncIterator

import aiohttp
import pytest
from harness import WORKSPACE, Harness
from prometheus_client.parser import text_string_to_metric_families
from support import eventually
from test_push_walk import CREATED, FAILED, SYNCED, linked

from worker.ops.app import serving
from worker.ops.figures import PREFIX, TABLE
from worker.runtime.reconcile import reconcile
from worker.store.figures import note_verdict


@pytest.fixture
async def address(running: Harness) -> AsyncIterator[str]:
    async with serving(running.worker, "127.0.0.1", 0) as address:
        yield address


async def scrape(address: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    async with aiohttp.ClientSession() as session, session.get(f"{address}/metrics") as answer:
        assert answer.status == 200
        text = await answer.text()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def grown(before: dict[object, float], after: dict[object, float], name: str, **labels: str) -> float:
    key = (name, tuple(sorted(labels.items())))
    return after.get(key, 0.0) - before.get(key, 0.0)


@pytest.mark.requirement("B2", "B17")
async def test_an_invoice_and_a_failure_are_seen_in_the_metrics(running: Harness, address: str) -> None:
    before = await scrape(address)
    request = await linked(running)
    assert (await running.request(CREATED, {"invoice": request}, SYNCED, FAILED)).type == SYNCED
    await running.refresh("product", external_number="none")
    failing = {**request, "id": "b0c0c0c0-0000-4000-8000-000000000001", "currency": "XXX"}
    failing["lines"] = [{**request["lines"][0], "id": "b0c0c0c0-0000-4000-8000-000000000002"}]
    assert (await running.request(CREATED, {"invoice": failing}, SYNCED, FAILED)).type == FAILED
    database = running.worker.dispatcher.database
    proof = await reconcile(database, running.worker.dispatcher.client, running.worker.dispatcher.vault)
    async with database.transaction("test") as connection:
        await note_verdict(connection, proof.lost, proof.double)
    async with serving(running.worker, "127.0.0.1", 0) as fresh:
        after = await scrape(fresh)
    consumed = "messaging_client_consumed_messages_total"
    assert grown(before, after, consumed, lane="work", event_type=CREATED, outcome="synced") == 1
    assert grown(before, after, consumed, lane="work", event_type=CREATED, outcome="dead") == 1
    assert grown(before, after, "messaging_process_duration_seconds_count", lane="work", event_type=CREATED) == 2
    assert grown(before, after, "pike_economic_critical_time_seconds_count", event_type=CREATED) == 2
    assert grown(before, after, "messaging_client_sent_messages_total", result="confirmed") >= 3
    calls = {key: value for key, value in after.items() if key[0] == "pike_economic_api_calls_total"}
    assert sum(calls.values()) > 3
    dead = [value for key, value in after.items() if key[0] == "pike_economic_dead_letters"]
    assert sum(dead) == 2
    assert (after["pike_economic_reconcile_lost", ()], after["pike_economic_reconcile_double", ()]) == (0, 0)
    assert after["pike_economic_consumer_attached", (("lane", "work"),)] == 1


async def test_nothing_that_names_somebody_is_in_a_label(running: Harness, address: str) -> None:
    await running.import_all()
    async with aiohttp.ClientSession() as session, session.get(f"{address}/metrics") as answer:
        text = await answer.text()
    labels = set(re.findall(r'(?<!le)="([^"]*)"', text))
    assert WORKSPACE not in labels
    assert str(running.agreement.number) not in labels
    assert not [label for label in labels if re.search(r"\d{4,}", label)]
    for name in TABLE:
        assert f"# TYPE {PREFIX}{name} gauge" in text


async def test_health_says_what_works(running: Harness, address: str) -> None:
    await eventually(running.worker.broker.healthy)
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{address}/health/live") as live:
            assert (live.status, await live.json()) == (200, {"live": True})
        async with session.get(f"{address}/health/ready") as ready:
            assert (ready.status, await ready.json()) == (200, {"ready": True, "broker": True, "database": True})
