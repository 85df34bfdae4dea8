"""The relay begins to send in the round after an announcement, everything once, and nothing when it is about to end."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import structlog
from support import eventually

from worker.broker.publisher import Outgoing, Publisher
from worker.clock import SystemClock
from worker.loop import end_tasks
from worker.runtime.relay import MANY_BATCHES, Relay
from worker.store.outbox import OutboxMessage, OutboxRow
from worker.store.pool import Database


class Nothing:
    """A connection that finds nothing and remembers what was deleted."""

    def __init__(self) -> None:
        self.deleted: list[int] = []

    async def fetch(self, *_: Any) -> list[Any]:
        return []

    async def execute(self, _sql: str, ids: list[int]) -> None:
        self.deleted += ids


class FakeDatabase:
    def __init__(self) -> None:
        self.found = Nothing()

    @asynccontextmanager
    async def connection(self, _what: str) -> AsyncIterator[Nothing]:
        yield self.found


class FakePublisher:
    """Confirms as many batches as it is let."""

    def __init__(self) -> None:
        self._may = asyncio.Semaphore(0)
        self.batches: list[list[str]] = []
        self.contexts: list[dict[str, Any]] = []
        self.under_way = self.most = 0

    async def publish_many(self, messages: Sequence[Outgoing]) -> list[None]:
        self.batches.append([each.message_id for each in messages])
        self.contexts.append(structlog.contextvars.get_contextvars())
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await self._may.acquire()
        self.under_way -= 1
        return [None] * len(messages)

    def let(self, batches: int = 100) -> None:
        for _ in range(batches):
            self._may.release()

    @property
    def sent(self) -> list[str]:
        return [name for batch in self.batches for name in batch]


def row(number: int) -> OutboxRow:
    message = OutboxMessage(f"m{number}", "economic.x", "ws", "pike.events", "economic.x", b"{}", "application/json")
    return OutboxRow(number, message)


@pytest.fixture
def publisher() -> FakePublisher:
    return FakePublisher()


@pytest.fixture
def database() -> FakeDatabase:
    return FakeDatabase()


@pytest.fixture
async def relay(
    publisher: FakePublisher, database: FakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Relay]:
    """A relay that runs, has looked for left-overs already, and does from now on only what it is woken for."""
    monkeypatch.setattr("worker.runtime.relay.POLL_S", 3600.0)
    made = Relay(cast("Database", database), cast("Publisher", publisher), SystemClock())
    running = asyncio.create_task(made.run(), name="running")
    await eventually(lambda: made._running)
    yield made
    publisher.let()
    await made.stop()
    await asyncio.wait_for(running, 10)
    await end_tasks(running)


async def test_what_is_announced_in_one_round_is_one_batch_and_nobodys_in_particular(
    relay: Relay, publisher: FakePublisher, database: FakeDatabase
) -> None:
    with structlog.contextvars.bound_contextvars(event_id="the announcer's"):
        for number in range(3):
            relay.announce([row(number)])
    await eventually(lambda: publisher.batches)
    assert publisher.batches == [["m0", "m1", "m2"]]
    assert publisher.contexts == [{}]
    publisher.let()
    await eventually(lambda: database.found.deleted == [0, 1, 2])


async def test_everything_is_sent_once_and_deleted_however_many_are_under_way(
    relay: Relay, publisher: FakePublisher, database: FakeDatabase
) -> None:
    for number in range(30):
        relay.announce([row(number)])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    publisher.let()
    await eventually(lambda: sorted(database.found.deleted) == list(range(30)))
    assert sorted(publisher.sent) == sorted(f"m{number}" for number in range(30))
    assert publisher.most <= MANY_BATCHES


async def test_announcements_leave_a_place_to_what_the_relay_has_in_hand(
    relay: Relay, publisher: FakePublisher
) -> None:
    for number in range(MANY_BATCHES):
        relay.announce([row(number)])
        await eventually(lambda so_far=number + 1: len(publisher.batches) == so_far)
    relay.announce([row(100)])  # no place is free: the relay holds this one until there is one
    await eventually(lambda: not relay._fresh)
    for batch in relay._under_way:
        batch.add_done_callback(lambda _: relay.announce([row(101)]))
    publisher.let(1)
    await eventually(lambda: len(publisher.batches) > MANY_BATCHES)
    assert publisher.batches[MANY_BATCHES] == ["m100"]


async def test_what_is_announced_while_the_last_confirms_are_awaited_is_left_to_the_next_worker(
    relay: Relay, publisher: FakePublisher, database: FakeDatabase
) -> None:
    relay.announce([row(1)])
    await eventually(lambda: publisher.batches)
    await relay.stop()
    await eventually(lambda: not relay._running)
    relay.announce([row(2)])
    publisher.let()
    await eventually(lambda: database.found.deleted == [1])
    assert publisher.sent == ["m1"]
