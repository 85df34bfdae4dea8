"""Publishing single requests and timing single answers, as cheaply as may be: what this costs, the subjects lack.

Frames of requests are made beforehand and go straight to the transport. Answers are timed as their bytes arrive, before
anything is taken apart: an instrument that first works through the frames of a bunch waits behind the worker for a
processor, and counts its own waiting as the worker's.
"""

import re
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel
from aiormq.connection import TCPTransportFactory
from pamqp.commands import Basic
from yarl import URL

from tests.benchmarks.events import at_once
from tests.benchmarks.events.counting import ANSWERS
from worker.broker import batch

_CORRELATION = re.compile(rb'"correlationid":"([^"]+)"')
_CORRELATION_BYTES = 128
"""More than what names a request in an answer: so much is kept of a piece, in case it ends in the middle of one."""

HEARTBEAT_S = 3600
"""Longer than any run."""


class _Line(TCPTransportFactory):
    """Opens a plain connection as aiormq does, and holds its two ends."""

    reader: StreamReader
    writer: StreamWriter

    async def create(self, url: URL, **kwargs: Any) -> tuple[StreamReader, StreamWriter]:
        self.reader, self.writer = await super().create(url, **kwargs)
        return self.reader, self.writer


class _Connection(aio_pika.Connection):
    """A connection whose line can be got at."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.line = _Line()
        self.kwargs["transport_factory"] = self.line


class Sender:
    """Publishes persistent requests, one at a time."""

    def __init__(self, line: _Line, channel: Channel, exchange: str, key: str, content_type: str) -> None:
        self.channel = channel
        self._line = line
        self._exchange = exchange
        self._key = key
        self._content_type = content_type

    def encoded(self, event_id: str, body: bytes) -> batch.Encoded:
        """Return a request as it goes over the wire: what ``send`` takes."""
        properties = Basic.Properties(content_type=self._content_type, message_id=event_id, delivery_mode=2)
        return batch.encode(self.channel, self._exchange, self._key, body, properties)

    def send(self, request: batch.Encoded) -> float:
        """Send a request; returns when it left."""
        at = time.perf_counter()
        self._line.writer.write(request.frames)  # whole frames, so that aiormq's own stay whole between them
        return at


@asynccontextmanager
async def sender(
    url: str, exchange: str, key: str, content_type: str, *, confirms: bool = False
) -> AsyncIterator[Sender]:
    """Connect a sender."""
    async with await aio_pika.connect(url, connection_class=_Connection) as connection:
        assert isinstance(connection, _Connection)
        channel = await connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
        yield Sender(connection.line, await _underlay(channel), exchange, key, content_type)


@asynccontextmanager
async def answers(url: str, note: Callable[[str, float, DeliveredMessage], None]) -> AsyncIterator[None]:
    """Tell of every answer: the request's id, when the answer came, and the answer."""

    def seen(message: DeliveredMessage) -> None:
        found = _CORRELATION.search(message.body)
        if found is not None:
            note(found[1].decode(), time.perf_counter(), message)

    async with _consuming(url, seen):
        yield


@asynccontextmanager
async def times_of_answers(url: str) -> AsyncIterator[dict[str, float]]:
    """Yield when each request was answered, by its id; grows as answers come. A second answer counts, not the first."""
    times: dict[str, float] = {}
    rest = b""

    def arrived(data: bytes) -> None:
        nonlocal rest
        at = time.perf_counter()
        data = rest + data
        end = max(0, len(data) - _CORRELATION_BYTES)
        for found in _CORRELATION.finditer(data):
            times[found[1].decode()] = at
            end = max(end, found.end())
        rest = data[end:]

    # aiormq reads no heartbeats while this listens, and would take the connection for dead after three minutes
    async with _consuming(str(URL(url).update_query(heartbeat=HEARTBEAT_S)), lambda _message: None) as line:
        line.reader.feed_data = arrived  # type: ignore[method-assign]
        try:
            yield times
        finally:
            del line.reader.feed_data  # aiormq reads again: the answer to its farewell


@asynccontextmanager
async def _consuming(url: str, seen: Callable[[DeliveredMessage], None]) -> AsyncIterator[_Line]:
    async with await aio_pika.connect(url, connection_class=_Connection) as connection:
        assert isinstance(connection, _Connection)
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True, auto_delete=True)
        await queue.bind("pike.events", ANSWERS)
        await at_once.consume(await _underlay(channel), queue.name, seen, no_ack=True)
        yield connection.line


async def _underlay(channel: aio_pika.abc.AbstractChannel) -> Channel:
    underlay = await channel.get_underlay_channel()
    assert isinstance(underlay, Channel)
    return underlay
