"""A real RabbitMQ in trouble: restarted with work in flight, out of memory, out of disk, without its dead queue."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aio_pika
import pytest
from aio_pika.exceptions import AMQPError
from harness import Harness, harness
from support import eventually

from events.codec import decode
from worker.broker.topology import DEAD_QUEUE, LANE_QUEUES
from worker.sandbox import Sandbox
from worker.servers import PrivateRabbitMQ
from worker.servers.install import install_missing
from worker.servers.provide import missing_packages

REFRESH, REFRESHED = "pike.refresh.requested", "economic.refresh.completed"


@pytest.fixture(scope="module")
def node() -> Iterator[PrivateRabbitMQ]:
    """A node of this module's own: nobody else's connections suffer."""
    install_missing(lambda: missing_packages(postgres=False), print)
    node = PrivateRabbitMQ()
    try:
        node.start()
        # what waits for a missing dead queue is tried again after three minutes, unless told otherwise
        node.rabbitmqctl("eval", "application:set_env(rabbit, dead_letter_worker_publisher_confirm_timeout, 500).")
        yield node
    finally:
        node.stop()


async def ctl(node: PrivateRabbitMQ, *arguments: str) -> str:
    """Run rabbitmqctl without stopping the loop."""
    return await asyncio.get_running_loop().run_in_executor(None, node.rabbitmqctl, *arguments)


@asynccontextmanager
async def on(node: PrivateRabbitMQ, database_url: str, sandbox: Sandbox) -> AsyncIterator[tuple[Harness, "Kept"]]:
    """A worker on that node, and a durable queue that keeps its answers through a restart."""
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(harness(node.amqp_url, database_url, sandbox))
        await running.connect()
        await eventually(lambda: _outbox_empty(running), message="the connection's own event is out")
        kept = Kept(node.amqp_url)
        await kept.begin()
        stack.push_async_callback(kept.end)
        yield running, kept


class Kept:
    """Answers in a queue that survives the node's restart."""

    QUEUE = "test.answers"

    def __init__(self, url: str) -> None:
        self._url = url
        self.ids: dict[str, set[str]] = {}

    async def begin(self) -> None:
        await self._with(self._declare)

    async def end(self) -> None:
        async def delete(channel: Any) -> None:
            await channel.queue_delete(self.QUEUE)

        await self._with(delete)

    async def _declare(self, channel: Any) -> None:
        queue = await channel.declare_queue(self.QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
        await queue.bind("pike.events", REFRESHED)

    async def read(self) -> dict[str, set[str]]:
        """Return request → ids of the answers there are by now."""

        async def take(channel: Any) -> None:
            queue = await channel.declare_queue(self.QUEUE, passive=True)
            while message := await queue.get(no_ack=True, fail=False):
                event = decode(message.body, dict(message.headers), message.content_type)
                self.ids.setdefault(event.correlation_id or "", set()).add(event.id)

        with contextlib.suppress(AMQPError, OSError, TimeoutError):  # a node that has just started has no leaders yet
            await self._with(take)
        return self.ids

    async def _with(self, act: Callable[[Any], Awaitable[None]]) -> None:
        async with await aio_pika.connect(self._url) as connection, connection.channel() as channel:
            await act(channel)


async def refreshes(running: Harness, count: int) -> list[str]:
    numbers = [str(c.number) for c in running.agreement.customers][:count]
    return [await running.publish(REFRESH, {"entity": "customer", "external_number": number}) for number in numbers]


@pytest.mark.requirement("B2")
async def test_while_the_dead_queue_is_missing_what_is_rejected_is_kept_for_it(
    node: PrivateRabbitMQ, migrated_database_url: str, sandbox: Sandbox
) -> None:
    async with on(node, migrated_database_url, sandbox) as (running, _kept):
        async with await aio_pika.connect(node.amqp_url) as connection, connection.channel() as channel:
            await channel.queue_delete(DEAD_QUEUE)
            lane = await channel.declare_queue(LANE_QUEUES["work"], passive=True)  # type: ignore[index]
            await running.worker.broker.pause()
            await running.publish_raw(b"rejected", routing_key=REFRESH)

            async def reject() -> bool:
                message = await lane.get(fail=False)
                if message is None:
                    return False
                await message.reject(requeue=False)
                return True

            await eventually(reject, message="taken and rejected")
            await running.worker.broker._publishing._open()  # a reconnect declares what is missing
            await running.worker.broker.resume()
        keep = running.worker.janitor.keep_dead
        await eventually(lambda: running.worker.broker.drain_dead(keep), timeout_s=30, every_s=0.3, message="drained")
        (letter,) = await running.rows("select body, detail from economic.dead_letters")
        assert bytes(letter["body"]) == b"rejected"
        assert "not JSON" in letter["detail"]


ALARMS = {
    "memory": (("set_vm_memory_high_watermark", "0.00001"), ("set_vm_memory_high_watermark", "0.4")),
    "disk": (("set_disk_free_limit", "100000GB"), ("set_disk_free_limit", "50MB")),
}


@pytest.mark.requirement("B2")
@pytest.mark.parametrize("alarm", list(ALARMS))
async def test_in_an_alarm_publishing_pauses_and_acknowledgements_go_on(
    node: PrivateRabbitMQ, migrated_database_url: str, sandbox: Sandbox, alarm: str
) -> None:
    raise_, clear = ALARMS[alarm]
    async with on(node, migrated_database_url, sandbox) as (running, kept):
        gate = sandbox.add_fault("delay", path="/customers/", seconds=3.0)
        requests = await refreshes(running, 6)
        await eventually(lambda: gate.struck >= 6, message="all at work")
        await ctl(node, *raise_)
        try:
            await eventually(lambda: _all_done(running), timeout_s=30, message="the work goes on")
            await eventually(lambda: _unacknowledged(node), timeout_s=30, every_s=0.5, message="acks go on")
            waiting = "select count(distinct correlation) from (select convert_from(body, 'utf8')::jsonb ->> "
            waiting += "'correlationid' as correlation from economic.outbox where type = $1) o"
            assert await running.value(waiting, REFRESHED) == len(requests), "the answers wait in the outbox"
            assert await kept.read() == {}
        finally:
            await ctl(node, *clear)
        async with running.pike() as connection:
            await connection.execute("update economic.outbox set leased_until = now()")
        await eventually(lambda: _answered(kept, requests), timeout_s=60, every_s=0.3, message="all answered")
        assert [len(kept.ids[request]) for request in requests] == [1] * len(requests)


@pytest.mark.requirement("B2")
async def test_a_broker_that_restarts_with_work_in_flight_loses_and_doubles_nothing(
    node: PrivateRabbitMQ, migrated_database_url: str, sandbox: Sandbox
) -> None:
    async with on(node, migrated_database_url, sandbox) as (running, kept):
        slow = sandbox.add_fault("delay", path="/customers/", seconds=1.0)
        requests = await refreshes(running, 10)
        await eventually(lambda: slow.struck >= 5, message="in flight")
        await asyncio.get_running_loop().run_in_executor(None, node.restart)
        await eventually(running.worker.broker.healthy, timeout_s=60, message="connected again")
        await eventually(lambda: _answered(kept, requests), timeout_s=60, every_s=0.3, message="all answered")
        assert [len(kept.ids[request]) for request in requests] == [1] * len(requests)
        assert await running.value("select max(attempts) from economic.inbox") == 1, "a restart is nobody's death"
        assert await running.value("select count(*) from economic.dead_letters") == 0


async def _answered(kept: Kept, requests: list[str]) -> bool:
    return set(requests) <= set(await kept.read())


async def _all_done(running: Harness) -> bool:
    return bool(await running.value("select bool_and(state = 'done') from economic.inbox"))


async def _outbox_empty(running: Harness) -> bool:
    return bool(await running.value("select count(*) = 0 from economic.outbox"))


async def _unacknowledged(node: PrivateRabbitMQ) -> bool:
    listed = await ctl(node, "list_queues", "name", "messages", "--no-table-headers")
    counts = dict(line.split() for line in listed.splitlines() if line.strip())
    return counts[LANE_QUEUES["work"]] == "0"  # type: ignore[index]
