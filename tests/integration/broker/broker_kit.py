"""What the broker's tests share: polling, a process that notes what it gets, and a TCP proxy that misbehaves."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from urllib.parse import urlsplit, urlunsplit

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


class TcpProxy:
    """Stands between the worker and RabbitMQ: cuts connections, refuses them, or goes silent."""

    def __init__(self, target_url: str) -> None:
        self._target = urlsplit(target_url)
        self._server: asyncio.Server | None = None
        self._pumps: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._flows: list[asyncio.Event] = []
        self._refusing = False
        self.accepted = 0

    async def __aenter__(self) -> "TcpProxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for pump in self._pumps:
            pump.cancel()
        if self._pumps:
            await asyncio.wait(self._pumps)
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        credentials = self._target.netloc.rpartition("@")[0]
        return urlunsplit(self._target._replace(netloc=f"{credentials}@127.0.0.1:{port}"))

    def cut(self) -> None:
        """Reset every connection now."""
        for writer in self._writers:
            writer.transport.abort()

    def refuse(self, refusing: bool = True) -> None:
        """Hang up on whoever connects."""
        self._refusing = refusing

    def freeze(self, first: int | None = None) -> None:
        """Pass nothing on in either direction and close nothing, for all or the ``first`` so many connections."""
        for flow in self._flows[:first]:
            flow.clear()

    def thaw(self) -> None:
        """Pass everything on again."""
        for flow in self._flows:
            flow.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
            return
        self.accepted += 1
        far_reader, far_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
        self._writers |= {writer, far_writer}
        flow = asyncio.Event()
        flow.set()
        self._flows.append(flow)
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            pump = asyncio.create_task(self._pump(source, sink, flow))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, flow: asyncio.Event) -> None:
        try:
            with suppress(OSError):
                while data := await source.read(65536):
                    await flow.wait()
                    sink.write(data)
                    await sink.drain()
        finally:
            sink.close()
            self._writers.discard(sink)


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
            prefetch={Lane.WORK: prefetch, Lane.BULK: prefetch},
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
