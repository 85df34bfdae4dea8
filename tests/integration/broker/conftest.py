"""A clean topology with short waits on the real RabbitMQ, and brokers that are always stopped."""

from collections.abc import AsyncIterator, Awaitable, Callable

import aio_pika
import pytest
from broker_kit import Workbench
from tcp_proxy import TcpProxy

from worker.broker.topology import Topology, build_topology

LADDER_S = (0.05, 0.4, 0.9)


@pytest.fixture
def topology() -> Topology:
    return build_topology(["test.work", "test.other"], ["test.bulk", "pike-economic.test.continue"], LADDER_S)


@pytest.fixture
async def admin(amqp_url: str, topology: Topology) -> AsyncIterator[aio_pika.abc.AbstractConnection]:
    """A connection beside the broker's; the topology is gone from the node before and after."""
    connection = await aio_pika.connect(amqp_url)
    await forget(connection, topology)
    yield connection
    await forget(connection, topology)
    await connection.close()


async def forget(connection: aio_pika.abc.AbstractConnection, topology: Topology) -> None:
    async with connection.channel() as channel:
        for queue in topology.queues:
            await channel.queue_delete(queue.name)
        for exchange in topology.exchanges:
            await channel.exchange_delete(exchange.name)


@pytest.fixture
async def bench(amqp_url: str, topology: Topology, admin: aio_pika.abc.AbstractConnection) -> AsyncIterator[Workbench]:
    bench = Workbench(amqp_url, topology)
    yield bench
    await bench.close()


@pytest.fixture
async def proxy(amqp_url: str) -> AsyncIterator[TcpProxy]:
    async with TcpProxy(amqp_url) as proxy:
        yield proxy


@pytest.fixture
async def ready_in(admin: aio_pika.abc.AbstractConnection) -> Callable[[str], Awaitable[int]]:
    """Return how many messages lie ready in a queue."""

    async def count(queue: str) -> int:
        async with admin.channel() as channel:
            declared = await channel.declare_queue(queue, passive=True)
            return declared.declaration_result.message_count or 0

    return count
