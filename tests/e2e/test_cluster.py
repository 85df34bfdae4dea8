"""Three RabbitMQ nodes: the one that leads the work queue is killed under load; nothing is lost, nothing is double."""

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import uuid4

import aio_pika
import asyncpg
import pytest
import structlog
from harness import PIKE, WORKSPACE, environment
from pydantic import SecretStr
from support import eventually

from worker.bootstrap import make_broker, worker
from worker.broker.connection import Address
from worker.broker.topology import EVENTS_EXCHANGE, LANE_QUEUES
from worker.clock import SystemClock
from worker.handlers.connect import connect
from worker.runtime.lifecycle import Worker
from worker.sandbox import Sandbox
from worker.servers.install import install_missing
from worker.servers.provide import missing_packages
from worker.servers.rabbitmq_cluster import PrivateCluster
from worker.settings import Settings, load

log = structlog.get_logger()

REFRESH, REFRESHED = "pike.refresh.requested", "economic.refresh.completed"
WORK = LANE_QUEUES["work"]  # type: ignore[index]
RATE, BEFORE, AFTER = 40, 60, 140
"""Requests per second, how many before the node is killed, how many after."""
RESUMED_S = 30.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[PrivateCluster]:
    install_missing(lambda: missing_packages(postgres=False), print)
    made = PrivateCluster()
    try:
        made.start()
        yield made
    finally:
        made.stop()


@dataclass
class Pike:
    """A service of Pike's on a node that lives: publishes with confirms and repeats what was not confirmed."""

    url: str
    published: dict[str, float] = field(default_factory=dict)
    answers: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    answered: dict[str, float] = field(default_factory=dict)
    _connection: aio_pika.abc.AbstractConnection | None = None
    _exchange: aio_pika.abc.AbstractExchange | None = None

    async def publish(self, count: int, number: str) -> None:
        """Publish so many requests, evenly spread; what is refused is published again, on a fresh connection."""
        for _ in range(count):
            event_id = str(uuid4())
            self.published[event_id] = time.monotonic()
            while not await self._confirmed(_message(event_id, number)):
                await self._close()
                await asyncio.sleep(0.1)
            await asyncio.sleep(1 / RATE)
        await self._close()

    async def _confirmed(self, message: aio_pika.Message) -> bool:
        self._connection = self._connection or await aio_pika.connect(self.url)
        self._exchange = self._exchange or await (await self._connection.channel()).get_exchange(
            EVENTS_EXCHANGE, ensure=False
        )
        try:
            await self._exchange.publish(message, REFRESH, timeout=5)
        except (aio_pika.exceptions.DeliveryError, TimeoutError) as exc:
            log.info("cluster.refused", error=repr(exc))
            return False
        return True

    async def _close(self) -> None:
        connection, self._connection, self._exchange = self._connection, None, None
        if connection is not None:
            await connection.close()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Keep every answer: in a queue of all three nodes, so that the loss of one costs none."""
        async with await aio_pika.connect(self.url) as connection:
            channel = await connection.channel()
            queue = await channel.declare_queue("test.answers", durable=True, arguments={"x-queue-type": "quorum"})
            await queue.bind(EVENTS_EXCHANGE, REFRESHED)

            async def heard(message: aio_pika.abc.AbstractIncomingMessage) -> None:
                event = json.loads(message.body)
                self.answers[event["correlationid"]].add(event["id"])
                self.answered.setdefault(event["correlationid"], time.monotonic())
                await message.ack()

            await queue.consume(heard)
            yield

    def all_answered(self) -> bool:
        missing = self.published.keys() - self.answered.keys()
        assert not missing, f"{len(missing)} of {len(self.published)} to go"
        return True


def _message(event_id: str, number: str) -> aio_pika.Message:
    body = {
        "specversion": "1.0", "id": event_id, "source": PIKE, "type": REFRESH, "workspaceid": WORKSPACE,
        "time": "2026-11-23T12:00:00Z", "datacontenttype": "application/json",
        "data": {"entity": "product", "external_number": number},
    }  # fmt: skip
    return aio_pika.Message(
        json.dumps(body).encode(), content_type="application/cloudevents+json", message_id=event_id,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )  # fmt: skip


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Worker]:
    async with worker(settings) as made:
        working = asyncio.create_task(made.run())
        try:
            yield made
        finally:
            made.stop()
            await asyncio.wait_for(working, 30)


@pytest.mark.timeout(180)
@pytest.mark.requirement("B1", "B2")
async def test_the_leader_is_killed_under_load_and_work_goes_on_elsewhere(
    cluster: PrivateCluster,
    migrated_database_url: str,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    first, survivor, _ = cluster.nodes
    settings = load(environment(cluster.amqp_url, migrated_database_url, sandbox))
    # declared through the first node, which therefore leads; and everybody is connected to it when it dies
    monkeypatch.setattr(Address, "in_turn", lambda address: list(address.nodes))
    declaring = make_broker(settings, SystemClock())
    await declaring.start()
    await declaring.stop(0)
    leader = await asyncio.to_thread(cluster.leader_of, WORK, survivor)
    assert leader is first
    number = next(product.number for product in sandbox.agreements[0].products if not product.barred)
    pike = Pike(survivor.amqp_url)
    async with pike.listening(), running(settings) as one, running(settings) as two:
        dispatcher = one.dispatcher
        await connect(
            dispatcher.database, dispatcher.client, dispatcher.vault, dispatcher.clock,
            workspace_id=WORKSPACE, grant=SecretStr(sandbox.agreements[0].grant_token),
        )  # fmt: skip
        await pike.publish(BEFORE, number)
        await eventually(lambda: len(pike.answered) > BEFORE / 2, message="work is under way")
        killed = time.monotonic()
        leader.kill()
        await pike.publish(AFTER, number)
        await eventually(pike.all_answered, timeout_s=60)
        resumed = min(at for request, at in pike.answered.items() if pike.published[request] > killed) - killed
        record_property("seconds until work went on", round(resumed, 2))
        log.info("cluster.resumed", after_s=round(resumed, 2))
        assert resumed < RESUMED_S
        assert all(each.broker.healthy() for each in (one, two))
    assert {len(answers) for answers in pike.answers.values()} == {1}, "one answer each, repeats carry its id"
    assert set(pike.answers) == set(pike.published)
    assert await asyncio.to_thread(cluster.leader_of, WORK, survivor) is not leader
    connection = await asyncpg.connect(migrated_database_url)
    try:
        states = await connection.fetch(
            "select state, count(*) as n from economic.inbox where type = $1 group by state", REFRESH
        )
        left = await connection.fetchval("select count(*) from economic.dead_letters")
    finally:
        await connection.close()
    assert {row["state"]: row["n"] for row in states} == {"done": BEFORE + AFTER}
    assert left == 0
