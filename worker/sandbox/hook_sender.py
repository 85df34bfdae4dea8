"""Calls webhooks as the service does: one request per change, at once and side by side, tried again when it fails.

Fault rules strike them too: method ``POST``, path ``/hooks/CUSTOMER_UPDATED``. ``drop_before`` loses a try,
``drop_after`` calls and takes it for failed (so it comes again), ``delay`` holds one back: they change their order.
"""

import asyncio

import aiohttp

from worker.sandbox.faults import Faults
from worker.sandbox.hooks import Hooks, Ring

TRIES = 3
TIMEOUT_S = 10.0
AT_ONCE = 100


class HookSender:
    """Sends calls in the background. ``start`` before use, ``stop`` after."""

    def __init__(self, faults: Faults, *, pause_s: float = 0.2) -> None:
        self._faults = faults
        self._pause_s = pause_s
        self._session: aiohttp.ClientSession | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._gate = asyncio.Semaphore(AT_ONCE)
        self.sent: list[tuple[str, int | None]] = []
        """Event type and status of every try; no status when there was no answer."""

    def start(self) -> None:
        """Open the connection pool."""
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))

    async def stop(self) -> None:
        """Forget calls that are on their way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def attach(self, number: int, hooks: Hooks) -> None:
        """Carry out the calls of an agreement's hooks."""

        def ring(call: Ring) -> None:
            if self._session is None:
                return
            task = asyncio.get_running_loop().create_task(self._carry_out(number, hooks, call))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        hooks.listener = ring

    async def _carry_out(self, number: int, hooks: Hooks, call: Ring) -> None:
        for attempt in range(TRIES):
            async with self._gate:
                if await self._try(number, call):
                    hooks.went(call.hook, well=True)
                    return
            await asyncio.sleep(self._pause_s * 2**attempt)
        hooks.went(call.hook, well=False)

    async def _try(self, number: int, call: Ring) -> bool:
        rule = self._faults.pick("POST", f"/hooks/{call.hook.event_type}", number)
        if rule is not None and rule.kind == "delay":
            await asyncio.sleep(rule.seconds)
        if self._session is None or (rule is not None and rule.kind == "drop_before"):
            return False
        headers = {"Content-Type": call.hook.content_type, **dict(call.hook.headers)}
        try:
            async with self._session.post(call.url, data=call.body.encode(), headers=headers) as answer:
                await answer.read()
                status: int | None = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            status = None
        self.sent.append((call.hook.event_type, status))
        return status is not None and status < 300 and not (rule is not None and rule.kind == "drop_after")
