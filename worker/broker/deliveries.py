"""Taking the deliveries out of what a connection reads, as its bytes arrive.

aiormq reads a frame in three pieces and hands it from one task to another, and a delivery has three frames (aiormq 7.2,
``FrameReceiver`` and ``Channel._reader``): two rounds of the event loop before a consumer sees it, and several times
the work of taking it apart. Here deliveries to consumers that are known are made of the bytes at once. All else goes on
to aiormq, in order and in whole frames: answers, cancellations, heartbeats, what others consume.

A consumer is made known before the broker hears of it, under a tag of ours. So each of its deliveries comes this way,
and none can overtake another.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel
from pamqp import constants
from pamqp.commands import Basic
from pamqp.header import ContentHeader

HandOver = Callable[[DeliveredMessage], None]
"""Runs while the connection is being read: it may neither wait nor raise."""

_FRAME = struct.Struct(">BHI")
"""How a frame begins: kind, channel, length of what follows. It ends with ``FRAME_END``. AMQP 0-9-1, 4.2.3."""
_DELIVER = struct.pack(">I", Basic.Deliver.index)
_NUMBERS = struct.Struct(">QB")
"""A delivery's tag, and the octet whose lowest bit says that it was delivered before."""
_KINDS = frozenset((constants.FRAME_METHOD, constants.FRAME_HEADER, constants.FRAME_BODY, constants.FRAME_HEARTBEAT))
_NO_FRAME = -1


@dataclass(frozen=True, slots=True)
class _Consumer:
    channel: Channel
    hand_over: HandOver


class Consumers:
    """Who consumes on a connection."""

    def __init__(self) -> None:
        self._consumers: dict[tuple[int, bytes], _Consumer] = {}

    def add(self, channel: Channel, tag: str, hand_over: HandOver) -> None:
        """Know a consumer from now on. To be called before the broker is told of it."""
        self._consumers[channel.number, tag.encode()] = _Consumer(channel, hand_over)

    def remove(self, channel: Channel, tag: str) -> None:
        """Know it no longer. To be called when the broker has confirmed its end."""
        self._consumers.pop((channel.number, tag.encode()), None)

    def find(self, channel: int, tag: bytes) -> _Consumer | None:
        """Return who consumes under this tag; ``None`` for consumers that are aiormq's."""
        return self._consumers.get((channel, tag))


@dataclass(slots=True)
class _Begun:
    """A delivery of which not all has come."""

    consumer: _Consumer
    delivery: Basic.Deliver
    header: ContentHeader | None = None
    missing: int = 0
    body: list[bytes] = field(default_factory=list)


class Demultiplexer:
    """Splits what one connection reads into deliveries of known consumers and the rest."""

    def __init__(self, consumers: Consumers, pass_on: Callable[[bytes], None]) -> None:
        """``pass_on`` gets the rest, and everything once something came that is no frame: others complain better."""
        self._consumers = consumers
        self._pass_on = pass_on
        self._begun: dict[int, _Begun] = {}  # by channel: a message's frames follow each other there
        self._held: list[bytes] = []
        """The beginning of a frame that has not come as a whole, in the pieces that were read."""
        self._missing = 0
        """Bytes that are to come, at least, before it has."""
        self._readable = True

    def feed(self, data: bytes) -> bool:
        """Take what was read; return whether a frame of it was ours.

        Raises ``ValueError`` for a delivery that is broken: then the connection has to be given up.
        """
        if not self._readable:
            self._pass_on(data)
            return False
        if self._held:
            self._held.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return False
            data = b"".join(self._held)
            self._held.clear()
        at = others = 0  # where the next frame begins, and what is not ours and not passed on yet
        ours = False
        while at < len(data):
            end = _end_of_frame(data, at)
            if end == _NO_FRAME:
                if self._begun:
                    raise ValueError("something that is no frame in the middle of a delivery")
                self._readable, at = False, len(data)
                break
            if end > len(data):
                self._held.append(data[at:])
                self._missing = end - len(data)
                break
            if self._is_ours(data, at, end):
                ours = True
                if others < at:
                    self._pass_on(data[others:at])
                others = end
            at = end
        if others < at:
            self._pass_on(data[others:at])
        return ours and self._readable

    def finish(self) -> None:
        """Hear that nothing more comes, and pass on what is left over."""
        held = b"".join(self._held)
        self._held.clear()
        if held:
            self._pass_on(held)

    def _is_ours(self, data: bytes, at: int, end: int) -> bool:
        """Take the frame if it is part of a delivery to a known consumer."""
        try:
            return self._take(data, at, end)
        except (struct.error, IndexError) as exc:
            raise ValueError(f"a delivery that cannot be read: {exc}") from exc

    def _take(self, data: bytes, at: int, end: int) -> bool:
        kind, channel, _ = _FRAME.unpack_from(data, at)
        content = at + _FRAME.size
        begun = self._begun.get(channel)
        if begun is not None:
            self._go_on(channel, begun, kind, data[content : end - 1])
            return True
        if kind != constants.FRAME_METHOD or not data.startswith(_DELIVER, content):
            return False
        begun = self._begin(channel, data[content + len(_DELIVER) : end - 1])
        if begun is None:
            return False
        self._begun[channel] = begun
        return True

    def _begin(self, channel: int, arguments: bytes) -> _Begun | None:
        tag, at = _short_string(arguments, 0)
        consumer = self._consumers.find(channel, tag)
        if consumer is None:
            return None
        delivery_tag, bits = _NUMBERS.unpack_from(arguments, at)
        exchange, at = _short_string(arguments, at + _NUMBERS.size)
        routing_key, _ = _short_string(arguments, at)
        delivery = Basic.Deliver()  # its arguments would be checked: RabbitMQ allows more names than pamqp does
        delivery.consumer_tag = tag.decode()
        delivery.delivery_tag, delivery.redelivered = delivery_tag, bool(bits & 1)
        delivery.exchange = exchange.decode(errors="replace")
        delivery.routing_key = routing_key.decode(errors="replace")
        return _Begun(consumer, delivery)

    def _go_on(self, channel: int, begun: _Begun, kind: int, content: bytes) -> None:
        if begun.header is None and kind == constants.FRAME_HEADER:
            begun.header = ContentHeader()
            begun.header.unmarshal(content)
            begun.missing = begun.header.body_size
        elif begun.header is not None and kind == constants.FRAME_BODY and len(content) <= begun.missing:
            begun.body.append(content)
            begun.missing -= len(content)
        else:
            raise ValueError(f"a frame of kind {kind} in the middle of a delivery on channel {channel}")
        if not begun.missing:
            del self._begun[channel]
            message = DeliveredMessage(begun.delivery, begun.header, b"".join(begun.body), begun.consumer.channel)
            begun.consumer.hand_over(message)


def _end_of_frame(data: bytes, at: int) -> int:
    """Return where the frame ends that begins here, at the earliest; ``_NO_FRAME`` when it is none."""
    if data[at] not in _KINDS:
        return _NO_FRAME
    content = at + _FRAME.size
    if content > len(data):
        return content
    end: int = content + _FRAME.unpack_from(data, at)[2] + 1
    if end > len(data) or data[end - 1] == constants.FRAME_END:
        return end
    return _NO_FRAME


def _short_string(data: bytes, at: int) -> tuple[bytes, int]:
    """Return a string of up to 255 bytes, and where it ends."""
    end = at + 1 + data[at]
    return data[at + 1 : end], end
