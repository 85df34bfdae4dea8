"""Situations around one invoice: stale look-ups, two workers, clocks that jump, loops that stall, keys that rotate."""

import asyncio
import base64
import time
from datetime import datetime, timedelta
from typing import Any

import pytest
from e2e_kit import Launch, SmallPages
from harness import Harness, harness
from meddler import Meddler
from support import eventually
from test_push_walk import CREATED, FAILED, SYNCED, UNKNOWN, asyncpg_worker, drafts, drafts_posted, linked, row

from worker.clock import SystemClock
from worker.economic.endpoints import EconomicApi
from worker.runtime.replay import replay
from worker.runtime.rotating import rotate_keys
from worker.sandbox import Sandbox
from worker.store import dead_letters


def ends(running: Harness, request: str) -> set[str]:
    """Ids of the events that ended a pushed invoice."""
    return {e.id for e in running.answers(request) if e.type in (SYNCED, FAILED)}


@pytest.mark.requirement("B1", "F13")
@pytest.mark.parametrize("stale_looks", [2, 5], ids=["shorter than the settling time", "longer than it"])
async def test_a_look_up_that_does_not_see_the_draft_yet_makes_no_second_one(
    meddled: Harness, meddler: Meddler, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, stale_looks: int
) -> None:
    settle = "worker.handlers.pushing.ledger.SETTLE_S"
    monkeypatch.setattr(settle, 3600.0)
    looks = 0

    def hide(document: dict[str, Any], query: str) -> None:
        nonlocal looks
        if looks == 2:  # the second run has looked: the settling time ends for the third, however slow this machine is
            monkeypatch.setattr(settle, 0.0)
        if "filter" in query and looks < stale_looks:
            looks += 1
            document["collection"] = []
            document["pagination"]["results"] = 0

    request = await linked(meddled)
    sandbox.add_fault("drop_after", method="POST", path="/invoices/drafts$", times=1)
    meddler.on(r"/invoices/drafts$", hide)
    event_id = await meddled.publish(CREATED, {"invoice": request})
    assert (await meddled.answer(event_id, SYNCED, FAILED)).type == SYNCED
    # each run looks first of all, and again right before it would send
    assert looks == min(stale_looks, 4), "after the second run's the same key and bytes go out again"
    assert len(drafts(meddled.agreement, request)) == 1
    assert len(drafts_posted(sandbox)) == looks // 2, "what is only not visible yet is not sent again"
    assert len({posted.idempotency_key for posted in drafts_posted(sandbox)}) == 1


@pytest.mark.requirement("B1")
async def test_a_run_that_takes_longer_than_its_lease_keeps_it(
    launch: Launch, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for where in ("dispatch", "claiming", "lease"):
        monkeypatch.setattr(f"worker.runtime.{where}.LEASE_S", 0.6)
    monkeypatch.setattr("worker.runtime.lease.LEASE_RENEWAL_S", 0.1)
    monkeypatch.setattr("worker.runtime.lease._LOOK_S", 0.05)
    slow = sandbox.add_fault("delay", method="POST", path="/invoices/drafts$", seconds=2.5)
    async with launch() as running:
        await running.connect()
        request = await linked(running)
        event_id = await running.publish(CREATED, {"invoice": request})
        await eventually(lambda: slow.struck == 1, message="at work")
        await eventually(lambda: _older_than_its_lease(running), message="longer than the lease")
        await running.publish(CREATED, {"invoice": request}, event_id=event_id)
        assert (await running.answer(event_id, SYNCED, FAILED)).type == SYNCED
        fence = await running.value("select fence from economic.inbox where event_id = $1", event_id)
        assert fence == 1, "nobody took it over"


async def _older_than_its_lease(running: Harness) -> bool:
    return bool(await running.value("select now() - received_at > interval '1 s' from economic.inbox"))


@pytest.mark.requirement("B1")
async def test_two_workers_with_one_invoice_make_one_draft_and_one_answer(
    launch: Launch, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.handlers.pushing.ledger.SETTLE_S", 0.5)
    async with launch() as one, launch() as two:
        await one.connect()
        request = await linked(one)
        sandbox.faults.latency_s = 0.05
        event_id = await one.publish(CREATED, {"invoice": request})
        others = [await one.publish(CREATED, {"invoice": request}, event_id=event_id) for _ in range(4)]
        others += [await two.publish(CREATED, {"invoice": request}) for _ in range(3)]
        for each in {event_id, *others}:
            assert (await one.answer(each, SYNCED, FAILED, timeout_s=60)).type == SYNCED
        await eventually(lambda: _all_done(one))
        assert len(drafts(one.agreement, request)) == 1
        assert len(ends(one, event_id)) == 1
        both = [each.worker.dispatcher.tally.outcomes for each in (one, two)]
        assert all(sum(outcomes.values()) for outcomes in both), "both workers had a part in it"


class JumpingClock(SystemClock):
    """A machine whose wall clock is set by hand; its monotonic timer goes on."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead


@pytest.mark.requirement("B1")
@pytest.mark.parametrize("hours", [1, -1])
async def test_a_wall_clock_that_jumps_an_hour_changes_neither_leases_nor_the_keys_hour(
    amqp_url: str, migrated_database_url: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    monkeypatch.setattr("worker.handlers.pushing.ledger.SETTLE_S", 0.3)
    clock = JumpingClock()
    async with harness(amqp_url, migrated_database_url, sandbox, clock=clock) as running:
        await running.connect()
        request = await linked(running)
        sandbox.add_fault("drop_before", method="POST", path="/invoices/drafts$", times=1)
        event_id = await running.publish(CREATED, {"invoice": request})
        await running.answer(event_id, UNKNOWN)
        clock.ahead = timedelta(hours=hours)
        assert (await running.answer(event_id, SYNCED, FAILED)).type == SYNCED
        assert len({posted.idempotency_key for posted in drafts_posted(sandbox)}) == 1
        assert len(drafts(running.agreement, request)) == 1
        await running.publish(CREATED, {"invoice": request}, event_id=event_id)
        await eventually(lambda: running.worker.dispatcher.tally.outcomes.get("duplicate") == 1)
        assert len(ends(running, event_id)) == 1


@pytest.mark.requirement("B1")
async def test_a_stalled_loop_loses_its_lease_and_writes_nothing_after_it(
    launch: Launch, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for where in ("dispatch", "claiming"):
        monkeypatch.setattr(f"worker.runtime.{where}.LEASE_S", 0.3)
    monkeypatch.setattr("worker.handlers.pushing.ledger.SETTLE_S", 0.5)
    create, stalls = EconomicApi.create_draft, []

    async def stalling(api: EconomicApi, *args: Any) -> Any:
        made = await create(api, *args)
        if not stalls:
            stalls.append(time.sleep(1.0))  # noqa: ASYNC251  # the stall is the fault
            await asyncio.sleep(2.0)  # the other copy goes first now
        return made

    monkeypatch.setattr(EconomicApi, "create_draft", stalling)
    async with launch() as running:
        await running.connect()
        request = await linked(running)
        event_id = await running.publish(CREATED, {"invoice": request})
        await running.publish(CREATED, {"invoice": request}, event_id=event_id)
        assert (await running.answer(event_id, SYNCED, FAILED)).type == SYNCED
        await eventually(lambda: running.worker.dispatcher.tally.outcomes.get("fenced") == 1, message="one was fenced")
        assert len(drafts(running.agreement, request)) == 1
        assert len(drafts_posted(sandbox)) == 1
        assert len(ends(running, event_id)) == 1


@pytest.mark.requirement("B1")
async def test_keys_are_rotated_while_an_invoice_is_on_its_way(
    launch: Launch, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.handlers.pushing.ledger.SETTLE_S", 0.3)
    old, new = (f"{name}:{base64.b64encode(name[0].encode() * 32).decode()}" for name in ("old", "new"))
    async with launch(encryption_keys=old) as running:
        await running.connect()
        request = await linked(running)
        sandbox.add_fault("status", method="POST", path="/invoices/drafts$", status=503)
        event_id = await running.publish(CREATED, {"invoice": request})
        await running.answer(event_id, UNKNOWN)
    sandbox.faults.clear()
    async with launch(encryption_keys=f"{new},{old}") as running:
        assert (await running.answer(event_id, SYNCED, FAILED)).type == SYNCED
        dispatcher = running.worker.dispatcher
        await rotate_keys(dispatcher.database, dispatcher.vault)
        assert await running.value("select grant_key_id from economic.connections") == "new"
    async with launch(encryption_keys=new) as running:
        second = await linked(running)
        assert (await running.request(CREATED, {"invoice": second}, SYNCED, FAILED)).type == SYNCED
        assert len(drafts(running.agreement, request)) == 1


@pytest.mark.requirement("B1", "B4")
async def test_a_replay_after_the_keys_hour_finds_the_invoice_and_sends_nothing(
    running: Harness, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.handlers.pushing.ledger.SETTLE_S", 0.3)
    request = await linked(running)
    sandbox.add_fault("drop_after", method="POST", path="/invoices/drafts$", times=1)
    sandbox.add_fault("status", method="GET", path="/invoices/(drafts|booked)$", status=403)
    event_id = await running.publish(CREATED, {"invoice": request})
    await running.answer(event_id, UNKNOWN)
    async with asyncpg_worker(running) as connection:
        await connection.execute("update economic.inbox set received_at = now() - interval '25 hours'")
        await connection.execute("update economic.effects set first_sent_at = now() - interval '25 hours'")
    failed = await running.answer(event_id, FAILED)
    assert (await row(running, request))["status"] == "outcome_unknown", failed
    sandbox.forget_idempotency()
    sandbox.faults.clear()
    database = running.worker.dispatcher.database
    async with database.connection("test") as connection:
        (letter,) = await dead_letters.search(connection)
    assert (await replay(database, letter.id, "tester")).result == "sent"
    await running.answer(event_id, SYNCED)
    assert len(drafts(running.agreement, request)) == 1
    assert len(drafts_posted(sandbox)) == 1


@pytest.mark.requirement("F2")
async def test_a_closed_period_is_told_and_the_date_is_not_shifted(running: Harness) -> None:
    request = await linked(running)
    day = datetime.fromisoformat(request["issue_date"]).date()
    running.agreement.close_period(day, day)
    await running.connect(booking="book")
    answer = await running.request(CREATED, {"invoice": request}, SYNCED, FAILED)
    assert answer.data.problem.cause.value == "period_barred"
    assert not running.agreement.find_booked(f"Pike {request['id']}")


async def test_one_tenants_flood_of_imports_does_not_hold_up_another(
    running: Harness, sandbox: Sandbox, small_pages: SmallPages
) -> None:
    other = sandbox.add_agreement(seed=5)
    await running.connect("ws-other", agreement=other)
    small_pages(1)
    sandbox.faults.latency_s = 0.02
    flood = await running.publish("pike.import.requested", {"entities": ["products", "customers", "invoices"]})
    await running.answer(flood, "economic.import.progressed")
    number = str(next(iter(other.customers)).number)
    answer = await running.refresh("customer", workspace="ws-other", external_number=number)
    assert answer.type == "economic.refresh.completed"
    assert not running.answers(flood, "economic.import.completed"), "the flood was over before the other was served"
    await running.publish("pike.import.cancel_requested", {"import_id": flood})
    await running.answer(flood, "economic.import.cancelled", "economic.import.completed")


async def _all_done(running: Harness) -> bool:
    return bool(await running.value("select bool_and(state = 'done') from economic.inbox"))
