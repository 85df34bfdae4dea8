"""Publishing with certainty: persistent, mandatory, confirmed, and never waiting for ever."""

import asyncio
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from aio_pika.abc import AbstractChannel
from aiormq.abc import AbstractChannel as UnderlayChannel
from aiormq.exceptions import ChannelNotFoundEntity, DeliveryError, PublishError
from pamqp.commands import Basic

from worker.broker.connection import Address, broker_errors
from worker.broker.frames import PERSISTENT
from worker.errors import BrokerError, BrokerUnavailable, Unroutable

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

    def __init__(self, address: Address) -> None:
        self._address = address
        self._channel: UnderlayChannel | None = None
        self._attached = asyncio.Event()
        self._in_flight: dict[str, asyncio.Event] = {}

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
        properties = Basic.Properties(
            content_type=msg.content_type,
            headers=dict(msg.headers),
            delivery_mode=PERSISTENT,
            message_id=msg.message_id,
        )
        await self.send(msg.exchange, msg.routing_key, msg.body, properties, timeout_s)

    async def publish_many(
        self, msgs: Iterable[Outgoing], timeout_s: float = PUBLISH_TIMEOUT_S
    ) -> list[BrokerError | None]:
        """Publish all with confirms in flight together; return per message ``None`` or what went wrong."""

        async def attempt(msg: Outgoing) -> BrokerError | None:
            try:
                await self.publish(msg, timeout_s)
            except BrokerError as exc:
                return exc
            return None

        return list(await asyncio.gather(*(attempt(msg) for msg in msgs)))

    async def send(
        self, exchange: str, routing_key: str, body: bytes, properties: Basic.Properties, timeout_s: float
    ) -> None:
        """Publish with these very properties; otherwise as ``publish``."""
        what = f"message {properties.message_id} of type {routing_key} to exchange '{exchange}'"
        try:
            async with asyncio.timeout(timeout_s):
                async with _Turn(self._in_flight, properties.message_id or ""):
                    channel = await self._live_channel()
                    with broker_errors(f"publishing {what}", self._address), _refusals(what, exchange):
                        # wait=False: the confirm is awaited all the same, but not the flush of the socket, for which
                        # aiormq holds the channel's lock so that one publish would follow the other
                        await channel.basic_publish(  # type: ignore[call-arg]  # the abstract class lacks ``wait``
                            body,
                            exchange=exchange,
                            routing_key=routing_key,
                            properties=properties,
                            mandatory=True,
                            wait=False,
                        )
        except TimeoutError as exc:
            raise BrokerUnavailable(
                f"RabbitMQ at {self._address} did not confirm {what} within {timeout_s:g} s"
                + ("" if self.attached else ": no connection")
            ) from exc

    async def _live_channel(self) -> UnderlayChannel:
        while (channel := self._channel) is None or channel.is_closed:
            self.detach()  # whoever keeps us supplied may not have noticed yet
            await self._attached.wait()
        return channel


class _Turn:
    """One publish per message id at a time.

    aiormq finds the publish that a returned message belongs to by message id: with two in flight it would
    call the returned one confirmed.
    """

    def __init__(self, in_flight: dict[str, asyncio.Event], message_id: str) -> None:
        self._in_flight = in_flight
        self._message_id = message_id
        self._done = asyncio.Event()

    async def __aenter__(self) -> None:
        while self._message_id and (other := self._in_flight.get(self._message_id)) is not None:
            await other.wait()
        self._in_flight[self._message_id] = self._done

    async def __aexit__(self, *_: object) -> None:
        if self._in_flight.get(self._message_id) is self._done:
            del self._in_flight[self._message_id]
        self._done.set()


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
