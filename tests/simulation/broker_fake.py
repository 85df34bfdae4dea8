"""RabbitMQ in memory: the worker's own topology table, redelivery, the wait ladder, the delivery limit, lost confirms.

What handles a delivery is the real ``Handling``; it is given a settler and a publisher of the same shape.
"""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from pamqp.commands import Basic

from tests.simulation.loop import PROCESS, Process
from tests.simulation.world import World
from worker.broker.delivery import Lane
from worker.broker.publisher import PUBLISH_TIMEOUT_S, Outgoing
from worker.broker.topology import EVENTS_EXCHANGE, LANE_QUEUES, Topology
from worker.errors import BrokerError, BrokerUnavailable, Unroutable

LANES = {queue: lane for lane, queue in LANE_QUEUES.items()}


@dataclass(slots=True)
class Message:
    """One message in a queue. ``count``: deliveries that were not acknowledged."""

    routing_key: str
    body: bytes
    properties: Basic.Properties
    count: int = 0


@dataclass(slots=True)
class SimQueue:
    """A quorum queue with the arguments of the topology table."""

    name: str
    ttl_s: float | None
    dead_letters_to: str | None
    limit: int
    ready: list[Message] = field(default_factory=list)


class Session:
    """A consumer's connection. Also the settler of its deliveries: void once it is closed."""

    def __init__(self, broker: "FakeBroker", process: Process, prefetch: int, take: Callable[..., Any]) -> None:
        self.broker, self.process, self.take = broker, process, take
        self.room = dict.fromkeys(Lane, prefetch)
        self.unacked: dict[int, tuple[SimQueue, Message]] = {}
        self.tags = itertools.count(1)
        self.alive = True
        self.closed = broker.world.loop.create_future()

    def ack(self, tag: int) -> None:
        self._settle(tag, self.broker.acked)

    def reject(self, tag: int) -> None:
        self._settle(tag, self.broker.rejected)

    def _settle(self, tag: int, action: Callable[["Session", int], None]) -> None:
        """Settle, a moment later: a connection that is lost meanwhile takes the acknowledgement with it."""
        world = self.broker.world
        if self.alive:
            world.outside(world.loop.call_later, world.rng.uniform(0.0005, 0.01), action, self, tag)


class FakeBroker:
    """The node: queues, sessions, and Pike's own listener for answers."""

    def __init__(self, world: World, topology: Topology) -> None:
        self.world = world
        self.topology = topology
        self.queues = {queue.name: _made(queue) for queue in topology.queues}
        self.sessions: list[Session] = []
        self.heard: list[tuple[str, str, bytes]] = []
        """What Pike received: message id, type, body."""
        self.away = False

    # --- publishing ------------------------------------------------------------------------------------

    def publish(self, exchange: str, routing_key: str, body: bytes, properties: Basic.Properties) -> bool:
        """Route a message; False when no queue takes it."""
        names = [
            binding.queue
            for binding in self.topology.bindings
            if binding.exchange == exchange and binding.routing_key in ("", routing_key)
        ]
        for name in names:
            self._enqueue(self.queues[name], Message(routing_key, body, properties))
        heard = exchange == EVENTS_EXCHANGE and routing_key.startswith("economic.")
        if heard:
            self.heard.append((properties.message_id or "", routing_key, body))
            self.world.trace("Pike hears", routing_key, properties.message_id)
        return bool(names) or heard

    def _enqueue(self, queue: SimQueue, message: Message) -> None:
        queue.ready.append(message)
        if queue.ttl_s is not None:
            self.world.outside(self.world.loop.call_later, queue.ttl_s, self._expire, queue, message)
        elif queue.name in LANES:
            self.world.outside(self.world.loop.call_soon, self.pump)

    def _expire(self, queue: SimQueue, message: Message) -> None:
        if message in queue.ready:
            queue.ready.remove(message)
            self._dead_letter(queue, message)

    def _dead_letter(self, queue: SimQueue, message: Message) -> None:
        if queue.dead_letters_to is not None:
            self.publish(queue.dead_letters_to, message.routing_key, message.body, message.properties)

    # --- consuming -------------------------------------------------------------------------------------

    def open(self, process: Process, prefetch: int, take: Callable[..., Any]) -> Session:
        session = Session(self, process, prefetch, take)
        self.sessions.append(session)
        self.world.outside(self.world.loop.call_soon, self.pump)
        return session

    def pump(self) -> None:
        """Hand ready messages to sessions with room; both are drawn, so messages overtake each other."""
        if self.away:
            return
        for name, lane in LANES.items():
            queue = self.queues[name]
            while queue.ready:
                open_ones = [session for session in self.sessions if session.room[lane] > 0]
                if not open_ones:
                    break
                session = self.world.rng.choice(open_ones)
                self._deliver(session, lane, queue, queue.ready.pop(self.world.rng.randrange(len(queue.ready))))

    def _deliver(self, session: Session, lane: Lane, queue: SimQueue, message: Message) -> None:
        tag = next(session.tags)
        session.unacked[tag] = (queue, message)
        session.room[lane] -= 1
        properties = message.properties
        if message.count:
            headers = {**(properties.headers or {}), "x-delivery-count": message.count}
            properties = Basic.Properties(**{**dict(properties), "headers": headers})
        delivered = SimpleNamespace(
            body=message.body,
            header=SimpleNamespace(properties=properties),
            routing_key=message.routing_key,
            redelivered=message.count > 0,
            delivery_tag=tag,
        )
        self.world.inside(session.process, session.take(lane, delivered, session))

    def acked(self, session: Session, tag: int) -> None:
        if session.alive and tag in session.unacked:
            queue, _ = session.unacked.pop(tag)
            session.room[LANES[queue.name]] += 1
            self.pump()

    def rejected(self, session: Session, tag: int) -> None:
        if session.alive and tag in session.unacked:
            queue, message = session.unacked.pop(tag)
            session.room[LANES[queue.name]] += 1
            self._dead_letter(queue, message)
            self.pump()

    def close(self, session: Session) -> None:
        """The connection is gone: what it held comes again, until the delivery limit."""
        if not session.alive:
            return
        session.alive = False
        self.sessions.remove(session)
        for queue, message in session.unacked.values():
            message.count += 1
            if message.count > queue.limit:
                self._dead_letter(queue, message)
            else:
                queue.ready.append(message)
        session.unacked.clear()
        if not session.closed.done():
            session.closed.set_result(None)
        self.world.outside(self.world.loop.call_soon, self.pump)

    def close_all(self, process: Process | None = None) -> None:
        for session in list(self.sessions):
            if process is None or session.process is process:
                self.close(session)

    def idle(self) -> bool:
        """Whether no message is anywhere, the dead queue included."""
        return not any(queue.ready for queue in self.queues.values()) and not any(
            session.unacked for session in self.sessions
        )


def _made(queue: Any) -> SimQueue:
    arguments = queue.arguments
    ttl = arguments.get("x-message-ttl")
    return SimQueue(
        queue.name,
        ttl / 1000 if ttl is not None else None,
        arguments.get("x-dead-letter-exchange"),
        arguments["x-delivery-limit"],
    )


class SimPublisher:
    """What the relay and ``Handling`` use of the real publisher."""

    def __init__(self, broker: FakeBroker) -> None:
        self._broker = broker

    async def publish(self, msg: Outgoing, timeout_s: float = PUBLISH_TIMEOUT_S) -> None:
        properties = Basic.Properties(
            content_type=msg.content_type, headers=dict(msg.headers), delivery_mode=2, message_id=msg.message_id
        )
        await self.send(msg.exchange, msg.routing_key, msg.body, properties, timeout_s)

    async def publish_many(
        self, msgs: Sequence[Outgoing], timeout_s: float = PUBLISH_TIMEOUT_S
    ) -> list[BrokerError | None]:
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
        world, broker = self._broker.world, self._broker
        faulty = PROCESS.get() is not None
        await world.wait(f"publishing {routing_key}", 0.0005, 0.005)
        if broker.away or (faulty and world.strikes("publish lost", world.odds.broker)):
            await asyncio.sleep(timeout_s)
            raise BrokerUnavailable("not confirmed, and not there")
        if not broker.publish(exchange, routing_key, body, properties):
            raise Unroutable(f"no queue takes {routing_key} at {exchange}")
        await world.wait(f"confirm of {routing_key}", 0.0005, 0.005)
        if faulty and world.strikes("confirm lost", world.odds.broker):
            await asyncio.sleep(timeout_s)
            raise BrokerUnavailable("not confirmed, but there")
