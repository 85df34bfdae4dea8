"""Publishing single requests and timing single answers, as cheaply as may be: what this costs, the subjects lack.

Frames of requests are made beforehand and go out in one write each. Answers are looked at as they are read, without a
task for each, and only for the request they name.
"""

import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aio_pika
from aiormq.abc import ChannelFrame, DeliveredMessage
from aiormq.channel import Channel
from pamqp.commands import Basic

from tests.benchmarks.events.counting import ANSWERS
from worker.broker import at_once, batch

_CORRELATION = re.compile(rb'"correlationid":"([^"]+)"')


class Sender:
    """Publishes persistent requests, one at a time."""

    def __init__(self, channel: Channel, exchange: str, key: str, content_type: str) -> None:
        self.channel = channel
        self._exchange = exchange
        self._key = key
        self._content_type = content_type

    def encoded(self, event_id: str, body: bytes) -> batch.Encoded:
        """Return a request as it goes over the wire."""
        properties = Basic.Properties(content_type=self._content_type, message_id=event_id, delivery_mode=2)
        return batch.encode(self.channel, self._exchange, self._key, body, properties)

    def frames_of(self, event_id: str, body: bytes) -> ChannelFrame:
        """Return what ``send`` takes."""
        return ChannelFrame(payload=self.encoded(event_id, body).frames, should_close=False)

    async def send(self, frames: ChannelFrame) -> float:
        """Send a request; returns when it left."""
        at = time.perf_counter()
        await self.channel.write_queue.put(frames)
        return at


@asynccontextmanager
async def sender(
    url: str, exchange: str, key: str, content_type: str, *, confirms: bool = False
) -> AsyncIterator[Sender]:
    """Connect a sender."""
    async with await aio_pika.connect(url) as connection:
        opened = await connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
        channel = await opened.get_underlay_channel()
        assert isinstance(channel, Channel)
        yield Sender(channel, exchange, key, content_type)


@asynccontextmanager
async def answers(url: str, note: Callable[[str, float, DeliveredMessage], None]) -> AsyncIterator[None]:
    """Tell of every answer: the request's id, when the answer came, and the answer."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True, auto_delete=True)
        await queue.bind("pike.events", ANSWERS)
        underlay = await channel.get_underlay_channel()
        assert isinstance(underlay, Channel)

        def seen(message: DeliveredMessage) -> None:
            found = _CORRELATION.search(message.body)
            if found is not None:
                note(found[1].decode(), time.perf_counter(), message)

        await at_once.consume(underlay, queue.name, seen, no_ack=True)
        yield
