"""A message that kills the process: set apart after two deaths, dead after the third, and its neighbours live."""

import pytest
from crash_kit import CrashStage
from e2e_kit import Launch
from harness import harness
from support import eventually
from tcp_proxy import TcpProxy
from walks import for_known_customer

from worker.broker.topology import LANE_QUEUES
from worker.sandbox import Sandbox

REFRESHED = "economic.refresh.completed"
POISON = "push.loaded"
"""The failpoint plays the bug: whoever works on a pushed invoice is killed by it."""


async def refreshes(stage: CrashStage, count: int) -> list[str]:
    """Publish neighbours: harmless requests that take a while."""
    stage.harness.sandbox.faults.latency_s = 0.3
    numbers = [str(c.number) for c in stage.harness.agreement.customers][:count]
    return [
        await stage.harness.publish("pike.refresh.requested", {"entity": "customer", "external_number": number})
        for number in numbers
    ]


@pytest.mark.requirement("B2", "B16")
async def test_a_message_that_kills_the_process_ends_as_a_dead_letter_and_its_neighbours_live(
    stage: CrashStage,
) -> None:
    await stage.connect("draft")
    neighbours = await refreshes(stage, 4)
    poison = await for_known_customer(stage)
    for _ in range(3):  # side by side twice, then alone
        await stage.dies(stage.start(dies_at=POISON))
        await stage.later()
    worker = stage.start(dies_at=POISON)
    failed = await stage.harness.answer(poison, "economic.invoice.sync_failed")
    for request in neighbours:
        await stage.harness.answer(request, REFRESHED)
    await stage.quiet()
    await stage.stops(worker)
    assert failed.data.problem.cause.value == "killed_the_process"
    assert "3 times" in failed.data.problem.user_message
    letters = await stage.harness.rows("select event_id, lane, cause from economic.dead_letters")
    assert letters == [{"event_id": poison, "lane": "solo", "cause": "killed_the_process"}]
    assert [len({e.id for e in stage.harness.answers(request, REFRESHED)}) for request in neighbours] == [1] * len(
        neighbours
    )


@pytest.mark.requirement("B1", "B16")
async def test_a_harmless_message_that_died_twice_with_others_is_done_alone(stage: CrashStage) -> None:
    await stage.connect("draft")
    request = await for_known_customer(stage)
    for _ in range(2):
        await stage.dies(stage.start(dies_at=POISON))
        await stage.later()
    worker = stage.start()
    await stage.harness.answer(request, "economic.invoice.synced")
    await stage.quiet()
    await stage.stops(worker)
    assert '"lane": "solo"' in stage.log()
    assert await stage.harness.value("select count(*) from economic.dead_letters") == 0


@pytest.mark.requirement("B2")
async def test_redeliveries_of_a_lost_connection_are_no_deaths(
    amqp_url: str, migrated_database_url: str, sandbox: Sandbox
) -> None:
    async with TcpProxy(amqp_url) as proxy, harness(proxy.url, migrated_database_url, sandbox) as running:
        await running.connect()
        slow = sandbox.add_fault("delay", path="/customers/", seconds=1.5)
        number = str(next(iter(running.agreement.customers)).number)
        request = await running.publish("pike.refresh.requested", {"entity": "customer", "external_number": number})
        for round_ in range(1, 4):
            await eventually(lambda: slow.struck >= 1, message="in work")
            before = proxy.accepted
            proxy.cut()
            await eventually(lambda before=before: proxy.accepted > before, message=f"connected again, round {round_}")
        await eventually(lambda: _done(running), timeout_s=30, message="done")
        outcomes = running.worker.dispatcher.tally.outcomes
        assert "set apart" not in outcomes
        assert "dead" not in outcomes
        rows = await running.rows("select state, attempts from economic.inbox where event_id = $1", request)
        assert rows == [{"state": "done", "attempts": 1}]


async def _done(running: object) -> bool:
    return bool(await running.value("select bool_and(state = 'done') from economic.inbox"))  # type: ignore[attr-defined]


@pytest.mark.requirement("B16")
async def test_work_that_is_broken_off_by_a_stop_is_handed_back_at_once(
    launch: Launch, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.runtime.lifecycle.DRAIN_S", 0.1)
    hanging = sandbox.add_fault("hang", path="/customers/", seconds=60.0)
    async with launch() as running:
        await running.connect()
        number = str(next(iter(running.agreement.customers)).number)
        request = await running.publish("pike.refresh.requested", {"entity": "customer", "external_number": number})
        await eventually(lambda: hanging.struck >= 1, message="in work")
    sandbox.faults.clear()
    async with launch() as other:
        await other.answer(request, REFRESHED)
        rows = await other.rows("select attempts, fence from economic.inbox where event_id = $1", request)
        assert rows == [{"attempts": 1, "fence": 2}]


@pytest.mark.requirement("B3")
async def test_tries_that_failed_are_no_deaths(launch: Launch, sandbox: Sandbox) -> None:
    async with launch(max_attempts="5", wait_ladder_s="0.2,0.5") as running:
        await running.connect()
        sandbox.add_fault("status", path="/customers", status=502)
        request = await running.publish("pike.refresh.requested", {"entity": "customer", "external_number": "1"})
        answer = await running.answer(request, "economic.refresh.failed", timeout_s=60)
        assert answer.data.problem.cause.value == "economic_unavailable"
        assert "set apart" not in running.worker.dispatcher.tally.outcomes
        letters = await running.rows("select attempts, lane from economic.dead_letters")
        assert letters == [{"attempts": 5, "lane": "work"}]


async def test_a_dead_letter_of_the_solo_lane_is_replayed_there(stage: CrashStage) -> None:
    """Whoever sends it again has not proved it harmless."""
    from worker.runtime.replay import message_of
    from worker.store import dead_letters

    await stage.connect("draft")
    await for_known_customer(stage)
    for _ in range(3):
        await stage.dies(stage.start(dies_at=POISON))
        await stage.later()
    worker = stage.start(dies_at=POISON)
    await eventually(lambda: _letters(stage, 1), timeout_s=30)
    await stage.stops(worker)
    async with stage.harness.worker.dispatcher.database.connection("test") as connection:
        (letter,) = await dead_letters.search(connection)
    assert message_of(letter, letter.body).routing_key == LANE_QUEUES["solo"]  # type: ignore[index]


async def _letters(stage: CrashStage, count: int) -> bool:
    return bool(await stage.harness.value("select count(*) from economic.dead_letters") == count)
