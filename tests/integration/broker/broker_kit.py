"""What the broker's tests share: polling, a process that notes what it gets, and a TCP proxy that misbehaves."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from worker.broker.broker import Broker
from worker.broker.delivery import Ack, Delivery, Lane, Process, Verdict
from worker.broker.publisher import Outgoing
from worker.broker.topology import EVENTS_EXCHANGE, Topology
from worker.clock import SystemClock

CountReady = Callable[[str], Awaitable[int]]
"""How many messages lie ready in a queue."""


async def until(condition: Callable[[], bool], what: str, within_s: float = 15.0) -> None:
    """Poll until the condition holds."""
    try:
        async with asyncio.timeout(within_s):
            while not condition():  # noqa: ASYNC110  # there is nothing to be woken by
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"not within {within_s} s: {what}") from None


async def until_ready(count: CountReady, queue: str, expected: int, within_s: float = 15.0) -> None:
    """Poll until so many messages lie ready: the broker settles, takes back and dead-letters in its own time."""
    seen = -1
    try:
        async with asyncio.timeout(within_s):
            while (seen := await count(queue)) != expected:  # noqa: ASYNC110  # the broker tells nobody
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not within {within_s} s: {expected} in {queue}, but {seen}") from None


def outgoing(
    body: bytes = b"{}",
    *,
    event_type: str = "test.work",
    exchange: str = EVENTS_EXCHANGE,
    message_id: str = "m-1",
    headers: Mapping[str, str | int] | None = None,
) -> Outgoing:
    """Return a message to publish."""
    return Outgoing(exchange, event_type, body, message_id, headers or {})


class Recorder:
    """A process that notes each delivery and answers with what ``answer`` says."""

    def __init__(self, answer: Callable[[Delivery], Verdict | Awaitable[Verdict]] | None = None) -> None:
        self.seen: list[Delivery] = []
        self.at_once = 0
        self.most_at_once = 0
        self._answer = answer

    async def __call__(self, delivery: Delivery) -> Verdict:
        self.seen.append(delivery)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            verdict = self._answer(delivery) if self._answer is not None else Ack()
            return await verdict if isinstance(verdict, Awaitable) else verdict
        finally:
            self.at_once -= 1

    @property
    def bodies(self) -> list[bytes]:
        return [delivery.body for delivery in self.seen]


class Workbench:
    """Makes brokers and keeps their consuming tasks."""

    def __init__(self, url: str, topology: Topology) -> None:
        self.url = url
        self._topology = topology
        self._brokers: list[Broker] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def started(self, url: str | None = None, prefetch: int = 10, **options: float) -> Broker:
        broker = Broker(
            url or self.url,
            self._topology,
            clock=SystemClock(),
            prefetch=dict.fromkeys(Lane, prefetch),
            name="test",
            **options,
        )
        self._brokers.append(broker)
        await broker.start()
        return broker

    async def consuming(self, process: Process, url: str | None = None, prefetch: int = 10, **options: float) -> Broker:
        broker = await self.started(url, prefetch, **options)
        self.consume(broker, process)
        await until(lambda: all(broker.consumers_attached.values()), "consumers on both lanes")
        return broker

    def consume(self, broker: Broker, process: Process) -> asyncio.Task[None]:
        task = asyncio.create_task(broker.consume(process))
        self._tasks.append(task)
        return task

    async def close(self) -> None:
        for broker in self._brokers:
            await broker.stop(drain_s=0)
        for task in self._tasks:
            task.cancel()
            with suppress(BaseException):
                await task
