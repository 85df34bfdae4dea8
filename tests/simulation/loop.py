"""An event loop with virtual time: nothing waits, and of all that could run next the seed chooses.

Every callback belongs to a process (a context variable). A process can be killed: none of its callbacks ever runs
again, which is what SIGKILL does. It can be paused: its callbacks, timers that came due meanwhile included, run when
it wakes, in an order that the seed chooses.
"""

import asyncio
import contextvars
import heapq
import random
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

MAX_STEPS = 3_000_000


class Stuck(AssertionError):
    """Nothing can happen any more, or something happens for ever without time going on."""


class Process:
    """One incarnation of an operating system process."""

    __slots__ = ("alive", "held", "name", "paused", "wall_offset_s")

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.paused = False
        self.held: list[asyncio.Handle] = []
        self.wall_offset_s = 0.0


PROCESS: contextvars.ContextVar[Process | None] = contextvars.ContextVar("PROCESS", default=None)


class SimLoop(asyncio.AbstractEventLoop):
    """Runs callbacks one by one; which of the ready ones is next is drawn from ``rng``."""

    def __init__(self, rng: random.Random) -> None:
        self._draw = rng.random
        self._now = 0.0
        self._ready: list[asyncio.Handle] = []
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._count = 0
        self._over = False
        self._processes: list[Process] = []
        self._tasks: list[asyncio.Task[Any]] = []
        self.errors: list[dict[str, Any]] = []

    # --- what asyncio asks of a loop -------------------------------------------------------------------

    def time(self) -> float:
        return self._now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.errors.append(context)

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: contextvars.Context | None = None
    ) -> asyncio.Task[T]:
        task = asyncio.Task(coro, loop=self, name=name or "task", context=context)
        self._tasks.append(task)
        if len(self._tasks) > 2000:
            self._tasks = [each for each in self._tasks if not each.done()]
        return task

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, timer))
        return timer

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers are dropped when they come due."""

    # --- running ---------------------------------------------------------------------------------------

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run until ``main`` has ended. Raises ``Stuck``."""
        hooks = sys.get_asyncgen_hooks()
        asyncio.events._set_running_loop(self)
        sys.set_asyncgen_hooks(finalizer=self._close_generator)
        try:
            task = self.create_task(main)
            self._until(task.done)
            return task.result()
        finally:
            self._wind_up()
            sys.set_asyncgen_hooks(*hooks)
            asyncio.events._set_running_loop(None)

    def resume(self, process: Process) -> None:
        """Let a paused process go on with everything that came up meanwhile."""
        process.paused = False
        self._ready.extend(process.held)
        process.held.clear()

    def _until(self, done: Callable[[], bool]) -> None:
        ready, timers = self._ready, self._timers
        for _ in range(MAX_STEPS):
            if done():
                return
            while timers and timers[0][0] <= self._now:
                ready.append(heapq.heappop(timers)[2])
            if ready:
                self._step()
            elif timers:
                self._now = timers[0][0]
            else:
                raise Stuck("nothing can happen any more: everybody waits for something that never comes")
        raise Stuck(f"no end after {MAX_STEPS} steps")

    def _step(self) -> None:
        ready = self._ready
        chosen = int(self._draw() * len(ready)) if len(ready) > 1 else 0
        handle = ready[chosen]
        last = ready.pop()
        if last is not handle:
            ready[chosen] = last
        if handle._cancelled:
            return
        process = handle._context.get(PROCESS)
        if process is not None and not self._over and (process.paused or not process.alive):
            if not process.held:
                self._processes.append(process)
            process.held.append(handle)
            return
        handle._run()

    def _wind_up(self) -> None:
        """End every task that is left, the killed ones' too, so that nothing runs when memory is collected."""
        self._over = True
        self._timers.clear()
        for process in self._processes:
            self.resume(process)
        for _ in range(100):
            left = [task for task in self._tasks if not task.done()]
            if not left:
                return
            for task in left:
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                task.cancel()
            while self._ready:
                self._step()

    def _close_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        if not self._over:  # what a killed process left behind when all is over runs no more
            self.create_task(_closing(generator))


async def _closing(generator: AsyncGenerator[Any, Any]) -> None:
    await generator.aclose()
