"""Reading what RabbitMQ sends in bunches, as network cards gather interrupts.

Under load RabbitMQ sends deliveries one by one. A worker that wakes for each runs all of its code once a delivery, and
code that was not run for a millisecond is slow: the processor has forgotten it. So after something was read, reading
stops for ``BUNCH_S``; what came meanwhile is then read, claimed and committed together. Who comes after a pause is read
at once. Connections with TLS are read as the data comes.
"""

import asyncio
from typing import Any, cast

import aio_pika
from aiormq import AMQPConnectionError, TransportFactory
from pamqp.heartbeat import Heartbeat
from yarl import URL

from worker.broker.deliveries import Consumers, Demultiplexer

BUNCH_S = 0.009
"""How long nothing is read after something was."""
LIMIT = 2**16
"""Bytes that a stream holds before it stops reading by itself (asyncio's own figure). After a read of so many there may
be more, and it goes on at once."""
ALIVE_S = 1.0
"""How often aiormq is told that deliveries come; it hangs up when it has seen nothing for three heartbeats."""
_HEARTBEAT = Heartbeat().marshal()


class BunchedConnection(aio_pika.Connection):
    """A plain connection of aio-pika's that is read in bunches."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.reading = BunchedTransport()
        self.kwargs["transport_factory"] = self.reading  # aio-pika hands these on to aiormq's connection


class BunchedTransport(TransportFactory):
    """Opens the connection as aiormq's own factories do, plain or TLS."""

    def __init__(self) -> None:
        self.gathering = False
        """Whether reading pauses: only while messages are expected. Before, each answer to a declaration would wait."""
        self.consumers = Consumers()
        """Whose deliveries do not go through aiormq."""

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """See ``TransportFactory``. Raises ``AMQPConnectionError``."""
        provider = kwargs.pop("ssl_context_provider", None)
        ssl = await provider.get_context() if url.scheme == "amqps" else None
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=LIMIT, loop=loop)
        try:
            transport, protocol = await loop.create_connection(
                lambda: _Protocol(reader, loop, self), host=url.host or "", port=url.port or 0, ssl=ssl, **kwargs
            )
        except OSError as exc:
            raise AMQPConnectionError(*exc.args) from exc
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


class _Protocol(asyncio.StreamReaderProtocol):
    """Feeds the reader, and holds reading back after each piece."""

    def __init__(
        self, reader: asyncio.StreamReader, loop: asyncio.AbstractEventLoop, transport: BunchedTransport
    ) -> None:
        super().__init__(reader, loop=loop)
        self._loop_of = loop
        self._opened_by = transport
        self._valve: _Valve | None = None
        self._demultiplexer = Demultiplexer(transport.consumers, super().data_received)
        self._alive_s = float("-inf")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # not with TLS: uvloop's forgets what it has not handed on when the other side ends (sslproto, eof_received)
        if transport.get_extra_info("sslcontext") is None:
            transport = self._valve = _Valve(cast("asyncio.Transport", transport), self._loop_of)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._demultiplexer.feed(data):
            self._show_life()
        if self._valve is not None and self._opened_by.gathering and len(data) < LIMIT:
            self._valve.hold(BUNCH_S)

    def _show_life(self) -> None:
        """Let aiormq, which sees no deliveries, know that the broker is there: it sends no heartbeats meanwhile."""
        now_s = self._loop_of.time()
        if now_s - self._alive_s >= ALIVE_S:
            self._alive_s = now_s
            super().data_received(_HEARTBEAT)

    def eof_received(self) -> bool | None:
        self._demultiplexer.finish()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._valve is not None:
            self._valve.forget()
        try:
            self._demultiplexer.finish()
        finally:
            super().connection_lost(exc)


class _Valve(asyncio.Transport):
    """The transport as its reader sees it: open when neither the reader is full nor a bunch is gathering."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._full = False
        self._gathering: asyncio.TimerHandle | None = None
        self._open = True

    def hold(self, seconds: float) -> None:
        """Read nothing for so long."""
        if self._gathering is None:
            self._gathering = self._loop.call_later(seconds, self._gathered)
            self._turn()

    def _gathered(self) -> None:
        self._gathering = None
        self._turn()

    def forget(self) -> None:
        """Hear that the connection is gone."""
        if self._gathering is not None:
            self._gathering.cancel()

    def pause_reading(self) -> None:
        self._full = True
        self._turn()

    def resume_reading(self) -> None:
        self._full = False
        self._turn()

    def _turn(self) -> None:
        wanted = not self._full and self._gathering is None
        if wanted != self._open and not self._transport.is_closing():
            self._open = wanted
            if wanted:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()
