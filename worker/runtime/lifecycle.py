"""Start and stop of a worker: what runs beside what, and in which order it ends."""

import asyncio
import contextlib
from dataclasses import dataclass, field

import structlog

from worker.broker.broker import Broker
from worker.clock import Clock
from worker.errors import BrokerError, StoreUnavailable
from worker.loop import end_tasks
from worker.runtime.dispatch import Dispatcher
from worker.runtime.growing import Growing
from worker.runtime.hook_watch import HookWatch
from worker.runtime.janitor import Janitor
from worker.runtime.overflow import Overflow
from worker.runtime.pulse import Pulse
from worker.runtime.relay import Relay
from worker.runtime.retention import Retention
from worker.runtime.schedule import Schedule

log = structlog.get_logger()

DRAIN_S = 12.0
"""How long deliveries in work may take to end after a stop is asked for; the rest goes back to the queue."""

FLUSH_S = 4.0
"""How long the relay may take for what is committed already; the rest is published by the next worker."""

JANITOR_S = 15.0


@dataclass(slots=True)
class Worker:
    """Everything of one process. ``run`` returns after ``stop``, in well under 20 seconds."""

    broker: Broker
    relay: Relay
    dispatcher: Dispatcher
    overflow: Overflow
    janitor: Janitor
    pulse: Pulse
    schedule: Schedule
    watch: HookWatch
    retention: Retention
    growing: Growing
    clock: Clock
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def in_work(self) -> int:
        """How many deliveries are at work or wait for their turn, from RabbitMQ and from the overflow."""
        return self.broker.in_work + self.overflow.at_work

    def stop(self) -> None:
        """Ask the worker to end; may be called from a signal handler, and again."""
        self._stopping.set()

    async def run(self) -> None:
        """Consume until ``stop``. Raises what ends a process: ``DeafConsumer``, ``SchemaMismatch``, or a bug."""
        relaying = asyncio.create_task(self.relay.run(), name="relay")
        consuming = asyncio.create_task(
            self.broker.consume(self.overflow.receive, self.overflow.divert), name="consume"
        )
        working_off = asyncio.create_task(self.overflow.run(), name="overflow")
        cleaning = asyncio.create_task(self._clean(), name="janitor")
        beating = asyncio.create_task(self.pulse.run(), name="pulse")
        pruning = asyncio.create_task(self.retention.run(), name="retention")
        analysing = asyncio.create_task(self.growing.run(), name="growing")
        scheduling = asyncio.create_task(self.schedule.run(), name="schedule")
        watching = asyncio.create_task(self.watch.run(), name="hooks")
        stopping = asyncio.create_task(self._stopping.wait(), name="stop")
        others = (consuming, working_off, cleaning, beating, scheduling, watching, pruning, analysing, stopping)
        log.info("worker.started")
        try:
            done, _ = await asyncio.wait({relaying, *others}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await self._wind_down(relaying, *others)
        for task in done - {stopping}:
            task.result()

    async def _wind_down(self, relaying: asyncio.Task[None], *others: asyncio.Task[object]) -> None:
        """First take nothing new, then let what runs end, then send what was committed, then close."""
        log.info("worker.stopping", in_work=self.in_work)
        self.overflow.stop()
        with contextlib.suppress(BrokerError):
            await self.broker.pause()
        await self.pulse.leave("stopping")
        deadline = self.clock.monotonic() + DRAIN_S
        while self.in_work and self.clock.monotonic() < deadline:
            await self.clock.sleep(0.05)
        await self.overflow.close()
        await self.relay.stop()
        await asyncio.wait({relaying}, timeout=FLUSH_S)
        await self.broker.stop(0.0)
        await end_tasks(relaying, *others)
        await self.pulse.leave("stopped")
        log.info("worker.stopped", published=self.relay.published, outcomes=self.dispatcher.tally.outcomes)

    async def _clean(self) -> None:
        """Empty the broker's dead queue into Postgres now and then."""
        while True:
            try:
                await self.broker.drain_dead(self.janitor.keep_dead)
                await self.janitor.drop_unheard()
                await self.janitor.forget_attempts()
            except (BrokerError, StoreUnavailable) as exc:
                log.warning("janitor.later", error=str(exc))
            await self.clock.sleep(JANITOR_S)
