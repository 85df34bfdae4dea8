"""Writing messages of a flood to the overflow as they come, without a task for each: many in one statement.

A message is acknowledged once its row is committed. What cannot be written here goes the long way: each for itself.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from worker import failpoints
from worker.broker.delivery import Arrival
from worker.cadence import Cadence
from worker.loop import end_tasks
from worker.store.overflow import SetAside

log = structlog.get_logger()

MANY = 400


class SettingAside:
    """Messages on their way to the overflow. ``put`` writes some, all or none of them."""

    def __init__(self, put: Callable[[Sequence[SetAside]], Awaitable[None]], kept: Callable[[SetAside], None]) -> None:
        """``kept`` hears of each message that is safe."""
        self._put = put
        self._kept = kept
        self._coming: list[tuple[SetAside, Arrival]] = []
        self._cadence = Cadence(rounds=1)
        self._task: asyncio.Task[None] | None = None

    def add(self, message: SetAside, arrival: Arrival) -> None:
        """Take a message on; its arrival is told what became of it."""
        self._coming.append((message, arrival))
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="setting-aside")

    async def close(self) -> None:
        """Leave what is not written yet to the broker, which delivers it again."""
        if self._task is not None:
            await end_tasks(self._task)

    async def _run(self) -> None:
        try:
            while self._coming:
                await self._cadence.turn()
                batch, self._coming = self._coming[:MANY], self._coming[MANY:]
                await self._write(batch)
        finally:
            self._task = None

    async def _write(self, batch: Sequence[tuple[SetAside, Arrival]]) -> None:
        try:
            await self._put([message for message, _ in batch])
        except Exception as exc:  # Postgres is away, or there is something in one of them that it cannot hold
            log.warning("overflow.not_kept_together", messages=len(batch), error=repr(exc))
            for _, arrival in batch:
                arrival.proceed()
            return
        for message, arrival in batch:
            failpoints.hit("overflow.kept")
            self._kept(message)
            arrival.done()
