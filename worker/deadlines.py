"""Time limits of very many, watched together. ``asyncio.timeout`` sets and cancels a timer each time, which costs an
event more than most of what it limits; nearly none of these limits is ever reached.

One timer is set, for the limit that is over first. Most have been kept long before: then it is set anew.
"""

import asyncio
from types import TracebackType


class Deadlines:
    """Watches the limits of one owner. ``with deadlines.limit(60):`` raises ``TimeoutError`` as ``asyncio.timeout``."""

    def __init__(self) -> None:
        self._limits: dict[_Limit, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def limit(self, seconds: float) -> "_Limit":
        """Return a block that may take so many seconds."""
        return _Limit(self, seconds)

    def _watch(self, limit: "_Limit", until: float, loop: asyncio.AbstractEventLoop) -> None:
        self._limits[limit] = until
        if self._timer is None or until < self._timer.when():
            self._set_timer(until, loop)

    def _set_timer(self, when: float, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(when, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        for limit in [limit for limit, until in self._limits.items() if until <= now]:
            del self._limits[limit]
            limit.over()
        if self._limits:
            self._set_timer(min(self._limits.values()), loop)

    def _forget(self, limit: "_Limit") -> None:
        self._limits.pop(limit, None)


class _Limit:
    """One block. Entered and left by the same task."""

    __slots__ = ("_before", "_deadlines", "_expired", "_seconds", "_task")

    def __init__(self, deadlines: Deadlines, seconds: float) -> None:
        self._deadlines = deadlines
        self._seconds = seconds
        self._expired = False

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a time limit needs a task")
        self._task, self._before = task, task.cancelling()
        self._deadlines._watch(self, loop.time() + self._seconds, loop)

    def over(self) -> None:
        """Break the block off."""
        self._expired = True
        self._task.cancel()

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, _: TracebackType | None) -> None:
        self._deadlines._forget(self)
        if self._expired and self._task.uncancel() <= self._before and isinstance(exc, asyncio.CancelledError):
            raise TimeoutError from exc
