"""The broker in memory does what RabbitMQ does: the same steps on both, the same deliveries (B16)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import pytest
from support import eventually

from tests.simulation.broker_fake import FakeBroker, SimPublisher
from tests.simulation.loop import Process
from tests.simulation.world import Odds, SimClock, World
from worker.broker.broker import Broker
from worker.broker.delivery import Ack, Delivery, Lane, PutAway, Reject, Verdict
from worker.broker.frames import to_delivery
from worker.broker.handling import Handling
from worker.broker.publisher import Outgoing
from worker.broker.topology import EVENTS_EXCHANGE, INTERNAL_EXCHANGE, LANE_QUEUES, build_topology
from worker.clock import SystemClock
from worker.errors import Unroutable

LADDER_S = (0.05, 0.3)
TOPOLOGY = build_topology(["test.work"], ["test.bulk"], LADDER_S)
Run = Callable[[Callable[["Stage"], Awaitable[None]]], None]


class Stage(Protocol):
    """A broker with one consumer, which answers as ``verdicts`` says, then acknowledges."""

    seen: list[Delivery]
    verdicts: list[Verdict]

    async def publish(self, exchange: str, key: str, body: bytes = b"{}") -> None: ...

    async def until_seen(self, count: int) -> None: ...

    async def dead(self) -> list[bytes]: ...

    async def lose_connection(self) -> None: ...


@dataclass
class Base:
    seen: list[Delivery] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    hold: asyncio.Event | None = None

    async def process(self, delivery: Delivery) -> Verdict:
        self.seen.append(delivery)
        if self.hold is not None:
            await self.hold.wait()
        return self.verdicts.pop(0) if self.verdicts else Ack()


class RabbitStage(Base):
    broker: Broker

    def make(self, url: str) -> Broker:
        return Broker(url, TOPOLOGY, clock=SystemClock(), prefetch=dict.fromkeys(Lane, 4), name="contract")

    async def publish(self, exchange: str, key: str, body: bytes = b"{}") -> None:
        await self.broker.publisher.publish(Outgoing(exchange, key, body, "m-1", {"a": "b"}))

    async def until_seen(self, count: int) -> None:
        await eventually(lambda: len(self.seen) >= count, message=f"{count} deliveries")

    async def dead(self) -> list[bytes]:
        found: list[bytes] = []

        async def keep(delivery: Delivery, _death: object) -> None:
            found.append(delivery.body)

        async def some() -> bool:
            await self.broker.drain_dead(keep)
            return bool(found)

        await eventually(some, message="something dead")
        return found

    async def lose_connection(self) -> None:
        session = self.broker._consumer._session
        assert session is not None
        await session.close()
        session.end("lost on purpose")


class MemoryStage(Base):
    def __init__(self) -> None:
        super().__init__()
        self.world = World(1, Odds())
        self.node = FakeBroker(self.world, TOPOLOGY)
        self.self_process = Process("w")
        publisher: Any = SimPublisher(self.node)
        self.publisher = publisher
        self.handling = Handling(
            TOPOLOGY, publisher, clock=SimClock(self.world, self.self_process), hold_limit_s=60, on_damage=print
        )

    def open(self) -> None:
        self.session = self.node.open(self.self_process, 4, self.take)

    async def take(self, lane: Lane, message: Any, session: Any) -> None:
        await self.handling.handle(self.process, to_delivery(message, lane), message, session)

    async def publish(self, exchange: str, key: str, body: bytes = b"{}") -> None:
        await self.publisher.publish(Outgoing(exchange, key, body, "m-1", {"a": "b"}))

    async def until_seen(self, count: int) -> None:
        async with asyncio.timeout(60):
            while len(self.seen) < count:  # noqa: ASYNC110  # virtual time costs nothing
                await asyncio.sleep(0.01)

    async def dead(self) -> list[bytes]:
        await asyncio.sleep(1)
        return [message.body for message in self.node.queues["pike-economic.dead"].ready]

    async def lose_connection(self) -> None:
        self.node.close_all()
        self.open()


@pytest.fixture(params=["memory", "rabbitmq"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a story on the broker: in virtual time, or on the real one."""
    if request.param == "memory":

        def in_memory(story: Callable[[Stage], Awaitable[None]]) -> None:
            stage = MemoryStage()

            async def all_of_it() -> None:
                stage.open()
                await story(stage)

            stage.world.loop.run(all_of_it())

        return in_memory
    url: str = request.getfixturevalue("amqp_url")

    @contextlib.asynccontextmanager
    async def consuming() -> AsyncIterator[RabbitStage]:
        stage = RabbitStage()
        stage.broker = stage.make(url)
        await stage.broker.start()
        working = asyncio.create_task(stage.broker.consume(stage.process))
        try:
            await eventually(lambda: all(stage.broker.consumers_attached.values()))
            yield stage
        finally:
            await stage.broker.stop(0.0)
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)

    async def on_the_real_one(story: Callable[[Stage], Awaitable[None]]) -> None:
        async with consuming() as stage:
            await story(stage)

    return lambda story: asyncio.run(on_the_real_one(story))


def test_an_event_reaches_its_lane_as_it_was_published(run: Run) -> None:
    async def story(stage: Stage) -> None:
        await stage.publish(EVENTS_EXCHANGE, "test.work", b"1")
        await stage.publish(EVENTS_EXCHANGE, "test.bulk", b"2")
        await stage.publish(INTERNAL_EXCHANGE, LANE_QUEUES[Lane.WORK], b"3")
        await stage.until_seen(3)
        found = sorted(stage.seen, key=lambda delivery: delivery.body)
        assert [(d.body, d.lane) for d in found] == [(b"1", Lane.WORK), (b"2", Lane.BULK), (b"3", Lane.WORK)]
        assert {(d.message_id, d.headers["a"], d.redelivered, d.delivery_count) for d in found} == {
            ("m-1", "b", False, 0)
        }

    run(story)


def test_a_type_that_nobody_is_bound_to_is_unroutable(run: Run) -> None:
    async def story(stage: Stage) -> None:
        with pytest.raises(Unroutable):
            await stage.publish(EVENTS_EXCHANGE, "test.nobody")

    run(story)


def test_what_is_put_away_comes_back_as_a_copy_with_its_key_and_body(run: Run) -> None:
    async def story(stage: Stage) -> None:
        stage.verdicts = [PutAway(0.01, "first"), PutAway(0.2, "second")]
        await stage.publish(EVENTS_EXCHANGE, "test.work", b"x")
        await stage.until_seen(3)
        last = stage.seen[-1]
        assert (last.body, last.routing_key, last.lane, last.redelivered) == (b"x", "test.work", Lane.WORK, False)
        assert (last.headers["x-pike-economic-waits"], last.headers["x-pike-economic-reason"]) == (2, "second")

    run(story)


def test_what_was_not_acknowledged_when_the_connection_went_comes_again_and_counts(run: Run) -> None:
    async def story(stage: Any) -> None:
        stage.hold = asyncio.Event()
        await stage.publish(EVENTS_EXCHANGE, "test.work", b"x")
        await stage.until_seen(1)
        await stage.lose_connection()
        stage.hold.set()
        await stage.until_seen(2)
        assert [(d.redelivered, d.delivery_count) for d in stage.seen] == [(False, 0), (True, 1)]

    run(story)


def test_what_is_rejected_lies_in_the_dead_queue(run: Run) -> None:
    async def story(stage: Stage) -> None:
        stage.verdicts = [Reject("on purpose")]
        await stage.publish(EVENTS_EXCHANGE, "test.work", b"x")
        await stage.until_seen(1)
        assert await stage.dead() == [b"x"]

    run(story)
