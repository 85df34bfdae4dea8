"""What goes wrong between the worker and RabbitMQ, and that it comes right without loss."""

import asyncio
from urllib.parse import urlsplit

import aio_pika
import pytest
from broker_kit import CountReady, Recorder, Workbench, outgoing, until, until_ready
from pamqp.commands import Basic
from tcp_proxy import TcpProxy

from worker.broker.broker import Broker
from worker.broker.connection import Address, open_connection
from worker.broker.declare import declare_on
from worker.broker.delivery import Ack, Delivery, Lane, PutAway, Verdict
from worker.broker.topology import DEAD_QUEUE, EVENTS_EXCHANGE, LANE_QUEUES, Topology, build_topology
from worker.broker.watchdog import DeafConsumer
from worker.clock import SystemClock
from worker.errors import BrokerUnavailable, SchemaMismatch

PREFETCH = dict.fromkeys(Lane, 5)


def attached(broker: Broker) -> bool:
    return all(broker.consumers_attached.values()) and broker.healthy()


async def test_after_a_lost_connection_later_messages_arrive(bench: Workbench, proxy: TcpProxy) -> None:
    recorder = Recorder()
    broker = await bench.consuming(recorder, proxy.url)
    for number in range(3):
        proxy.cut()
        await until(lambda: not attached(broker), "the loss noticed")
        await until(lambda: attached(broker), "both connections back")
        await broker.publisher.publish(outgoing(b"%d" % number, message_id=f"m-{number}"))
        # an acknowledgement that is lost with its connection brings an earlier one again
        await until(lambda number=number: b"%d" % number in [each.body for each in recorder.seen], "the later message")


async def test_a_delivery_in_work_when_the_connection_is_lost_comes_again(
    bench: Workbench, proxy: TcpProxy, ready_in: CountReady
) -> None:
    lost = asyncio.Event()

    async def answer(delivery: Delivery) -> Verdict:
        await lost.wait()
        return Ack()

    recorder = Recorder(answer)
    broker = await bench.consuming(recorder, proxy.url)
    await broker.publisher.publish(outgoing(b"once"))
    await until(lambda: len(recorder.seen) == 1, "the first delivery")
    proxy.cut()
    await until(lambda: len(recorder.seen) == 2, "the redelivery")
    lost.set()  # the first one's acknowledgement has no channel to go to and must do no harm
    assert recorder.seen[1].redelivered
    assert recorder.seen[1].delivery_count == 1
    await until(lambda: broker.in_work == 0, "done")
    await broker.stop(drain_s=1)
    await until_ready(ready_in, LANE_QUEUES[Lane.WORK], 0)


async def test_deliveries_of_a_lost_session_count_against_the_lane_until_they_end(
    bench: Workbench, proxy: TcpProxy, ready_in: CountReady
) -> None:
    release = asyncio.Event()

    async def answer(delivery: Delivery) -> Verdict:
        await release.wait()
        return Ack()

    recorder = Recorder(answer)
    broker = await bench.consuming(recorder, proxy.url, prefetch=2)
    await broker.publisher.publish_many([outgoing(message_id=f"m-{n}") for n in range(4)])
    await until(lambda: len(recorder.seen) == 2, "two in work")
    for waiting in (4, 6):
        proxy.cut()
        await until(lambda waiting=waiting: broker.in_work == waiting, "two more, waiting for room")
    assert recorder.most_at_once == 2
    release.set()
    await until(lambda: broker.in_work == 0 and len(recorder.seen) >= 6, "all done")
    await broker.stop(drain_s=2)
    await until_ready(ready_in, LANE_QUEUES[Lane.WORK], 0)
    assert recorder.most_at_once == 2
    assert len(recorder.seen) == 6  # the two that only ever waited on a lost session were not begun


async def test_while_the_broker_refuses_publishing_fails_in_time_and_later_works(
    bench: Workbench, proxy: TcpProxy
) -> None:
    recorder = Recorder()
    broker = await bench.consuming(recorder, proxy.url)
    proxy.refuse()
    proxy.cut()
    await until(lambda: not broker.publisher.attached, "the loss noticed")
    with pytest.raises(BrokerUnavailable, match=r"within 0\.2 s: no connection"):
        await broker.publisher.publish(outgoing(), timeout_s=0.2)
    assert not broker.healthy()
    proxy.refuse(False)
    await broker.publisher.publish(outgoing(), timeout_s=20)  # waits for the connection
    await until(lambda: len(recorder.seen) == 1, "the message")


async def test_a_silent_broker_means_an_unconfirmed_publish_in_time(bench: Workbench, proxy: TcpProxy) -> None:
    broker = await bench.started(proxy.url)
    proxy.freeze()
    with pytest.raises(BrokerUnavailable, match="did not confirm message m-1"):
        await broker.publisher.publish(outgoing(), timeout_s=0.3)
    results = await broker.publisher.publish_many([outgoing(message_id="a"), outgoing(message_id="b")], 0.3)
    assert [type(result) for result in results] == [BrokerUnavailable] * 2
    proxy.thaw()
    await broker.publisher.publish(outgoing())


async def test_while_the_broker_takes_no_publishes_acks_go_on_and_what_is_put_away_is_not_lost(
    bench: Workbench, proxy: TcpProxy, topology: Topology, ready_in: CountReady, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A memory or disk alarm stops publishing connections only."""
    monkeypatch.setattr("worker.broker.handling.PUBLISH_TIMEOUT_S", 0.2)

    def answer(delivery: Delivery) -> Verdict:
        wait = delivery.body == b"wait" and "x-pike-economic-waits" not in delivery.headers
        return PutAway(0, "later") if wait else Ack()

    recorder = Recorder(answer)
    broker = await bench.consuming(recorder, proxy.url)
    other = await bench.started()
    proxy.freeze(first=1)  # the publishing connection is opened first
    await other.publisher.publish(outgoing(b"wait", message_id="m-1"))
    await other.publisher.publish(outgoing(b"ack", message_id="m-2"))
    await until(lambda: len(recorder.seen) == 2 and broker.in_work == 1, "one done, one waiting for its copy")
    with pytest.raises(BrokerUnavailable):
        # nobody is bound to it: should it get through after all, it stays in no queue
        await broker.publisher.publish(outgoing(event_type="test.nobody"), timeout_s=0.6)
    assert broker.in_work == 1
    proxy.thaw()
    await until(lambda: broker.in_work == 0 and recorder.bodies.count(b"wait") > 1, "the copy")
    # A confirm that came too late makes a second copy: it is consumed like the first, while somebody listens.
    async with asyncio.timeout(15):
        while await ready_in(LANE_QUEUES[Lane.WORK]) + await ready_in(topology.rungs[0].name) + broker.in_work:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_half_open_connection_is_found_by_the_heartbeat(bench: Workbench, proxy: TcpProxy) -> None:
    recorder = Recorder()
    broker = await bench.consuming(recorder, proxy.url, heartbeat_s=1)
    before = proxy.accepted
    proxy.freeze()
    await until(lambda: not any(broker.consumers_attached.values()), "the silence noticed", 20)
    proxy.thaw()
    await until(lambda: attached(broker) and proxy.accepted >= before + 2, "new connections", 20)
    await broker.publisher.publish(outgoing())
    await until(lambda: len(recorder.seen) == 1, "the message")


async def test_a_deleted_queue_is_declared_and_consumed_again(
    bench: Workbench, admin: aio_pika.abc.AbstractConnection
) -> None:
    recorder = Recorder()
    broker = await bench.consuming(recorder)
    async with admin.channel() as channel:
        await channel.queue_delete(LANE_QUEUES[Lane.WORK])
    await until(lambda: not attached(broker), "the cancelled consumer noticed")
    await until(lambda: attached(broker), "consumers back")
    await broker.publisher.publish(outgoing())
    await until(lambda: len(recorder.seen) == 1, "the message")


async def test_a_deleted_wait_queue_is_declared_again_and_nothing_is_lost(
    bench: Workbench, admin: aio_pika.abc.AbstractConnection, topology: Topology
) -> None:
    recorder = Recorder(
        lambda delivery: Ack() if delivery.headers.get("x-pike-economic-waits") else PutAway(0, "later")
    )
    broker = await bench.consuming(recorder)
    async with admin.channel() as channel:
        await channel.queue_delete(topology.rungs[0].name)
    await broker.publisher.publish(outgoing())
    await until(lambda: any(d.headers.get("x-pike-economic-waits") for d in recorder.seen), "the copy")
    assert recorder.seen[1].redelivered  # the first attempt found no rung, so the original came again


async def test_a_queue_with_other_arguments_stops_the_start_with_the_difference(
    bench: Workbench, admin: aio_pika.abc.AbstractConnection, topology: Topology
) -> None:
    rung = topology.rungs[1].name
    async with admin.channel() as channel:
        await channel.declare_queue(rung, durable=True, arguments={"x-queue-type": "quorum", "x-message-ttl": 7000})
    with pytest.raises(SchemaMismatch) as caught:
        await bench.started()
    text = str(caught.value)
    for part in (f"queue '{rung}'", "rabbitmqctl delete_queue", "needed is", "Stop all workers"):
        assert part in text


async def test_another_kind_of_shared_exchange_stops_the_start(
    bench: Workbench, admin: aio_pika.abc.AbstractConnection
) -> None:
    async with admin.channel() as channel:
        await channel.declare_exchange(EVENTS_EXCHANGE, "fanout", durable=True)
    with pytest.raises(
        SchemaMismatch, match=r"exchange 'pike.events' .* type is fanout, needed is topic.*shared with Pike"
    ):
        await bench.started()


async def test_a_topology_changed_under_a_running_worker_ends_consuming(
    bench: Workbench, admin: aio_pika.abc.AbstractConnection
) -> None:
    broker = await bench.started()
    running = bench.consume(broker, Recorder())
    await until(lambda: attached(broker), "consumers")
    async with admin.channel() as channel:
        await channel.queue_delete(DEAD_QUEUE)
        await channel.declare_queue(DEAD_QUEUE, durable=True)
        await channel.queue_delete(LANE_QUEUES[Lane.WORK])
    with pytest.raises(SchemaMismatch, match="x-queue-type"):
        await asyncio.wait_for(running, 15)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ({"password": "hunter2"}, "refused the login"),
        ({"password": "hunter2", "port": 1}, "cannot be reached"),
        ({"path": "/no-such-vhost"}, "virtual host"),
    ],
)
async def test_what_keeps_us_from_connecting_is_one_sentence_without_the_password(
    amqp_url: str, topology: Topology, broken: dict[str, str | int], words: str
) -> None:
    parts = urlsplit(amqp_url)
    place = f"{parts.hostname}:{broken.get('port', parts.port)}"
    netloc = f"{parts.username}:{broken.get('password', parts.password)}@{place}"
    url = parts._replace(netloc=netloc, path=str(broken.get("path", parts.path))).geturl()
    broker = Broker(url, topology, clock=SystemClock(), prefetch=PREFETCH, name="test")
    with pytest.raises(BrokerUnavailable) as caught:
        await broker.start()
    assert words in str(caught.value)
    assert place in str(caught.value)
    assert "hunter2" not in f"{caught.value} {broker!r} {vars(broker)} {caught.value.__cause__!r}"


async def test_while_paused_nothing_is_delivered_and_after_resuming_all_is(
    bench: Workbench, proxy: TcpProxy, ready_in: CountReady
) -> None:
    recorder = Recorder()
    broker = await bench.consuming(recorder, proxy.url)
    await broker.pause()
    await broker.pause()
    await broker.publisher.publish(outgoing(message_id="m-0"))
    await until_ready(ready_in, LANE_QUEUES[Lane.WORK], 1)
    proxy.cut()  # a pause outlives its connection
    await until(lambda: not broker.healthy(), "the loss noticed")
    await broker.publisher.publish(outgoing(message_id="m-1"), timeout_s=20)
    await until(broker.healthy, "back")
    await broker.publisher.publish(outgoing(message_id="m-2"))
    await until_ready(ready_in, LANE_QUEUES[Lane.WORK], 3)
    assert not any(broker.consumers_attached.values())
    await broker.resume()
    await until(lambda: len(recorder.seen) == 3, "all")
    assert not any(delivery.redelivered for delivery in recorder.seen)


async def test_a_delivery_in_work_at_a_pause_is_still_acknowledged(bench: Workbench, ready_in: CountReady) -> None:
    go = asyncio.Event()

    async def answer(delivery: Delivery) -> Verdict:
        await go.wait()
        return Ack()

    recorder = Recorder(answer)
    broker = await bench.consuming(recorder)
    await broker.publisher.publish(outgoing())
    await until(lambda: broker.in_work == 1, "in work")
    await broker.pause()
    go.set()
    await until(lambda: broker.in_work == 0, "done")
    await broker.stop(drain_s=1)
    await until_ready(ready_in, LANE_QUEUES[Lane.WORK], 0)


async def test_stopping_lets_work_finish_and_hands_the_rest_back(bench: Workbench, ready_in: CountReady) -> None:
    async def answer(delivery: Delivery) -> Verdict:
        await asyncio.sleep(0.2 if delivery.body == b"quick" else 60)
        return Ack()

    broker = await bench.started(prefetch=4)
    running = bench.consume(broker, Recorder(answer))
    bodies = [b"quick", b"slow", b"quick", b"slow"]
    await broker.publisher.publish_many([outgoing(body, message_id=f"m-{n}") for n, body in enumerate(bodies)])
    await until(lambda: broker.in_work == 4, "four in work")
    began = asyncio.get_running_loop().time()
    await broker.stop(drain_s=0.6)
    assert asyncio.get_running_loop().time() - began < 5
    assert running.done()
    assert running.exception() is None
    await until_ready(ready_in, LANE_QUEUES[Lane.WORK], 2)


async def test_a_consumer_that_the_broker_does_not_know_is_found_deaf(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = await bench.started(watch_interval_s=0.1)
    running = bench.consume(broker, Recorder())
    await until(lambda: attached(broker), "consumers")
    session = broker._consumer._session
    assert session is not None
    for lane in session._lanes:  # gone at the broker, but we believe in it
        await lane.channel.basic_cancel(lane.consumer_tag)
    with pytest.raises(DeafConsumer, match="knows no consumer"):
        await asyncio.wait_for(running, 10)


async def test_the_watchdog_leaves_a_working_consumer_alone(bench: Workbench) -> None:
    recorder = Recorder()
    broker = await bench.consuming(recorder, watch_interval_s=0.05)
    for number in range(10):
        await broker.publisher.publish(outgoing(message_id=f"m-{number}"))
        await asyncio.sleep(0.05)
    assert attached(broker)
    await until(lambda: len(recorder.seen) == 10, "all")


async def test_verify_tells_what_exists_without_creating_it(
    bench: Workbench, admin: aio_pika.abc.AbstractConnection, topology: Topology
) -> None:
    broker = Broker(bench.url, topology, clock=SystemClock(), prefetch=PREFETCH, name="doctor")
    nothing = await broker.verify()
    assert not nothing.complete
    assert EVENTS_EXCHANGE in nothing.missing_exchanges
    running = await bench.consuming(Recorder())
    await running.pause()
    await running.publisher.publish(outgoing())
    await running.resume()
    async with admin.channel() as channel:
        await channel.queue_delete(topology.rungs[0].name)
    found = {queue.name: queue for queue in (await broker.verify()).queues}
    assert found[LANE_QUEUES[Lane.BULK]].consumers == 1
    assert not found[topology.rungs[0].name].exists


async def test_a_newer_version_with_more_types_keeps_what_the_older_one_needs(
    bench: Workbench, amqp_url: str, topology: Topology
) -> None:
    recorder = Recorder()
    broker = await bench.consuming(recorder)
    newer = build_topology(["test.work", "test.new"], ["test.bulk"], [rung.delay_s for rung in topology.rungs])
    address = Address.parse(amqp_url)
    connection = await open_connection(address, "newer")
    await declare_on(connection, newer, address)
    await connection.close()
    await broker.publisher.publish_many(
        [outgoing(event_type=name, message_id=name) for name in ("test.new", "test.other")]
    )
    await until(lambda: len(recorder.seen) == 2, "both the new and the old type")


@pytest.mark.requirement("F20")
async def test_properties_that_are_not_utf8_do_not_cost_the_connection(
    bench: Workbench, admin: aio_pika.abc.AbstractConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(lambda _: PutAway(0, "again") if len(recorder.seen) == 1 else Ack())
    broker = await bench.consuming(recorder)
    async with admin.channel() as channel:
        underlay = await channel.get_underlay_channel()
        put = underlay.write_queue.put

        async def careless(frame: object) -> None:
            payload = frame.payload.replace(b"SWAP", b"\xff\xfe\xfd\xfc")  # type: ignore[attr-defined]
            await put(type(frame)(payload, frame.should_close, frame.drain_future))  # type: ignore

        monkeypatch.setattr(underlay.write_queue, "put", careless)
        properties = Basic.Properties(message_id="m-SWAP", correlation_id="SWAP", headers={"kSWAP": 1})
        await underlay.basic_publish(
            b"careless", exchange=EVENTS_EXCHANGE, routing_key="test.work", properties=properties
        )
        monkeypatch.undo()
    await until(lambda: len(recorder.seen) == 2, "both deliveries")
    assert recorder.bodies == [b"careless"] * 2
    assert not recorder.seen[0].redelivered
    assert attached(broker)
