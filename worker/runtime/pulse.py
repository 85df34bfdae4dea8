"""A worker's signs of life for people: its heartbeat, samples of what waits and what was done, and the loop's lag.

Nothing depends on them: whoever decides about events looks at leases, never at heartbeats.
"""

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID, uuid4

import structlog

from worker.broker.broker import Broker
from worker.broker.delivery import Lane
from worker.broker.topology import LANE_QUEUES
from worker.clock import Clock
from worker.errors import BrokerError, StoreUnavailable
from worker.runtime.tally import Tally
from worker.store import operations
from worker.store.operations import Heartbeat
from worker.store.pool import Database
from worker.telemetry import metrics
from worker.version import commit, version

log = structlog.get_logger()

BEAT_S = 10.0
_LAG_EVERY_S = 0.5
_LAST_BEAT_S = 1.0
"""How long the last heartbeat may take: a process that ends does not wait for Postgres."""


@dataclass(slots=True)
class Pulse:
    """Beats while ``run`` runs. ``budgets`` tells what share of its budget each agreement has left."""

    database: Database
    broker: Broker
    tally: Tally
    clock: Clock
    budgets: Callable[[], Mapping[str, float]]
    id: UUID = field(default_factory=uuid4)
    _state: Literal["running", "stopping", "stopped"] = "running"
    _lags: deque[float] = field(default_factory=lambda: deque([0.0], maxlen=20))

    async def run(self) -> None:
        """Beat until cancelled; while Postgres is away there is no heartbeat, which is what it then says."""
        watching = asyncio.create_task(self._watch_loop(), name="loop-lag")
        try:
            while True:
                try:
                    await self.beat()
                    await self._sample()
                except StoreUnavailable as exc:
                    log.warning("pulse.store_away", error=str(exc))
                except Exception:  # figures for people must never end the work
                    log.exception("pulse.bug")
                await self.clock.sleep(BEAT_S)
        finally:
            watching.cancel()

    async def beat(self) -> None:
        """Write the heartbeat. Raises ``StoreUnavailable``."""
        budgets = self.budgets()
        async with self.database.connection("heartbeat") as connection:
            await operations.beat(
                connection,
                Heartbeat(
                    id=self.id,
                    host=socket.gethostname(),
                    pid=os.getpid(),
                    version=version(),
                    commit=commit(),
                    state=self._state,
                    consumers={lane.value: bool(on) for lane, on in self.broker.consumers_attached.items()},
                    in_work=self.broker.in_work,
                    loop_lag_s=max(self._lags),
                    outcomes=dict(self.tally.outcomes),
                    budgets=dict(sorted(budgets.items(), key=lambda each: each[1])[: operations.MANY_BUDGETS]),
                ),
            )

    async def leave(self, state: Literal["stopping", "stopped"]) -> None:
        """Say goodbye, if Postgres hears it in time."""
        self._state = state
        try:
            async with asyncio.timeout(_LAST_BEAT_S):
                await self.beat()
                await self._note_work()
        except Exception as exc:  # the process ends, whatever this is
            log.warning("pulse.not_heard", error=str(exc))

    async def _sample(self) -> None:
        await self._note_work()
        async with self.database.connection("samples") as connection:
            slot = await operations.sample_lanes(connection, [lane.value for lane in Lane])
        if slot is None:
            return  # another worker was first
        try:
            state = await self.broker.verify()
        except BrokerError as exc:
            log.warning("pulse.broker_away", error=str(exc))
            return
        lanes = {queue: lane.value for lane, queue in LANE_QUEUES.items()}
        depths = {lanes[each.name]: each.messages for each in state.queues if each.name in lanes and each.exists}
        async with self.database.connection("samples") as connection:
            await operations.note_depths(connection, slot, depths)
            await operations.prune(connection)

    async def _note_work(self) -> None:
        """Write what was done since the last time; counts of a half minute add up however often this is called."""
        taken = self.tally.take()
        if not taken:
            return
        try:
            async with self.database.connection("samples") as connection:
                await operations.note_work(
                    connection, self.id, {kind: (fresh.outcomes, fresh.critical) for kind, fresh in taken.items()}
                )
        except BaseException:
            self.tally.give_back(taken)
            raise

    async def _watch_loop(self) -> None:
        """Measure how late the event loop is."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _LAG_EVERY_S
            await asyncio.sleep(_LAG_EVERY_S)
            self._lags.append(max(0.0, loop.time() - due))
            metrics.LOOP_LAG.set(max(self._lags))
