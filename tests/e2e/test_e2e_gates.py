"""One sick agreement is held and others do not notice; a budget that is used up is waited for; no attempt is spent."""

from typing import Any

import pytest
from e2e_kit import Launch
from harness import WORKSPACE, Harness
from support import eventually

from worker.runtime import budget, gatekeeper
from worker.sandbox import Agreement, Sandbox

OTHER = "ws-other"
COMPLETED = "economic.refresh.completed"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short cool-downs."""
    monkeypatch.setattr(gatekeeper, "COOLDOWN_S", 0.5)
    monkeypatch.setattr(gatekeeper, "LONGEST_S", 1.0)
    monkeypatch.setattr(gatekeeper, "WAIT_FOR_PROBE_S", 0.3)


def number_of(agreement: Agreement) -> str:
    return next(product.number for product in agreement.products if not product.barred)


async def ask(running: Harness, agreement: Agreement, workspace: str, count: int) -> list[str]:
    """Publish refreshes of one product; returns the event ids."""
    data = {"entity": "product", "external_number": number_of(agreement)}
    return [await running.publish("pike.refresh.requested", data, workspace=workspace) for _ in range(count)]


def done(running: Harness, events: list[str]) -> int:
    return sum(1 for event in events if running.answers(event, COMPLETED))


async def inbox(running: Harness, events: list[str]) -> list[dict[str, Any]]:
    return await running.rows(
        "select attempts, snoozes, state from economic.inbox where event_id = any($1::text[])", events
    )


@pytest.mark.requirement("B9", "B1")
async def test_an_agreement_that_fails_is_held_while_another_goes_on_and_nothing_is_given_up(
    running: Harness, sandbox: Sandbox
) -> None:
    second = sandbox.add_agreement(seed=5)
    await running.connect(OTHER, agreement=second)
    sandbox.add_fault("status", status=500, agreement=running.agreement.number)
    sick = await ask(running, running.agreement, WORKSPACE, 30)
    await eventually(lambda: held(running, running.agreement.number), timeout_s=30)
    well = await ask(running, second, OTHER, 10)
    await eventually(lambda: done(running, well) == 10, timeout_s=30)
    assert done(running, sick) == 0
    struck = sandbox.faults.counts.total()
    await eventually(lambda: snoozed(running, sick, 30), timeout_s=60)
    assert sandbox.faults.counts.total() - struck < 60, "a held agreement is tried by probes only"
    sandbox.faults.clear()
    await eventually(lambda: done(running, sick) == 30, timeout_s=60)
    assert await running.rows("select 1 from economic.dead_letters") == []
    assert await running.rows("select agreement_number from economic.gates where failures > 0") == []


async def held(running: Harness, agreement: int) -> bool:
    return bool(
        await running.rows("select 1 from economic.gates where agreement_number = $1 and failures >= 5", agreement)
    )


async def snoozed(running: Harness, events: list[str], at_least: int) -> bool:
    return sum(row["snoozes"] for row in await inbox(running, events)) >= at_least


@pytest.mark.requirement("B9")
async def test_what_one_worker_learns_holds_for_the_other(launch: Launch, sandbox: Sandbox) -> None:
    async with launch() as one, launch() as other:
        await one.connect()
        sandbox.add_fault("status", status=503, agreement=one.agreement.number)
        await one.worker.broker.pause()
        events = await ask(one, one.agreement, WORKSPACE, 12)
        await eventually(lambda: held(one, one.agreement.number), timeout_s=30)
        await other.worker.broker.pause()
        sandbox.faults.clear()
        await one.worker.broker.resume()
        await eventually(lambda: done(one, events) == 12, timeout_s=60)
        assert not await held(one, one.agreement.number)


@pytest.mark.requirement("B8")
async def test_a_429_holds_the_agreement_for_as_long_as_e_conomic_says_and_spends_no_attempt(
    running: Harness, sandbox: Sandbox
) -> None:
    second = sandbox.add_agreement(seed=5)
    await running.connect(OTHER, agreement=second)
    warm = await ask(running, running.agreement, WORKSPACE, 1)  # registers are read once
    await eventually(lambda: done(running, warm) == 1)
    sandbox.set_limits(30, 10, running.agreement)  # longer than a call may wait, also on a slow machine
    events = await ask(running, running.agreement, WORKSPACE, 40)
    await eventually(lambda: rate_held(running), timeout_s=30)
    other = await ask(running, second, OTHER, 10)
    await eventually(lambda: done(running, other) == 10, timeout_s=30)
    await eventually(lambda: done(running, events) == 40, timeout_s=90)
    assert {row["attempts"] for row in await inbox(running, events)} == {1}
    assert await running.rows("select 1 from economic.dead_letters") == []


async def rate_held(running: Harness) -> bool:
    return bool(await running.rows("select 1 from economic.gates where held_because = 'rate'"))


@pytest.mark.requirement("B8")
async def test_two_workers_share_one_budget_and_are_not_refused(
    launch: Launch, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "MAX_WAIT_S", 0.2)
    async with launch() as one, launch():
        await one.connect()
        warm = await ask(one, one.agreement, WORKSPACE, 1)
        await eventually(lambda: done(one, warm) == 1)
        sandbox.set_limits(60, 3, one.agreement)
        events = await ask(one, one.agreement, WORKSPACE, 200)
        await eventually(lambda: done(one, events) == 200, timeout_s=90)
        refused = [call for call in sandbox.requests if call.status == 429]
        assert len(refused) <= 12, f"{len(refused)} calls were refused of {len(sandbox.requests)}"
        assert {row["attempts"] for row in await inbox(one, events)} == {1}
