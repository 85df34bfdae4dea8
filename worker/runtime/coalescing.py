"""Many calls made at the same time become one. Nobody waits for a timer: whoever comes while as many batches are at
work as there may be is in the next one, so that batches are as large as the load and a call alone goes through at once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

from worker.cadence import Cadence

T = TypeVar("T")
R = TypeVar("R")


class Coalescer(Generic[T, R]):
    """Calls ``many`` with what was asked for meanwhile and gives each caller its own result.

    ``many`` returns one result per item, in order. Two items with the same ``key`` are never in one batch, though they
    may be in two that are at work at the same time. A batch that fails is done again one by one, so that a bad item
    fails alone.
    """

    def __init__(
        self,
        many: Callable[[Sequence[T]], Awaitable[Sequence[R]]],
        key: Callable[[T], Hashable],
        limit: int,
        shared: tuple[type[Exception], ...] = (),
        at_once: int = 1,
    ) -> None:
        """Remember how.

        ``limit``: items in a batch at most. ``shared``: errors that are nobody's own; every caller of the batch gets
        them at once. ``at_once``: batches at work at most.
        """
        self._many = many
        self._key = key
        self._limit = limit
        self._shared = shared
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._gathering = False
        """Whether a task has yet to take its batch."""
        self._tasks = set[asyncio.Task[None]]()
        self._room = asyncio.Semaphore(at_once)
        self._cadence = Cadence()

    async def __call__(self, item: T) -> R:
        """Return the result for one item."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if not self._gathering:
            self._begin()
        return await future

    def _begin(self) -> None:
        self._gathering = True
        task = asyncio.create_task(self._run(), name="coalescer")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self) -> None:
        batch = await self._gather()
        try:
            await self._settle(batch)
        finally:
            self._room.release()

    async def _gather(self) -> list[tuple[T, "asyncio.Future[R]"]]:
        """Return a batch, with a place to work on it. Who is left, or comes from now on, is for the next task."""
        try:
            await self._cadence.turn()
            await self._room.acquire()
            return self._next()
        finally:
            self._gathering = False
            if self._waiting:
                self._begin()

    def _next(self) -> list[tuple[T, "asyncio.Future[R]"]]:
        """Take a batch: whoever still waits, in order, each key once."""
        batch: dict[Hashable, tuple[T, asyncio.Future[R]]] = {}
        left: list[tuple[T, asyncio.Future[R]]] = []
        for item, future in self._waiting:
            key = self._key(item)
            if future.done():
                continue
            if key in batch or len(batch) >= self._limit:
                left.append((item, future))
            else:
                batch[key] = (item, future)
        self._waiting = left
        return list(batch.values())

    async def _settle(self, batch: Sequence[tuple[T, "asyncio.Future[R]"]]) -> None:
        if not batch:
            return
        try:
            results = await self._many([item for item, _ in batch])
        except self._shared as exc:
            for _, future in batch:
                _fail(future, type(exc)(*exc.args))
        except Exception as exc:
            if len(batch) == 1:
                _fail(batch[0][1], exc)
                return
            for entry in batch:
                await self._settle([entry])
        except BaseException as exc:
            for _, future in batch:
                _fail(future, exc)
            raise
        else:
            for (_, future), result in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(result)


def _fail(future: "asyncio.Future[R]", error: BaseException) -> None:
    if not future.done():
        if isinstance(error, asyncio.CancelledError):
            future.cancel()
        else:
            future.set_exception(error)
