"""Postgres away for a moment, for ten minutes, and at the very commit: nothing is dropped, all goes on by itself."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from harness import Harness, harness
from support import eventually
from tcp_proxy import TcpProxy
from test_push_walk import CREATED, FAILED, SYNCED, drafts, linked

from worker.clock import SystemClock
from worker.runtime.dispatch import STORE_PATIENCE_S
from worker.sandbox import Sandbox

REFRESH, REFRESHED = "pike.refresh.requested", "economic.refresh.completed"


@pytest.fixture
async def postgres(migrated_database_url: str) -> AsyncIterator[TcpProxy]:
    """The worker's way to Postgres; the test has its own."""
    async with TcpProxy(migrated_database_url) as proxy:
        yield proxy


class FastClock(SystemClock):
    """A worker for which time passes a hundred times as fast."""

    SPEED = 100.0

    def monotonic(self) -> float:
        return time.monotonic() * self.SPEED

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s / self.SPEED)


async def refreshes(running: Harness, count: int) -> list[str]:
    numbers = [str(c.number) for c in running.agreement.customers][:count]
    return [await running.publish(REFRESH, {"entity": "customer", "external_number": number}) for number in numbers]


async def assert_all_done(running: Harness, requests: list[str]) -> None:
    for request in requests:
        await running.answer(request, REFRESHED, timeout_s=60)
    assert [len({e.id for e in running.answers(request, REFRESHED)}) for request in requests] == [1] * len(requests)
    assert await running.value("select count(*) from economic.dead_letters") == 0
    assert await running.value("select max(attempts) from economic.inbox") == 1


@pytest.mark.requirement("B2")
async def test_postgres_away_for_a_moment_is_not_noticed_by_anybody(
    amqp_url: str, migrated_database_url: str, sandbox: Sandbox, postgres: TcpProxy
) -> None:
    async with harness(amqp_url, migrated_database_url, sandbox, DATABASE_URL=postgres.url) as running:
        await running.connect()
        sandbox.faults.latency_s = 0.05
        requests = await refreshes(running, 12)
        postgres.refuse()
        postgres.cut()
        await asyncio.sleep(0.4)  # the outage itself
        postgres.refuse(False)
        await assert_all_done(running, requests)


@pytest.mark.requirement("B2")
async def test_postgres_away_for_ten_minutes_holds_deliveries_and_drops_none(
    amqp_url: str, migrated_database_url: str, sandbox: Sandbox, postgres: TcpProxy
) -> None:
    clock, minutes = FastClock(), 10 * 60.0
    assert minutes < STORE_PATIENCE_S
    async with harness(amqp_url, migrated_database_url, sandbox, clock=clock, DATABASE_URL=postgres.url) as running:
        await running.connect()
        postgres.refuse()
        postgres.cut()
        began = clock.monotonic()
        requests = await refreshes(running, 5)
        await eventually(lambda: running.worker.broker.in_work == 5, message="held")
        await eventually(lambda: clock.monotonic() - began >= minutes, timeout_s=60, message="ten of its minutes")
        assert running.worker.broker.in_work == 5, "held all the time: neither dropped nor put away"
        postgres.refuse(False)
        await assert_all_done(running, requests)


@pytest.mark.requirement("B1", "B2")
@pytest.mark.parametrize("commit", [1, 2], ids=["of the intent", "of the finish"])
async def test_a_commit_whose_answer_is_lost_doubles_nothing(
    amqp_url: str,
    migrated_database_url: str,
    sandbox: Sandbox,
    postgres: TcpProxy,
    monkeypatch: pytest.MonkeyPatch,
    commit: int,
) -> None:
    monkeypatch.setattr("worker.handlers.pushing.ledger.SETTLE_S", 0.3)
    commits = 0

    def cut_after_commit(piece: bytes) -> None:
        nonlocal commits
        commits += piece.count(b"COMMIT")
        if commits >= commit:
            postgres.on_sent = lambda _piece: None
            postgres.cut()

    async with harness(amqp_url, migrated_database_url, sandbox, DATABASE_URL=postgres.url) as running:
        await running.connect()
        await eventually(lambda: _outbox_empty(running), message="the connection's own event is out")
        request = await linked(running)
        postgres.on_sent = cut_after_commit
        event_id = await running.publish(CREATED, {"invoice": request})
        await eventually(lambda: commits >= commit, message="cut at the commit")
        await eventually(lambda: _done(running), timeout_s=30, message="done")
        await _outbox_lease_ends(running)
        assert (await running.answer(event_id, SYNCED, FAILED)).type == SYNCED
        assert len(drafts(running.agreement, request)) == 1
        assert len({e.id for e in running.answers(event_id, SYNCED)}) == 1


async def _done(running: Harness) -> bool:
    return bool(await running.value("select bool_and(state = 'done') from economic.inbox"))


async def _outbox_empty(running: Harness) -> bool:
    return bool(await running.value("select count(*) = 0 from economic.outbox"))


async def _outbox_lease_ends(running: Harness) -> None:
    async with running.pike() as connection:
        await connection.execute("update economic.outbox set leased_until = now() - interval '1 s'")
