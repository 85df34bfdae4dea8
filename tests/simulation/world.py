"""What all adapters of one run share: the seed's draws, virtual time, faults at every wait, and the trace."""

import asyncio
import contextvars
import os
import random
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

from tests.simulation.loop import PROCESS, Process, SimLoop
from worker import cadence

BASE = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
WRITES_WEIGH = 4.0
"""Around a write a crash or a pause is so many times as likely: that is where at-most-once is decided."""

HEARTBEAT_S = 60.0
"""RabbitMQ closes the connection of a process that has been silent for so long."""


@dataclass(frozen=True, slots=True)
class Odds:
    """How likely each fault is, per wait of a worker or per call; all nothing means fair weather."""

    crash: float = 0.0
    pause: float = 0.0
    broker: float = 0.0
    store: float = 0.0
    economic: float = 0.0
    stale: float = 0.0
    hours: float = 1.0
    """How often, beside 4 pauses within the lease and 6 past it, one lasts past the hour of an idempotency key."""


@dataclass
class World:
    """One run's surroundings. ``faulty`` is switched off when the weather clears up."""

    seed: int
    odds: Odds
    tracing: bool = False
    faulty: bool = True
    lines: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    faults: dict[str, int] = field(default_factory=dict)
    database_offset_s: float = 0.0
    ambush: dict[str, float] = field(default_factory=dict)
    """Pauses laid by hand: the first process that comes to this wait is stopped for so many seconds."""

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.loop = SimLoop(self.rng)
        self.on_crash: Callable[[Process], None] = lambda _process: None
        self.on_silence: Callable[[Process], None] = lambda _process: None

    # --- time ------------------------------------------------------------------------------------------

    def database_now(self) -> datetime:
        return BASE + timedelta(seconds=self.loop._now + self.database_offset_s)

    # --- trace and verdict -----------------------------------------------------------------------------

    def trace(self, what: str, *facts: object) -> None:
        """Note what happened; ``facts`` are only put into words while tracing."""
        if self.tracing:
            process = PROCESS.get()
            name = process.name if process else "world"
            self.lines.append(f"{self.loop._now:12.4f}  {name:<10} {what} {' '.join(map(str, facts))}".rstrip())

    def violated(self, what: str) -> None:
        """Note a broken promise, with the time it broke."""
        self.trace("VIOLATED", what)
        self.violations.append(f"at {self.loop._now:.1f} s: {what}")

    # --- chance ----------------------------------------------------------------------------------------

    def strikes(self, kind: str, chance: float) -> bool:
        """Draw whether a fault happens; none does after the weather has cleared up."""
        if not self.faulty or chance <= 0 or self.rng.random() >= chance:
            return False
        self.count(kind)
        return True

    def count(self, kind: str) -> None:
        self.faults[kind] = self.faults.get(kind, 0) + 1

    async def wait(self, what: str, shortest_s: float, longest_s: float) -> None:
        """Wait as an adapter does for the other side. A process may die or stop here, as at every ``await``."""
        process = PROCESS.get()
        if process is not None and process.name.startswith("w") and what in self.ambush:
            self._stop(process, what, self.ambush.pop(what))
        if process is not None and self.faulty:
            drawn = self.rng.random()
            if "POST" in what or "group commit" in what:
                drawn /= WRITES_WEIGH
            if drawn < self.odds.crash:
                self.crash(process, what)
            elif drawn < self.odds.crash + self.odds.pause:
                self.pause(process, what)
        await asyncio.sleep(shortest_s + self.rng.random() * (longest_s - shortest_s))

    # --- processes -------------------------------------------------------------------------------------

    def crash(self, process: Process, where: str) -> None:
        """Kill the process, as SIGKILL does; what it has asked of others goes on."""
        if process.alive:
            process.alive = False
            self.count("crash")
            self.trace("CRASH", where)
            self.outside(self.loop.call_soon, self.on_crash, process)

    def pause(self, process: Process, where: str) -> None:
        """Stop the process for a while: within its lease, past it, or past the hour of an idempotency key."""
        if process.paused or not process.alive:
            return
        low, high = self.rng.choices(((5, 70), (80, 600), (3700, 5000)), weights=(4, 6, self.odds.hours))[0]
        self._stop(process, where, self.rng.uniform(low, high))

    def _stop(self, process: Process, where: str, length: float) -> None:
        process.paused = True
        self.count("pause past the lease" if length > 75 else "pause")
        self.trace("PAUSE", f"{length:.0f} s", where)
        if length > HEARTBEAT_S:
            self.outside(self.loop.call_later, HEARTBEAT_S, self.on_silence, process)
        self.outside(self.loop.call_later, length, self._wake, process)

    def _wake(self, process: Process) -> None:
        if process.alive:
            self.trace("WAKE", process.name)
            self.loop.resume(process)

    # --- whose code runs -------------------------------------------------------------------------------

    def outside(self, call: Callable[..., Any], *args: Any) -> Any:
        """Call in nobody's name, so that no crash or pause takes it along."""
        return contextvars.Context().run(call, *args)

    def inside(self, process: Process, coro: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Start a task of a process."""
        context = contextvars.Context()
        context.run(PROCESS.set, process)
        return context.run(self.loop.create_task, coro)

    @contextmanager
    def seeded(self) -> Iterator[None]:
        """Make ids, nonces and jitter follow from the seed while the block runs, and the machine's speed not count."""
        source = random.Random(self.seed ^ 0x5EED)
        before = random.getstate()
        random.seed(self.seed)
        try:
            with (
                mock.patch.object(os, "urandom", source.randbytes),
                mock.patch.object(cadence, "now", return_value=0.0),
            ):
                yield
        finally:
            random.setstate(before)


class SimClock:
    """A worker's clocks: its wall clock may be wrong and jump, its monotonic one never does."""

    def __init__(self, world: World, process: Process) -> None:
        self._world = world
        self._process = process

    def now(self) -> datetime:
        return BASE + timedelta(seconds=self._world.loop._now + self._process.wall_offset_s)

    def monotonic(self) -> float:
        return self._world.loop._now

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
