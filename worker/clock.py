"""Time as an argument: wall clock in UTC, a monotonic timer and sleep, all replaceable in tests."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the worker needs to know about time."""

    def now(self) -> datetime:
        """Return the wall clock, timezone-aware UTC. For stamps, never for measuring."""
        ...

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start that never jump. For deadlines and durations."""
        ...

    async def sleep(self, delay_s: float) -> None:
        """Wait that many seconds."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        """Return the wall clock, timezone-aware UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return the monotonic timer in seconds."""
        return time.monotonic()

    async def sleep(self, delay_s: float) -> None:
        """Wait that many seconds."""
        await asyncio.sleep(delay_s)
