"""Real processes that are paused, stopped under load, and replaced one after the other."""

import asyncio
import signal

import pytest
from crash_kit import CrashStage
from support import eventually
from walks import SYNCED, fixed, for_known_customer

REFRESH, REFRESHED = "pike.refresh.requested", "economic.refresh.completed"


async def refreshes(stage: CrashStage, count: int) -> list[str]:
    """Publish so many refreshes, over and over the same customers."""
    numbers = [str(c.number) for c in stage.harness.agreement.customers if not c.barred]
    return [
        await stage.harness.publish(REFRESH, {"entity": "customer", "external_number": numbers[n % len(numbers)]})
        for n in range(count)
    ]


async def assert_each_answered_once(stage: CrashStage, requests: list[str]) -> None:
    for request in requests:
        await stage.harness.answer(request, REFRESHED, timeout_s=60)
    await stage.quiet()
    assert [len({e.id for e in stage.harness.answers(request, REFRESHED)}) for request in requests] == [1] * len(
        requests
    )
    assert await stage.harness.value("select count(*) from economic.dead_letters") == 0


@pytest.mark.requirement("B1", "B16")
async def test_a_paused_process_that_wakes_after_its_lease_writes_nothing(stage: CrashStage) -> None:
    await stage.connect("draft")
    answering = stage.harness.sandbox.add_fault("delay", method="POST", path="/invoices/drafts$", seconds=0.5, times=1)
    request = await for_known_customer(stage)
    sleeper = stage.start(PIKE_ECONOMIC_PREFETCH_WORK="1")  # it has no room for the copy
    await eventually(lambda: answering.struck == 1, timeout_s=20, message="the call is under way")
    sleeper.send(signal.SIGSTOP)
    await eventually(lambda: len(stage.harness.agreement.find_drafts(f"Pike {fixed('invoice')}")) == 1)
    await stage.later()
    other = stage.start()
    async with (
        stage.harness.pike() as connection
    ):  # the broker hands the sleeper's delivery to nobody while it holds it
        event = await connection.fetchrow("select body, type from economic.inbox")
    await stage.harness.publish_raw(bytes(event["body"]), routing_key=event["type"], message_id=request)
    await stage.harness.answer(request, SYNCED)
    sleeper.send(signal.SIGCONT)
    await eventually(lambda: '"outcome": "fenced"' in stage.log(), timeout_s=20, message="the sleeper was fenced")
    await stage.quiet()
    await stage.stops(sleeper)
    await stage.stops(other)
    assert len({e.id for e in stage.harness.answers(request, SYNCED)}) == 1
    assert len(stage.harness.agreement.find_drafts(f"Pike {fixed('invoice')}")) == 1


@pytest.mark.requirement("B2", "B16")
async def test_sigterm_under_load_finishes_or_hands_back_and_ends_in_order(stage: CrashStage) -> None:
    await stage.connect("draft")
    stage.harness.sandbox.faults.latency_s = 0.1
    requests = await refreshes(stage, 120)
    first = stage.start()
    await eventually(lambda: _some_done(stage), timeout_s=20, message="under load")
    first.send(signal.SIGTERM)
    assert await first.ended(20.0) == 0
    stage.started.remove(first)
    left = await stage.harness.rows("select state from economic.inbox where state = 'running'")
    assert left == [], "nobody has to wait for a lease"
    second = stage.start()
    await assert_each_answered_once(stage, requests)
    await stage.stops(second)


@pytest.mark.requirement("B2", "B16")
async def test_a_rolling_deploy_under_load_answers_everything_once(stage: CrashStage) -> None:
    await stage.connect("draft")
    stage.harness.sandbox.faults.latency_s = 0.05
    old = [stage.start(), stage.start()]
    publishing = asyncio.create_task(refreshes(stage, 150))
    new = []
    for process in old:  # never without anybody, and for a while both side by side
        new.append(stage.start())
        await stage.consumed_by(3)
        await stage.stops(process)
    await assert_each_answered_once(stage, await publishing)
    for process in new:
        await stage.stops(process)


async def _some_done(stage: CrashStage) -> bool:
    return bool(await stage.harness.value("select count(*) >= 5 from economic.inbox where state = 'done'"))
