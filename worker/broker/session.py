"""One life of the consuming side: a connection with a consumer per lane. Any trouble ends all of it.

It is never repaired. Whatever goes wrong (connection, channel, a consumer cancelled by the broker) resolves
``ended`` once; the owner drops the session and opens the next. Deliveries still in work go on, but can no longer
be settled.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, cast
from uuid import uuid4

import structlog
from aiormq.abc import ConsumerCallback, DeliveredMessage
from aiormq.channel import Channel

from worker.broker.bunching import BunchedConnection
from worker.broker.connection import (
    CLOSE_TIMEOUT_S,
    RPC_TIMEOUT_S,
    Address,
    broker_errors,
    close_quietly,
    open_consuming_connection,
    open_wide_channel,
    reason_of,
)
from worker.broker.declare import QueueState, declare_on, queue_state
from worker.broker.delivery import Lane
from worker.broker.settling import Settler
from worker.broker.topology import LANE_QUEUES, Topology

log = structlog.get_logger(__name__)

OnMessage = Callable[[Lane, DeliveredMessage, Settler], None]


class _LaneChannel:
    """The channel of one lane with its consumer, if it has one now."""

    def __init__(self, lane: Lane, channel: Channel) -> None:
        self.lane = lane
        self.channel = channel
        self.settler = Settler(channel)
        self.consumer_tag: str | None = None


class ConsumingSession:
    """Made by ``ConsumingSession.open``; used until ``ended`` is done; then closed."""

    def __init__(
        self, connection: BunchedConnection, address: Address, prefetch: Mapping[Lane, int], on_message: OnMessage
    ) -> None:
        self._connection = connection
        self._address = address
        self._prefetch = prefetch
        self._on_message = on_message
        self._lanes: list[_LaneChannel] = []
        self._changing = asyncio.Lock()
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Done, with the reason in words, when this session is of no more use."""

    @classmethod
    async def open(
        cls,
        address: Address,
        topology: Topology,
        prefetch: Mapping[Lane, int],
        on_message: OnMessage,
        name: str,
    ) -> "ConsumingSession":
        """Connect, declare once, open a channel per lane; ``attach`` then begins to consume.

        Raises ``BrokerUnavailable`` or ``SchemaMismatch``; nothing stays open then.
        """
        connection = await open_consuming_connection(address, name)
        session = cls(connection, address, prefetch, on_message)
        try:
            await declare_on(connection, topology, address)
            connection.close_callbacks.add(session._on_connection_closed)
            for lane in LANE_QUEUES:
                await session._open_lane(lane)
        except BaseException:
            await session.close()
            raise
        return session

    async def _open_lane(self, lane: Lane) -> None:
        channel = await open_wide_channel(self._connection, self._address)
        channel.closing.add_done_callback(lambda closing: self._on_channel_closed(lane, closing))
        # aiormq only forgets a consumer that the broker cancels (its queue was deleted, its node left).
        channel.on_consumer_cancel_callbacks.add(
            lambda _frame: self.end(f"the broker cancelled the consumer of {LANE_QUEUES[lane]}")
        )
        self._lanes.append(_LaneChannel(lane, channel))
        with broker_errors("setting the prefetch count", self._address):
            await channel.basic_qos(prefetch_count=self._prefetch[lane], timeout=RPC_TIMEOUT_S)

    def end(self, reason: str) -> None:
        """Declare this session over; the first reason counts."""
        if not self.ended.done():
            self.ended.set_result(reason)

    def _on_connection_closed(self, _connection: Any, exc: BaseException | None) -> None:
        self.end(f"connection closed: {reason_of(exc)}")

    def _on_channel_closed(self, lane: Lane, closing: "asyncio.Future[Any]") -> None:
        exc = None if closing.cancelled() else closing.exception()
        self.end(f"channel of lane {lane} closed: {reason_of(exc)}")

    def attached(self, lane: Lane) -> bool:
        """Whether this lane has a consumer that, as far as we know, lives."""
        return not self.ended.done() and any(
            entry.lane is lane and entry.consumer_tag is not None for entry in self._lanes
        )

    async def attach(self) -> None:
        """Begin to consume on every lane that does not yet. Raises ``BrokerUnavailable``."""
        async with self._changing:
            for entry in self._lanes:
                if entry.consumer_tag is None and not self.ended.done():
                    entry.consumer_tag = await self._consume(entry)
            self._connection.reading.gathering = True

    async def _consume(self, entry: _LaneChannel) -> str:
        def hand_over(message: DeliveredMessage) -> None:
            # Runs while the connection is read: what takes longer than this would hold up those behind it.
            self._on_message(entry.lane, message, entry.settler)

        queue, tag = LANE_QUEUES[entry.lane], str(uuid4())
        self._connection.reading.consumers.add(entry.channel, tag, hand_over)
        with broker_errors(f"consuming {queue}", self._address):
            # aiormq wants a callback as well, and would call this one for what passed us by
            callback = cast("ConsumerCallback", hand_over)
            await entry.channel.basic_consume(queue, callback, consumer_tag=tag, timeout=RPC_TIMEOUT_S)
        return tag

    async def detach(self) -> None:
        """Take no new deliveries; those handed over can still be settled. Raises ``BrokerUnavailable``."""
        async with self._changing:
            self._connection.reading.gathering = False
            for entry in self._lanes:
                tag, entry.consumer_tag = entry.consumer_tag, None
                if tag is not None and not self.ended.done():
                    with broker_errors("cancelling a consumer", self._address):
                        # Never nowait: aiormq would drop what is still on its way, unsettled.
                        await entry.channel.basic_cancel(tag, timeout=RPC_TIMEOUT_S)
                    self._connection.reading.consumers.remove(entry.channel, tag)

    async def look(self, lane: Lane) -> QueueState:
        """Ask the broker about the lane's queue. Raises ``BrokerUnavailable``."""
        return await queue_state(self._connection, LANE_QUEUES[lane], self._address)

    async def close(self) -> None:
        """Send the settlements given so far, as far as that goes, and close. Unsettled deliveries go back."""
        for entry in self._lanes:
            if not self.ended.done():
                await entry.settler.flush(CLOSE_TIMEOUT_S)
            await entry.settler.stop()
        self.end("closed by us")
        await close_quietly(*(entry.channel for entry in self._lanes), self._connection)
