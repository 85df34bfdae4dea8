"""Bringing the broker in line with the topology table, and looking at what is there."""

import asyncio
import re
from dataclasses import dataclass

from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed

from worker.broker.connection import RPC_TIMEOUT_S, Address, broker_errors, close_quietly, open_channel
from worker.broker.topology import EVENTS_EXCHANGE, Topology
from worker.errors import SchemaMismatch

# rabbit_misc:assert_args_equivalence and its kin, 3.8 to 4.x
DIFFERENCE = re.compile(
    r"inequivalent arg '(?P<argument>[^']+)' for (?P<kind>queue|exchange) '(?P<name>[^']+)' in vhost .*?: "
    r"received (?P<needed>.+?) but current is (?P<found>.+)"
)
TYPED_VALUE = re.compile(r"the value '(?P<value>.*)' of type '.*'")


@dataclass(frozen=True, slots=True)
class QueueState:
    """What a passive look says of one queue."""

    name: str
    exists: bool
    messages: int = 0
    """Ready ones; those with a consumer are not counted."""
    consumers: int = 0


@dataclass(frozen=True, slots=True)
class TopologyState:
    """What of the topology exists. Arguments and bindings cannot be read over AMQP; declaring compares them."""

    missing_exchanges: tuple[str, ...]
    queues: tuple[QueueState, ...]

    @property
    def complete(self) -> bool:
        """Whether every exchange and queue exists."""
        return not self.missing_exchanges and all(queue.exists for queue in self.queues)


async def declare(channel: AbstractChannel, topology: Topology, address: Address) -> None:
    """Declare every exchange, queue and binding; idempotent. The channel is unusable after an error.

    Never removes a binding: what an older version still needs stays. Raises ``SchemaMismatch`` with the
    difference in words, or ``BrokerUnavailable``.
    """
    with broker_errors("declaring the topology", address):
        try:
            for exchange in topology.exchanges:
                await channel.declare_exchange(exchange.name, exchange.kind, durable=True, timeout=RPC_TIMEOUT_S)
            for queue in topology.queues:
                await channel.declare_queue(
                    queue.name, durable=True, arguments=dict(queue.arguments), timeout=RPC_TIMEOUT_S
                )
            underlay = await channel.get_underlay_channel()
            for binding in topology.bindings:
                await underlay.queue_bind(binding.queue, binding.exchange, binding.routing_key, timeout=RPC_TIMEOUT_S)
        except ChannelPreconditionFailed as exc:
            raise SchemaMismatch(explain_mismatch(str(exc), address)) from exc


async def declare_on(connection: AbstractConnection, topology: Topology, address: Address) -> None:
    """Declare on a channel of its own: a refused declare closes the channel."""
    channel = await open_channel(connection, address)
    try:
        await declare(channel, topology, address)
    finally:
        await close_quietly(channel)


def explain_mismatch(text: str, address: Address) -> str:
    """Turn the broker's PRECONDITION_FAILED into what differs, found against needed, and what to do."""
    match = DIFFERENCE.search(text)
    if match is None:
        return f"RabbitMQ at {address} refuses the topology: {text}"
    kind, name = match["kind"], match["name"]
    difference = (
        f"{kind} '{name}' on RabbitMQ at {address} differs: {match['argument']} is "
        f"{_value(match['found'])}, needed is {_value(match['needed'])}."
    )
    if name == EVENTS_EXCHANGE:
        return f"{difference} It is shared with Pike and must be a durable topic exchange without arguments."
    if kind == "exchange":
        return f"{difference} Stop all workers, delete the exchange and start again: it is declared anew."
    return (
        f"{difference} A queue's arguments cannot be changed. Stop all workers, see that the queue is empty or "
        f"move its messages, delete it (rabbitmqctl delete_queue {name} --if-empty) and start again."
    )


def _value(words: str) -> str:
    if words == "none":
        return "not set"
    typed = TYPED_VALUE.fullmatch(words)
    return typed["value"] if typed else words.strip("'")


async def verify(connection: AbstractConnection, topology: Topology, address: Address) -> TopologyState:
    """Look at what exists, changing nothing. One round trip per object: for ``doctor``, not for a loop."""
    missing = [
        exchange.name
        for exchange in topology.exchanges
        if not await _exchange_exists(connection, exchange.name, address)
    ]
    queues = [await queue_state(connection, queue.name, address) for queue in topology.queues]
    return TopologyState(tuple(missing), tuple(queues))


async def _exchange_exists(connection: AbstractConnection, name: str, address: Address) -> bool:
    channel = await open_channel(connection, address)
    try:
        with broker_errors(f"looking at exchange '{name}'", address):
            try:
                await channel.declare_exchange(name, passive=True, timeout=RPC_TIMEOUT_S)
            except ChannelNotFoundEntity:
                return False
        return True
    finally:
        await close_quietly(channel)


async def queue_state(connection: AbstractConnection, name: str, address: Address) -> QueueState:
    """Look at one queue through a throw-away channel (a missing queue closes the channel)."""
    channel = await open_channel(connection, address)
    try:
        with broker_errors(f"looking at queue '{name}'", address):
            try:
                async with asyncio.timeout(RPC_TIMEOUT_S):
                    found = (await channel.declare_queue(name, passive=True)).declaration_result
            except ChannelNotFoundEntity:
                return QueueState(name, exists=False)
        return QueueState(name, True, found.message_count or 0, found.consumer_count or 0)
    finally:
        await close_quietly(channel)
