"""One workspace floods the queue; the others do not notice, and every event of the flood ends exactly once."""

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from e2e_kit import Launch
from harness import WORKSPACE, Harness
from support import eventually

from events.envelope import Envelope
from worker.run import Run
from worker.runtime.shares import PATIENT

FLOOD = 400
REFRESH = "pike.refresh.requested"
COMPLETED = "economic.refresh.completed"


class Dam:
    """Holds back every request of one type by the flooding workspace until it is opened."""

    def __init__(self, running: Harness, event_type: str = REFRESH) -> None:
        self.open = asyncio.Event()
        dispatcher = running.worker.dispatcher
        real = dispatcher.handlers[event_type]

        async def handle(event: Envelope[Any], run: Run) -> None:
            if event.workspace_id == WORKSPACE:
                await self.open.wait()
            await real.handle(event, run)

        dispatcher.handlers = {**dispatcher.handlers, event_type: replace(real, handle=handle)}


async def flood(running: Harness, number: str, count: int = FLOOD) -> list[str]:
    data = {"entity": "product", "external_number": number}
    return list(await asyncio.gather(*(running.publish(REFRESH, data) for _ in range(count))))


async def waiting(running: Harness) -> int:
    count: int = await running.value("select count(*) from economic.overflow where workspace_id = $1", WORKSPACE)
    return count


async def ended(running: Harness, ids: list[str]) -> bool:
    answered = {event.correlation_id for event in running.heard if event.type == COMPLETED}
    assert set(ids) <= answered, f"{len(set(ids) - answered)} to go"
    return True


async def assert_once(running: Harness, ids: list[str], *, broken_off: bool = False) -> None:
    """Each request has one answer and took one attempt; ``broken_off``: an ending worker handed some back."""
    answers = Counter(
        event.correlation_id for event in {e.id: e for e in running.heard}.values() if event.type == COMPLETED
    )
    assert {answers[event_id] for event_id in ids} == {1}
    rows = await running.rows("select event_id, state, attempts, snoozes from economic.inbox where type = $1", REFRESH)
    flooded = {row["event_id"]: row for row in rows if row["event_id"] in set(ids)}
    assert {(row["state"], row["attempts"]) for row in flooded.values()} == {("done", 1)}
    assert {row["snoozes"] for row in flooded.values()} <= ({0, 1} if broken_off else {0})
    assert len(flooded) == len(ids)
    await eventually(lambda: nothing_waits(running))


async def nothing_waits(running: Harness) -> bool:
    assert await waiting(running) == 0
    return True


def numbers(running: Harness) -> tuple[str, str]:
    first, second = [product.number for product in running.agreement.products if not product.barred][:2]
    return first, second


@pytest.mark.requirement("B9")
async def test_others_come_through_while_the_flood_waits_and_the_flood_ends_exactly_once(
    running: Harness,
) -> None:
    slow, quick = numbers(running)
    await running.connect("ws-small")
    dam = Dam(running)
    ids = await flood(running, slow)
    answer = await running.request(
        REFRESH, {"entity": "product", "external_number": quick}, COMPLETED, workspace="ws-small"
    )
    assert answer.workspace_id == "ws-small"
    assert not [event for event in running.heard if event.correlation_id in set(ids)], "the flood stands still"
    state = await running.worker.broker.verify()
    assert {queue.name: queue.messages for queue in state.queues}["pike-economic.work"] == 0
    limit = running.settings.prefetch_work
    assert await waiting(running) >= FLOOD - limit - PATIENT - limit // 2
    dam.open.set()
    await eventually(lambda: ended(running, ids), timeout_s=60)
    await assert_once(running, ids)


@pytest.mark.requirement("B9")
async def test_the_overflow_outlives_its_worker_and_several_share_it(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with launch(prefetch_work="5") as first:
        await first.connect()
        slow, _ = numbers(first)
        Dam(first)
        ids = await flood(first, slow)
        await eventually(lambda: set_aside(first))
        monkeypatch.setattr("worker.runtime.lifecycle.DRAIN_S", 0.1)
    async with launch(prefetch_work="5") as second, launch(prefetch_work="5") as third:
        await eventually(lambda: ended(second, ids), timeout_s=60)
        await assert_once(second, ids, broken_off=True)
        done = [each.worker.dispatcher.tally.outcomes.get("refreshed", 0) for each in (second, third)]
        assert all(done), f"both worked on it: {done}"


async def set_aside(running: Harness) -> bool:
    assert await waiting(running) > FLOOD / 2
    return True


async def test_a_message_that_cannot_be_set_aside_waits_for_its_turn(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = 0

    async def refuse(*_: object) -> None:
        nonlocal refused
        refused += 1
        raise ValueError("not this one")

    monkeypatch.setattr("worker.store.overflow.put", refuse)
    async with launch(prefetch_work="5") as running:
        await running.connect()
        number, _ = numbers(running)
        ids = await flood(running, number, 150)
        await eventually(lambda: ended(running, ids), timeout_s=60)
        await assert_once(running, ids)
    assert refused > 0


async def test_a_failing_event_of_the_overflow_is_tried_again_and_ends(launch: Launch) -> None:
    async with launch(prefetch_work="1") as running:
        await running.connect()
        slow, _ = numbers(running)
        ids = await flood(running, slow, 30)
        refused = await running.publish(REFRESH, {"entity": "product", "external_number": "none"})
        running.sandbox.add_fault("status", status=500, path="/products", times=3)
        await eventually(lambda: ended(running, ids), timeout_s=60)
        answer = await running.answer(refused, "economic.refresh.failed")
        assert answer.data.problem.cause == "not_found"
        await eventually(lambda: nothing_waits(running))


@pytest.mark.requirement("B9")
async def test_a_flood_of_imports_does_not_hold_up_those_of_others(launch: Launch) -> None:
    requested = "pike.import.requested"
    async with launch(prefetch_bulk="1") as running:
        await running.connect()
        await running.connect("ws-small")
        dam = Dam(running, requested)
        ids = [await running.publish(requested, {"entities": ["products"]}) for _ in range(30)]
        answer = await running.import_all("products", workspace="ws-small")
        assert answer.type == "economic.import.completed"
        assert await waiting(running) >= 20
        dam.open.set()
        for event_id in ids:
            await running.answer(event_id, "economic.import.completed", "economic.import.failed", timeout_s=60)
