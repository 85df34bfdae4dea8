"""Publishing many messages in one write on aiormq's channel, and their confirms; settling many deliveries likewise.

``basic_publish`` sends one message: a task each, the channel's lock, and a place in a write queue of ten, so that a
hundred messages take some hundred rounds of the event loop. What it keeps about each message (delivery tag,
confirmation, message id of a return; aiormq 7.2, ``Channel.basic_publish``) is kept here in the same places, for all of
them at once, and confirms and returns come back through aiormq.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pamqp.frame
from aiormq.abc import ChannelFrame
from aiormq.channel import Channel
from aiormq.exceptions import ChannelInvalidStateError
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader


@dataclass(frozen=True, slots=True)
class Encoded:
    """One message as it goes over the wire. No two of a batch have the same ``message_id``."""

    message_id: str
    frames: bytes


def encode(channel: Channel, exchange: str, key: str, body: bytes, properties: Basic.Properties) -> Encoded:
    """Write a mandatory message's frames. Raises ``ValueError``, ``TypeError``, ``struct.error`` for what has none."""
    number, size = channel.number, channel.max_content_size
    frames = [_method(number, exchange, key)]
    frames.append(pamqp.frame.marshal(ContentHeader(properties=properties, body_size=len(body)), number))
    frames += [
        pamqp.frame.marshal(ContentBody(body[start : start + size]), number) for start in range(0, len(body), size)
    ]
    return Encoded(properties.message_id or "", b"".join(frames))


@lru_cache(maxsize=256)
def _method(number: int, exchange: str, key: str) -> bytes:
    return pamqp.frame.marshal(Basic.Publish(exchange=exchange, routing_key=key, mandatory=True), number)


class Confirms:
    """The confirms of a batch on its way. ``over`` is done when each has come, or the channel has gone."""

    def __init__(self, channel: Channel, batch: Sequence[Encoded]) -> None:
        loop = asyncio.get_running_loop()
        self._channel = channel
        self._batch = batch
        self._futures: list[asyncio.Future[Any]] = [loop.create_future() for _ in batch]
        self._open = len(batch)
        self.over: asyncio.Future[None] = loop.create_future()
        self._closing = channel.closing
        for future in self._futures:
            future.add_done_callback(self._came)
        self._closing.add_done_callback(self._gone)

    @property
    def futures(self) -> "Sequence[asyncio.Future[Any]]":
        """One for each message of the batch, in order; aiormq settles them."""
        return self._futures

    def _came(self, future: "asyncio.Future[Any]") -> None:
        if not future.cancelled():
            future.exception()  # read here, as it may come when nobody waits any more
        self._open -= 1
        if not self._open:
            self._end()

    def _gone(self, _closing: "asyncio.Future[Any]") -> None:
        self._end()

    def _end(self) -> None:
        if not self.over.done():
            self.over.set_result(None)

    def end(self) -> list[BaseException | None]:
        """Watch no longer; return per message why it was not confirmed, ``None`` when it was.

        ``TimeoutError`` stands for those of which nothing is known though the channel lives. What is confirmed or
        returned after this is nobody's.
        """
        errors = [self._error(future) for future in self._futures]
        self._closing.cancel()  # our own view of it: the channel stays as it is
        for message in self._batch:
            self._channel.message_id_delivery_tag.pop(message.message_id, None)
        return errors

    def _error(self, future: "asyncio.Future[Any]") -> BaseException | None:
        if future.done():
            return asyncio.CancelledError() if future.cancelled() else future.exception()
        if not self._closing.done():
            return TimeoutError()
        return (None if self._closing.cancelled() else self._closing.exception()) or asyncio.CancelledError()


async def send(channel: Channel, batch: Sequence[Encoded]) -> Confirms:
    """Hand a batch to the connection, and return its confirms. A cancellation means that nothing was sent."""
    async with channel.lock:
        confirms = Confirms(channel, batch)
        first = channel.delivery_tag + 1
        for tag, message, future in zip(range(first, first + len(batch)), batch, confirms.futures, strict=True):
            channel.confirmations[tag] = future
            channel.message_id_delivery_tag[message.message_id] = tag
        channel.delivery_tag += len(batch)
        try:
            frames = b"".join(message.frames for message in batch)
            await channel.write_queue.put(ChannelFrame(payload=frames, should_close=False))
        except BaseException:
            # the broker has not seen them: it will count the next message with the first one's number
            channel.delivery_tag -= len(batch)
            for tag in range(first, first + len(batch)):
                channel.confirmations.pop(tag, None)
            confirms.end()
            raise
    return confirms


async def settle(channel: Channel, settlements: Sequence[Basic.Ack | Basic.Reject]) -> None:
    """Send settlements in one write. Raises ``ChannelInvalidStateError`` when the channel has gone."""
    if channel.is_closed:
        raise ChannelInvalidStateError(f"{channel!r} closed")
    await channel.write_queue.put(ChannelFrame.marshall(channel_number=channel.number, frames=settlements))
