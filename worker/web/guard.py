"""Connections are bounded before a request is read: how many, and how long one may take over its headers.

aiohttp reads headers for as long as they trickle in, so a slow sender would hold a connection for ever. Here every
connection has a deadline while no request of it is at work; and when all places are taken, the one that has been idle
longest makes room, so that slow senders get in each other's way and not in others'.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

HEAD_LIMIT_S = 10.0
"""Seconds for the headers of a request, and between two requests of a connection."""

MAX_CONNECTIONS = 512
MAX_LINE = 8190
"""Bytes of the request line and of one header."""


class Guard:
    """Makes the protocol of each new connection, for ``loop.create_server``."""

    def __init__(self, *, head_limit_s: float = HEAD_LIMIT_S, most: int = MAX_CONNECTIONS) -> None:
        self._server: Callable[[], Any] | None = None
        self.head_limit_s = head_limit_s
        self.most = most
        self.idle: dict[asyncio.BaseTransport, _Connection] = {}  # oldest first
        self.busy: dict[asyncio.BaseTransport, _Connection] = {}

    @asynccontextmanager
    async def listening(self, runner: web.AppRunner, host: str, port: int) -> AsyncIterator[tuple[str, int]]:
        """Listen for a runner that is set up; yields the address. Port 0 takes a free one."""
        self._server = runner.server
        listener = await asyncio.get_running_loop().create_server(self._protocol, host, port, backlog=128)
        try:
            bound = listener.sockets[0].getsockname()
            yield bound[0], bound[1]
        finally:
            listener.close()
            for connection in [*self.idle.values()]:
                connection.drop()

    def _protocol(self) -> asyncio.Protocol:
        if self._server is None:
            raise RuntimeError("the guard has no server yet")
        return _Connection(self, self._server())

    def __len__(self) -> int:
        return len(self.idle) + len(self.busy)

    def make_room(self) -> bool:
        """Drop the connection that has been idle longest when all places are taken. False when all are at work."""
        if len(self) < self.most:
            return True
        if not self.idle:
            return False
        next(iter(self.idle.values())).drop()
        return True

    def middleware(self) -> Any:
        """Return the middleware that tells when a request is at work: from its headers on, until it is answered."""

        @web.middleware
        async def at_work(request: web.Request, handler: Handler) -> web.StreamResponse:
            transport = request.transport
            connection = self.idle.get(transport) if transport is not None else None
            if connection is None:
                return await handler(request)
            connection.begin()
            try:
                return await handler(request)
            finally:
                connection.rest()

        return at_work


class _Connection(asyncio.Protocol):
    """Passes everything on to aiohttp's protocol, and keeps the deadline."""

    def __init__(self, guard: Guard, inner: Any) -> None:
        self._guard = guard
        self._inner = inner
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # streams have transports of both directions
        if not self._guard.make_room():
            transport.abort()  # type: ignore[attr-defined]
            return
        self._open = True
        self._inner.connection_made(transport)
        self.rest()

    def begin(self) -> None:
        """A request is at work: its time is bounded elsewhere."""
        self._stop_clock()
        if self._transport is not None and self._guard.idle.pop(self._transport, None) is not None:
            self._guard.busy[self._transport] = self

    def rest(self) -> None:
        """Nothing is at work: the next headers have to come in time, and so has the reading of our answer."""
        if self._transport is None or not self._open:
            return
        self._stop_clock()
        self._guard.busy.pop(self._transport, None)
        self._guard.idle[self._transport] = self
        self._deadline = asyncio.get_running_loop().call_later(self._guard.head_limit_s, self.drop)

    def drop(self) -> None:
        """Close at once, without a farewell that would have to be waited for."""
        self._forget()
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._open:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._open else None

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._open:
            self._open = False
            self._forget()
            self._inner.connection_lost(exc)

    def _forget(self) -> None:
        self._stop_clock()
        if self._transport is not None:
            self._guard.idle.pop(self._transport, None)
            self._guard.busy.pop(self._transport, None)

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
