"""Consuming both lanes over as many sessions as it takes; what becomes of a delivery is ``handling``'s."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import structlog
from aiormq.abc import DeliveredMessage

from worker.broker.connection import Address, Backoff
from worker.broker.delivery import Delivery, Divert, Lane, Process
from worker.broker.frames import to_delivery
from worker.broker.handling import HOLD_LIMIT_S, Handling
from worker.broker.publisher import Publisher
from worker.broker.session import ConsumingSession
from worker.broker.settling import Settler
from worker.broker.topology import Topology
from worker.broker.watchdog import watch
from worker.clock import Clock
from worker.errors import BrokerUnavailable

log = structlog.get_logger(__name__)

STEADY_S = 30.0
"""A session that held this long counts as a success, and the next reconnect starts with a short wait again."""
WATCH_INTERVAL_S = 30.0
CANCEL_GRACE_S = 2.0


class Consumer:
    """Consumes both lanes until told to stop. Every delivery ends acknowledged, put away, rejected or handed back."""

    def __init__(
        self,
        address: Address,
        topology: Topology,
        publisher: Publisher,
        *,
        clock: Clock,
        prefetch: Mapping[Lane, int],
        name: str,
        watch_interval_s: float = WATCH_INTERVAL_S,
        hold_limit_s: float = HOLD_LIMIT_S,
    ) -> None:
        self._address = address
        self._topology = topology
        self._handling = Handling(
            topology, publisher, clock=clock, hold_limit_s=hold_limit_s, on_damage=self._ladder_damaged
        )
        self._clock = clock
        self._prefetch = prefetch
        self._name = name
        self._watch_interval_s = watch_interval_s
        self._backoff = Backoff()
        # Deliveries of a lost session still in work count: the next session's wait until there is room.
        self._room = {lane: asyncio.Semaphore(prefetch[lane]) for lane in Lane}
        self._in_work: set[asyncio.Task[None]] = set()
        self._delivered = dict.fromkeys(Lane, 0)
        self._session: ConsumingSession | None = None
        self._process: Process | None = None
        self._divert: Divert | None = None
        self._paused = False
        self._drain_s = 0.0
        self._stopping = asyncio.Event()
        self._finished = asyncio.Event()

    @property
    def running(self) -> bool:
        """Whether ``run`` is at it and has not been told to stop."""
        return self._process is not None and not self._stopping.is_set()

    @property
    def paused(self) -> bool:
        """Whether taking deliveries is suspended on purpose."""
        return self._paused

    @property
    def attached(self) -> Mapping[Lane, bool]:
        """Whether each lane has a live consumer now."""
        session = self._session
        return MappingProxyType({lane: session is not None and session.attached(lane) for lane in Lane})

    @property
    def in_work(self) -> int:
        """How many deliveries are being processed or wait for their turn."""
        return len(self._in_work)

    def has_room(self, lane: Lane) -> bool:
        """Whether the lane could take another delivery now."""
        return not self._room[lane].locked()

    def delivered(self, lane: Lane) -> int:
        """Return how many deliveries this lane has had since the start."""
        return self._delivered[lane]

    async def run(self, process: Process, divert: Divert | None = None) -> None:
        """Consume until ``stop``; reconnect for as long as it takes. ``divert`` sees each delivery first.

        Raises ``SchemaMismatch`` when the topology was changed under us and ``DeafConsumer`` when the broker
        does not serve us though we consume: the one is for a person, the other for a fresh process.
        """
        self._process, self._divert = process, divert
        self._finished.clear()
        try:
            while not self._stopping.is_set():
                began = self._clock.monotonic()
                try:
                    await self._run_session()
                except BrokerUnavailable as exc:
                    log.warning("broker.consuming_failed", error=str(exc))
                if self._clock.monotonic() - began >= STEADY_S:
                    self._backoff.reset()
                await self._first_of(self._clock.sleep(self._backoff.next_s()), self._stopping.wait())
            await self._drain()
        finally:
            await self._cancel_work()
            self._process = None
            self._finished.set()

    async def _run_session(self) -> None:
        session = await ConsumingSession.open(
            self._address, self._topology, self._prefetch, self._take, f"{self._name} consumer"
        )
        try:
            self._session = session
            if not self._paused:
                await session.attach()
            log.info("broker.consuming", broker=str(self._address), paused=self._paused)
            await self._first_of(
                session.ended,
                self._stopping.wait(),
                watch(self, session, self._clock, self._watch_interval_s),
            )
            if session.ended.done():
                log.warning("broker.session_lost", reason=session.ended.result(), in_work=self.in_work)
            else:
                await session.detach()
                await self._drain()
        finally:
            self._session = None
            await session.close()

    @staticmethod
    async def _first_of(*awaitables: Awaitable[object]) -> None:
        """Wait until one is done, cancel the others, raise what the finished one raised."""
        tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                if isinstance(task, asyncio.Task):
                    task.cancel()
        for task in done:
            task.result()

    async def pause(self) -> None:
        """Take no new deliveries until ``resume``; those in work go on. Survives reconnects. Idempotent."""
        self._paused = True
        await self._change(ConsumingSession.detach)

    async def resume(self) -> None:
        """Take deliveries again. Idempotent."""
        self._paused = False
        await self._change(ConsumingSession.attach)

    async def _change(self, change: Callable[[ConsumingSession], Awaitable[None]]) -> None:
        session = self._session
        if session is None:
            return
        try:
            await change(session)
        except BrokerUnavailable as exc:
            session.end(str(exc))  # the next one begins as we want it now

    async def stop(self, drain_s: float) -> None:
        """Take nothing new, let the deliveries in work finish for up to ``drain_s``, hand the rest back."""
        self._drain_s = drain_s
        self._stopping.set()
        if self._process is not None:
            await self._finished.wait()

    async def _drain(self) -> None:
        if self._in_work:
            _, late = await asyncio.wait(self._in_work, timeout=self._drain_s)
            if late:
                log.warning("broker.handed_back", deliveries=len(late), drain_s=self._drain_s)
        await self._cancel_work()

    async def _cancel_work(self) -> None:
        for task in self._in_work:
            task.cancel()
        if self._in_work:
            await asyncio.wait(self._in_work, timeout=CANCEL_GRACE_S)

    def _take(self, lane: Lane, message: DeliveredMessage, settler: Settler) -> None:
        self._delivered[lane] += 1
        try:
            arrival = _Arrival(self, to_delivery(message, lane), message, settler)
            if self._divert is None or not self._divert(arrival.delivery, arrival):
                arrival.proceed()
        except Exception:
            # Nothing above should raise. The dead queue is the one place that needs nothing of us.
            log.exception("broker.delivery_failed", lane=lane.value)
            settler.reject(message.delivery_tag or 0)

    def begin(self, arrival: "_Arrival") -> None:
        """Process a delivery as soon as there is room for it."""
        task = asyncio.create_task(self._work(arrival), name=f"delivery-{arrival.delivery.lane.value}")
        self._in_work.add(task)
        task.add_done_callback(self._in_work.discard)

    async def _work(self, arrival: "_Arrival") -> None:
        async with self._room[arrival.delivery.lane]:
            # On a lost session it comes again, and to begin it now would only be work for two.
            if arrival.settler.alive and self._process is not None:
                await self._handling.handle(self._process, arrival.delivery, arrival.message, arrival.settler)

    def _ladder_damaged(self, reason: str) -> None:
        if self._session is not None:
            self._session.end(reason)  # reconnecting declares it again


@dataclass(frozen=True, slots=True)
class _Arrival:
    """See ``Arrival``."""

    consumer: Consumer
    delivery: Delivery
    message: DeliveredMessage
    settler: Settler

    def done(self) -> None:
        """Acknowledge."""
        self.settler.ack(self.message.delivery_tag or 0)

    def proceed(self) -> None:
        """Process it."""
        self.consumer.begin(self)
