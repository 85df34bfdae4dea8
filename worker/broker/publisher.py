"""Publishing with certainty: persistent, mandatory, confirmed, and never waiting for ever."""

import asyncio
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

from aiormq.channel import Channel
from aiormq.exceptions import ChannelNotFoundEntity, DeliveryError, PublishError
from pamqp.commands import Basic

from worker.broker import batch
from worker.broker.batch import Confirms, Encoded
from worker.broker.connection import Address, broker_errors
from worker.broker.frames import PERSISTENT
from worker.errors import BrokerError, BrokerUnavailable, Unroutable

PUBLISH_TIMEOUT_S = 10.0
MISSING_EXCHANGE = re.compile(r"no exchange '(?P<name>[^']*)'")
_INEXPRESSIBLE = (ValueError, TypeError, struct.error)
"""A message that AMQP cannot express: an over-long key, a header of a strange type."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message to publish. ``message_id`` is the event's id and may not be empty."""

    exchange: str
    routing_key: str
    body: bytes
    message_id: str
    headers: Mapping[str, str | int]
    content_type: str = "application/cloudevents+json"


@dataclass(frozen=True, slots=True)
class _Message:
    """What is to be sent, with the properties it is sent with."""

    exchange: str
    key: str
    body: bytes
    properties: Basic.Properties

    @property
    def id(self) -> str:
        return str(self.properties.message_id)

    def __str__(self) -> str:
        return f"message {self.id} of type {self.key} to exchange '{self.exchange}'"


class Publisher:
    """Publishes on whatever channel it was given last; between two it waits, within the time-out.

    The broker owns one and attaches a new channel after each reconnect.
    """

    def __init__(self, address: Address, on_refused: Callable[[], None] = lambda: None) -> None:
        """``on_refused`` hears when the broker says no to a message, and may have the channel replaced.

        A channel that was opened while a queue had no leader yet may go on refusing its messages for as long as it
        lives (seen with RabbitMQ 3.10 after the leader's node was killed); a fresh one does not.
        """
        self._address = address
        self._on_refused = on_refused
        self._channel: Channel | None = None
        self._attached = asyncio.Event()
        self._in_flight: dict[str, asyncio.Event | None] = {}
        """The message ids that are being published, with what to set when one is free again, where somebody waits.

        One publish per message id at a time: aiormq finds the publish that a returned message belongs to by message
        id, and with two in flight it would call the returned one confirmed.
        """

    @property
    def attached(self) -> bool:
        """Whether there is a live channel now."""
        return self._channel is not None and not self._channel.is_closed

    def attach(self, channel: Channel) -> None:
        """Publish on this channel from now on; it must confirm and raise for returned messages."""
        self._channel = channel
        self._attached.set()

    def detach(self) -> None:
        """Hold publishes back until the next channel comes; those under way fail by themselves."""
        self._channel = None
        self._attached.clear()

    async def publish(self, msg: Outgoing, timeout_s: float = PUBLISH_TIMEOUT_S) -> None:
        """Return when the broker has the message safely in a queue.

        Raises ``Unroutable`` when no queue takes it or AMQP cannot express it, ``BrokerUnavailable`` when that was
        not confirmed within ``timeout_s`` (no connection, a memory or disk alarm, a lost confirm): it may have
        arrived all the same.
        """
        await self.send(msg.exchange, msg.routing_key, msg.body, _properties(msg), timeout_s)

    async def send(
        self, exchange: str, routing_key: str, body: bytes, properties: Basic.Properties, timeout_s: float
    ) -> None:
        """Publish with these very properties, or with a message id of its own if there is none; else as ``publish``."""
        properties.message_id = properties.message_id or uuid4().hex
        (error,) = await self._send_all([_Message(exchange, routing_key, body, properties)], timeout_s)
        if error is not None:
            raise error

    async def publish_many(
        self, msgs: Iterable[Outgoing], timeout_s: float = PUBLISH_TIMEOUT_S
    ) -> list[BrokerError | None]:
        """Publish all in one go, their confirms in flight together; return per message ``None`` or what went wrong.

        Each stands for itself, except that one clock runs for all of them.
        """
        return await self._send_all(
            [_Message(msg.exchange, msg.routing_key, msg.body, _properties(msg)) for msg in msgs], timeout_s
        )

    async def _send_all(self, messages: Sequence[_Message], timeout_s: float) -> list[BrokerError | None]:
        results: dict[int, BrokerError | None] = {}
        until = asyncio.get_running_loop().time() + timeout_s
        left = dict(enumerate(messages))
        while left:
            together = await self._take_turns(left, until)
            if not together:  # the id of the first was in flight until the time was over
                results |= {place: self._explained(TimeoutError(), each, timeout_s) for place, each in left.items()}
                break
            try:
                errors = await self._send_together(together, until)
            finally:
                self._end_turns(together.values())
            for place in together:
                results[place] = self._explained(errors.get(place), left.pop(place), timeout_s)
        return [results[place] for place in sorted(results)]

    async def _take_turns(self, left: Mapping[int, _Message], until: float) -> dict[int, _Message]:
        """Return those that may go together: each message id once, none that is in flight. None when time is over."""
        first = next(iter(left.values()))
        try:
            async with asyncio.timeout_at(until):
                while first.id in self._in_flight:
                    free = self._in_flight[first.id] = self._in_flight[first.id] or asyncio.Event()
                    await free.wait()
        except TimeoutError:
            return {}
        together: dict[int, _Message] = {}
        for place, message in left.items():
            if message.id not in self._in_flight:
                self._in_flight[message.id] = None
                together[place] = message
        return together

    def _end_turns(self, messages: Iterable[_Message]) -> None:
        for message in messages:
            free = self._in_flight.pop(message.id, None)
            if free is not None:
                free.set()

    async def _send_together(self, messages: Mapping[int, _Message], until: float) -> dict[int, BaseException]:
        """Return the errors of those that were not confirmed."""
        errors: dict[int, BaseException] = {}
        encoded: dict[int, Encoded] = {}
        channel: Channel | None = None
        confirms: Confirms | None = None
        failure: BaseException = TimeoutError()
        try:
            async with asyncio.timeout_at(until):
                channel = await self._live_channel()
                for place, message in messages.items():
                    try:
                        encoded[place] = batch.encode(
                            channel, message.exchange, message.key, message.body, message.properties
                        )
                    except _INEXPRESSIBLE as exc:
                        errors[place] = exc
                if encoded:
                    confirms = await batch.send(channel, list(encoded.values()))
                    await confirms.over
        except Exception as exc:  # the time is over, or the channel went before anything was sent
            failure = exc
        finally:
            told = confirms.end() if confirms is not None else None
        for number, place in enumerate(messages if channel is None else encoded):
            error = told[number] if told is not None else failure
            if error is not None:
                errors[place] = error
        if channel is self._channel and any(map(_is_refusal, errors.values())):
            self._on_refused()
        return errors

    def _explained(self, error: BaseException | None, message: _Message, timeout_s: float) -> BrokerError | None:
        """Return our error for the driver's."""
        if error is None:
            return None
        if isinstance(error, TimeoutError):
            return BrokerUnavailable(
                f"RabbitMQ at {self._address} did not confirm {message} within {timeout_s:g} s"
                + ("" if self.attached else ": no connection")
            )
        try:
            with broker_errors(f"publishing {message}", self._address), _refusals(str(message), message.exchange):
                raise error
        except BrokerError as explained:
            return explained

    async def _live_channel(self) -> Channel:
        while (channel := self._channel) is None or channel.is_closed:
            self.detach()  # whoever keeps us supplied may not have noticed yet
            await self._attached.wait()
        return channel


def _properties(msg: Outgoing) -> Basic.Properties:
    return Basic.Properties(
        content_type=msg.content_type,
        headers=dict(msg.headers),
        delivery_mode=PERSISTENT,
        message_id=msg.message_id,
    )


def _is_refusal(error: BaseException) -> bool:
    """Whether the broker said no to a message that it could route."""
    return isinstance(error, DeliveryError) and not isinstance(error, PublishError)


@contextmanager
def _refusals(what: str, exchange: str) -> Iterator[None]:
    """Tell a message that has nowhere to go from a broker in trouble."""
    try:
        yield
    except PublishError as exc:
        raise Unroutable(f"no queue takes {what}") from exc
    except DeliveryError as exc:
        raise BrokerUnavailable(f"RabbitMQ refused {what}: the queue is full or has no leader") from exc
    except _INEXPRESSIBLE as exc:
        # It could not even be written down; nothing was sent.
        raise Unroutable(f"{what} cannot be expressed in AMQP: {exc}") from exc
    except ChannelNotFoundEntity as exc:
        # The missing exchange closes the channel under everybody; only its own message is to blame.
        match = MISSING_EXCHANGE.search(str(exc))
        if match is not None and match["name"] == exchange:
            raise Unroutable(f"no such exchange for {what}") from exc
        raise
