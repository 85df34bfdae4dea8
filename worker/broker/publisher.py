"""Publishing with certainty: persistent, mandatory, confirmed, and never waiting for ever."""

import asyncio
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from aio_pika.abc import AbstractChannel
from aiormq.abc import AbstractChannel as UnderlayChannel
from aiormq.exceptions import ChannelNotFoundEntity, DeliveryError, PublishError
from pamqp.commands import Basic

from worker.broker.connection import Address, broker_errors
from worker.broker.frames import PERSISTENT
from worker.errors import BrokerError, BrokerUnavailable, Unroutable
from worker.loop import end_tasks

PUBLISH_TIMEOUT_S = 10.0
MISSING_EXCHANGE = re.compile(r"no exchange '(?P<name>[^']*)'")


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message to publish. ``message_id`` is the event's id and may not be empty."""

    exchange: str
    routing_key: str
    body: bytes
    message_id: str
    headers: Mapping[str, str | int]
    content_type: str = "application/cloudevents+json"


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
        self._channel: UnderlayChannel | None = None
        self._attached = asyncio.Event()
        self._in_flight: dict[str, _Turn] = {}

    @property
    def attached(self) -> bool:
        """Whether there is a live channel now."""
        return self._channel is not None and not self._channel.is_closed

    async def attach(self, channel: AbstractChannel) -> None:
        """Publish on this channel from now on; it must confirm and raise for returned messages."""
        self._channel = await channel.get_underlay_channel()
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

    async def publish_many(
        self, msgs: Iterable[Outgoing], timeout_s: float = PUBLISH_TIMEOUT_S
    ) -> list[BrokerError | None]:
        """Publish all with confirms in flight together; return per message ``None`` or what went wrong.

        Each stands for itself, except that one clock runs for all of them.
        """

        async def attempt(msg: Outgoing) -> BrokerError | None:
            try:
                await self._send(msg.exchange, msg.routing_key, msg.body, _properties(msg))
            except BrokerError as exc:
                return exc
            return None

        sent = list(msgs)
        if not sent:
            return []
        tasks = [asyncio.create_task(attempt(msg), name="publish") for msg in sent]
        try:
            await asyncio.wait(tasks, timeout=timeout_s)
        finally:
            await end_tasks(*(task for task in tasks if not task.done()))
        return [
            self._unconfirmed(msg.message_id, msg.routing_key, msg.exchange, timeout_s)
            if task.cancelled()
            else task.result()
            for msg, task in zip(sent, tasks, strict=True)
        ]

    async def send(
        self, exchange: str, routing_key: str, body: bytes, properties: Basic.Properties, timeout_s: float
    ) -> None:
        """Publish with these very properties; otherwise as ``publish``."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._send(exchange, routing_key, body, properties)
        except TimeoutError as exc:
            raise self._unconfirmed(properties.message_id, routing_key, exchange, timeout_s) from exc

    async def _send(self, exchange: str, routing_key: str, body: bytes, properties: Basic.Properties) -> None:
        async with _Turn(self._in_flight, properties.message_id or ""):
            channel = await self._live_channel()
            try:
                # wait=False: the confirm is awaited all the same, but not the flush of the socket, for which aiormq
                # holds the channel's lock so that one publish would follow the other
                await channel.basic_publish(  # type: ignore[call-arg]  # the abstract class lacks ``wait``
                    body,
                    exchange=exchange,
                    routing_key=routing_key,
                    properties=properties,
                    mandatory=True,
                    wait=False,
                )
            except (
                BaseException
            ) as exc:  # translated only when there is something to translate: this runs for every answer
                if isinstance(exc, DeliveryError) and not isinstance(exc, PublishError) and channel is self._channel:
                    self._on_refused()
                what = _named(properties.message_id, routing_key, exchange)
                with broker_errors(f"publishing {what}", self._address), _refusals(what, exchange):
                    raise

    def _unconfirmed(self, message_id: str | None, key: str, exchange: str, timeout_s: float) -> BrokerUnavailable:
        return BrokerUnavailable(
            f"RabbitMQ at {self._address} did not confirm {_named(message_id, key, exchange)} within {timeout_s:g} s"
            + ("" if self.attached else ": no connection")
        )

    async def _live_channel(self) -> UnderlayChannel:
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


def _named(message_id: str | None, routing_key: str, exchange: str) -> str:
    return f"message {message_id} of type {routing_key} to exchange '{exchange}'"


class _Turn:
    """One publish per message id at a time.

    aiormq finds the publish that a returned message belongs to by message id: with two in flight it would
    call the returned one confirmed.
    """

    def __init__(self, in_flight: "dict[str, _Turn]", message_id: str) -> None:
        self._in_flight = in_flight
        self._message_id = message_id
        self._done: asyncio.Event | None = None
        """Made by the first that has to wait, which is rare."""

    async def __aenter__(self) -> None:
        while self._message_id and (other := self._in_flight.get(self._message_id)) is not None:
            await other.over()
        self._in_flight[self._message_id] = self

    async def __aexit__(self, *_: object) -> None:
        if self._in_flight.get(self._message_id) is self:
            del self._in_flight[self._message_id]
        if self._done is not None:
            self._done.set()

    async def over(self) -> None:
        """Wait until this turn is over."""
        if self._done is None:
            self._done = asyncio.Event()
        await self._done.wait()


@contextmanager
def _refusals(what: str, exchange: str) -> Iterator[None]:
    """Tell a message that has nowhere to go from a broker in trouble."""
    try:
        yield
    except PublishError as exc:
        raise Unroutable(f"no queue takes {what}") from exc
    except DeliveryError as exc:
        raise BrokerUnavailable(f"RabbitMQ refused {what}: the queue is full or has no leader") from exc
    except (ValueError, TypeError, struct.error) as exc:
        # It could not even be written down (an over-long key, a header of a strange type); nothing was sent.
        raise Unroutable(f"{what} cannot be expressed in AMQP: {exc}") from exc
    except ChannelNotFoundEntity as exc:
        # The missing exchange closes the channel under everybody; only its own message is to blame.
        match = MISSING_EXCHANGE.search(str(exc))
        if match is not None and match["name"] == exchange:
            raise Unroutable(f"no such exchange for {what}") from exc
        raise
