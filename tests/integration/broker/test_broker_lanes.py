"""The ordinary life of messages on a real RabbitMQ: lanes, wait ladder, dead queue, confirms."""

import asyncio
import time
from typing import Any

import aio_pika
import pytest
import structlog.testing
from aiormq.channel import Channel
from aiormq.connection import Connection
from broker_kit import CountReady, Recorder, Workbench, outgoing, until, until_ready
from pamqp.commands import Basic, Exchange, Queue

from worker.broker import bunching
from worker.broker.delivery import Ack, DeathInfo, Delivery, Lane, PutAway, Reject, Verdict
from worker.broker.topology import (
    DEAD_QUEUE,
    EVENTS_EXCHANGE,
    INTERNAL_EXCHANGE,
    LANE_QUEUES,
)
from worker.errors import StoreUnavailable, Unroutable


async def test_each_type_arrives_in_its_lane_as_it_was_published(bench: Workbench) -> None:
    recorder = Recorder()
    broker = await bench.consuming(recorder)
    await broker.publisher.publish(outgoing(b"\xff\x00raw", headers={"cloudEvents:id": "1", "n": 7}))
    await broker.publisher.publish(outgoing(b"slow", event_type="test.bulk", message_id="m-2"))
    await until(lambda: len(recorder.seen) == 2, "both messages")
    by_lane = {delivery.lane: delivery for delivery in recorder.seen}
    assert by_lane[Lane.BULK].body == b"slow"
    assert by_lane[Lane.WORK] == Delivery(
        body=b"\xff\x00raw",
        headers={"cloudEvents:id": "1", "n": 7},
        content_type="application/cloudevents+json",
        message_id="m-1",
        routing_key="test.work",
        lane=Lane.WORK,
        redelivered=False,
        delivery_count=0,
    )


async def test_reading_pauses_after_deliveries_but_not_while_queues_are_declared(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[float] = []
    monkeypatch.setattr(bunching._Valve, "hold", lambda _, seconds: held.append(seconds))
    recorder = Recorder()
    broker = await bench.consuming(recorder)
    assert held == []
    await broker.publisher.publish(outgoing())
    await until(lambda: len(recorder.seen) == 1, "the message")
    assert set(held) == {bunching.BUNCH_S}
    await broker.pause()
    held.clear()
    await broker.resume()
    assert held == []


async def test_an_internal_type_reaches_its_lane_only_through_the_internal_exchange(bench: Workbench) -> None:
    recorder = Recorder()
    broker = await bench.consuming(recorder)
    inside = outgoing(event_type="pike-economic.test.continue", exchange=INTERNAL_EXCHANGE)
    await broker.publisher.publish(inside)
    await until(lambda: len(recorder.seen) == 1, "the internal message")
    assert recorder.seen[0].lane is Lane.BULK
    with pytest.raises(Unroutable):
        await broker.publisher.publish(outgoing(event_type=inside.routing_key, exchange=EVENTS_EXCHANGE))


async def test_an_acknowledged_message_is_gone_and_others_are_not(bench: Workbench, ready_in: CountReady) -> None:
    hold = asyncio.Event()

    async def answer(delivery: Delivery) -> Verdict:
        if delivery.body == b"held":
            await hold.wait()
        return Ack()

    broker = await bench.consuming(Recorder(answer))
    await broker.publisher.publish(outgoing(b"done", message_id="m-1"))
    await broker.publisher.publish(outgoing(b"held", message_id="m-2"))
    await until(lambda: broker.in_work == 1, "one left in work")
    await broker.stop(drain_s=0)
    await until_ready(ready_in, LANE_QUEUES[Lane.WORK], 1)


async def test_what_is_put_away_comes_back_to_its_lane_unchanged_after_its_wait(bench: Workbench) -> None:
    times: list[float] = []

    def answer(delivery: Delivery) -> Verdict:
        times.append(time.monotonic())
        return PutAway(0.3, "rate limited") if len(times) == 1 else Ack()

    recorder = Recorder(answer)
    broker = await bench.consuming(recorder)
    await broker.publisher.publish(outgoing(b"\x00\xfe body", event_type="test.bulk", headers={"ce-a": "1", "ce-n": 2}))
    await until(lambda: len(recorder.seen) == 2, "the second delivery")
    first, second = recorder.seen
    assert second.body == first.body
    assert (second.lane, second.routing_key, second.message_id, second.content_type) == (
        Lane.BULK,
        "test.bulk",
        "m-1",
        "application/cloudevents+json",
    )
    assert dict(first.headers).items() <= dict(second.headers).items()
    assert second.headers["x-pike-economic-reason"] == "rate limited"
    assert second.headers["x-pike-economic-waits"] == 1
    assert not second.redelivered
    assert times[1] - times[0] >= 0.38  # the 400 ms rung, the first of at least 0.3 s


async def test_rungs_return_in_the_order_of_their_delays_whatever_the_order_in(bench: Workbench) -> None:
    delays = {b"long": 0.8, b"middle": 0.2, b"short": 0.01}

    def answer(delivery: Delivery) -> Verdict:
        again = "x-pike-economic-waits" in delivery.headers
        return Ack() if again else PutAway(delays[delivery.body], "later")

    recorder = Recorder(answer)
    broker = await bench.consuming(recorder)
    for number, body in enumerate(delays):
        await broker.publisher.publish(outgoing(body, message_id=f"m-{number}"))
    await until(lambda: len(recorder.seen) == 6, "all back")
    assert recorder.bodies[3:] == [b"short", b"middle", b"long"]


async def test_a_message_can_be_put_away_again_and_again(bench: Workbench) -> None:
    def answer(delivery: Delivery) -> Verdict:
        return Ack() if delivery.headers.get("x-pike-economic-waits") == 6 else PutAway(0, "again")

    recorder = Recorder(answer)
    broker = await bench.consuming(recorder)
    await broker.publisher.publish(outgoing())
    await until(lambda: len(recorder.seen) == 7, "seven deliveries")
    assert len({tuple(sorted(delivery.headers)) for delivery in recorder.seen[2:]}) == 1


async def test_a_message_moved_into_a_lane_by_hand_finds_its_way_back(
    bench: Workbench, admin: aio_pika.abc.AbstractConnection
) -> None:
    recorder = Recorder(lambda delivery: Ack() if len(recorder.seen) > 1 else PutAway(0, "not now"))
    await bench.consuming(recorder)
    async with admin.channel() as channel:
        await channel.default_exchange.publish(aio_pika.Message(b"moved"), LANE_QUEUES[Lane.BULK])
    await until(lambda: len(recorder.seen) == 2, "the second delivery")
    assert recorder.seen[1].lane is Lane.BULK


@pytest.mark.parametrize("error", [LookupError("secret detail"), asyncio.CancelledError(), TimeoutError()])
async def test_an_exception_puts_the_delivery_away_on_the_first_rung(bench: Workbench, error: BaseException) -> None:
    def answer(delivery: Delivery) -> Verdict:
        if len(recorder.seen) == 1:
            raise error
        return Ack()

    recorder = Recorder(answer)
    broker = await bench.consuming(recorder)
    await broker.publisher.publish(outgoing())
    await until(lambda: len(recorder.seen) == 2, "the second delivery")
    assert recorder.seen[1].headers["x-pike-economic-reason"] == f"unexpected {type(error).__name__}"


async def test_a_delivery_held_too_long_is_put_away_before_the_broker_loses_patience(bench: Workbench) -> None:
    async def answer(delivery: Delivery) -> Verdict:
        if len(recorder.seen) == 1:
            await asyncio.Event().wait()
        return Ack()

    recorder = Recorder(answer)
    broker = await bench.consuming(recorder, hold_limit_s=0.2)
    await broker.publisher.publish(outgoing())
    await until(lambda: len(recorder.seen) == 2, "the second delivery")
    assert "Timeout" in str(recorder.seen[1].headers["x-pike-economic-reason"])


async def test_a_rejected_message_waits_in_the_dead_queue_until_it_is_handled(
    bench: Workbench, ready_in: CountReady
) -> None:
    broker = await bench.consuming(Recorder(lambda _: Reject("cannot even be stored")))
    await broker.publisher.publish(outgoing(b"bad \xff", event_type="test.bulk", headers={"a": "b"}))
    dead: list[tuple[Delivery, DeathInfo]] = []

    async def failing(delivery: Delivery, death: DeathInfo) -> None:
        dead.append((delivery, death))
        raise StoreUnavailable("away")

    async def handle(delivery: Delivery, death: DeathInfo) -> None:
        dead.append((delivery, death))

    await until_ready(ready_in, DEAD_QUEUE, 1)
    with pytest.raises(StoreUnavailable):
        await broker.drain_dead(failing, 10)
    assert await broker.drain_dead(handle, 10) == 1
    assert await broker.drain_dead(handle, 10) == 0
    delivery, death = dead[-1]
    assert len(dead) == 2
    assert (delivery.body, delivery.routing_key, delivery.lane) == (b"bad \xff", "test.bulk", Lane.BULK)
    assert delivery.headers["a"] == "b"
    assert (death.reason, death.queue, death.count) == ("rejected", LANE_QUEUES[Lane.BULK], 1)
    assert death.died_at is not None


async def test_one_dead_message_that_cannot_be_handled_does_not_hold_up_the_others(
    bench: Workbench, ready_in: CountReady
) -> None:
    broker = await bench.consuming(Recorder(lambda _: Reject("no")))
    await broker.publisher.publish_many([outgoing(b"%d" % n, message_id=f"m-{n}") for n in range(3)])
    handled: list[bytes] = []

    async def handle(delivery: Delivery, death: DeathInfo) -> None:
        if delivery.body == b"0":
            raise LookupError("a bug")
        handled.append(delivery.body)

    async def all_but_one() -> None:
        while len(handled) < 2:
            await broker.drain_dead(handle, 10)
            await asyncio.sleep(0.02)

    await asyncio.wait_for(all_but_one(), 10)
    assert sorted(handled) == [b"1", b"2"]
    await until_ready(ready_in, DEAD_QUEUE, 1)


async def test_five_hundred_messages_at_fifty_at_once_all_arrive_once(bench: Workbench, ready_in: CountReady) -> None:
    full = asyncio.Event()

    async def answer(delivery: Delivery) -> Verdict:
        if recorder.at_once == 50:
            full.set()
        await full.wait()
        await asyncio.sleep(0.005)
        return PutAway(0, "once around") if "x-pike-economic-waits" not in delivery.headers else Ack()

    recorder = Recorder(answer)
    broker = await bench.consuming(recorder, prefetch=50)
    bodies = [b"%d" % number for number in range(500)]
    results = await broker.publisher.publish_many([outgoing(body, message_id=body.decode()) for body in bodies])
    assert results == [None] * 500
    await until(lambda: len(recorder.seen) >= 1000 and broker.in_work == 0, "all twice", 60)
    assert sorted(recorder.bodies) == sorted(bodies * 2)
    assert recorder.most_at_once == 50
    await broker.stop(drain_s=5)
    await until_ready(ready_in, LANE_QUEUES[Lane.WORK], 0)


async def test_what_no_queue_takes_is_told_per_message_and_the_others_arrive(bench: Workbench) -> None:
    recorder = Recorder()
    broker = await bench.consuming(recorder)
    lost = [outgoing(event_type="nobody.wants", message_id=f"lost-{n}") for n in range(3)]
    kept = [outgoing(message_id=f"kept-{n}") for n in range(3)]
    results = await broker.publisher.publish_many(
        [message for pair in zip(lost, kept, strict=True) for message in pair]
    )
    assert [type(result) for result in results] == [Unroutable, type(None)] * 3
    assert "nobody.wants" in str(results[0])
    await until(lambda: len(recorder.seen) == 3, "those that can be routed")


async def test_the_same_id_in_flight_twice_does_not_hide_that_one_was_returned(bench: Workbench) -> None:
    broker = await bench.started()
    twins = [outgoing(event_type="nobody.wants"), outgoing(), outgoing(event_type="nobody.wants"), outgoing()]
    results = await broker.publisher.publish_many(twins)
    assert [type(result) for result in results] == [Unroutable, type(None)] * 2


async def test_a_missing_exchange_is_unroutable_and_the_publisher_goes_on(bench: Workbench) -> None:
    broker = await bench.started()
    with pytest.raises(Unroutable, match=r"no\.such\.exchange"):
        await broker.publisher.publish(outgoing(exchange="no.such.exchange"))
    await broker.publisher.publish(outgoing())


@pytest.mark.parametrize("bad", [{"event_type": "k" * 256}, {"message_id": "i" * 256}, {"headers": {"h": 2**70}}])
async def test_what_amqp_cannot_express_is_unroutable_and_the_publisher_goes_on(
    bench: Workbench, bad: dict[str, Any]
) -> None:
    broker = await bench.started()
    with pytest.raises(Unroutable, match="cannot be expressed"):
        await broker.publisher.publish(outgoing(**bad))
    batch = [outgoing(message_id="a"), outgoing(**bad), outgoing(message_id="b")]
    results = await broker.publisher.publish_many(batch)
    assert [type(result) for result in results] == [type(None), Unroutable, type(None)]


async def test_a_process_that_returns_no_verdict_does_not_hold_its_delivery_for_ever(
    bench: Workbench, ready_in: CountReady
) -> None:
    broker = await bench.consuming(Recorder(lambda _: None))  # type: ignore[arg-type,return-value]
    await broker.publisher.publish(outgoing())
    await until_ready(ready_in, DEAD_QUEUE, 1)


async def test_deliveries_do_not_pass_through_aiormq_also_after_a_pause(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs: list[object] = []

    async def note(_channel: Channel, frame: object) -> None:
        theirs.append(frame)

    monkeypatch.setattr(Channel, "_on_deliver_frame", note)
    recorder = Recorder()
    broker = await bench.consuming(recorder)
    await broker.publisher.publish(outgoing(b"first"))
    await until(lambda: len(recorder.seen) == 1, "the first message")
    await broker.pause()
    await broker.publisher.publish(outgoing(b"second"))
    await broker.resume()
    await until(lambda: len(recorder.seen) == 2, "the second message")
    await broker.publisher.publish(outgoing(b"large" * 100_000))  # several frames
    await until(lambda: len(recorder.seen) == 3, "the large message")
    assert recorder.bodies == [b"first", b"second", b"large" * 100_000]
    assert not theirs


async def test_a_connection_on_which_nothing_but_deliveries_come_is_not_taken_for_dead(
    bench: Workbench, ready_in: CountReady, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it delivers, RabbitMQ sends no heartbeats; aiormq waits for three of them, and here for one."""
    monkeypatch.setattr(Connection, "HEARTBEAT_GRACE_MULTIPLIER", 1)  # times heartbeat + 1 s
    recorder = Recorder()
    with structlog.testing.capture_logs() as logged:
        broker = await bench.consuming(recorder, heartbeat_s=1)
        bodies = [b"%d" % number for number in range(50)]
        for body in bodies:
            await broker.publisher.publish(outgoing(body))
            await asyncio.sleep(0.1)  # five seconds together, more than twice as long
        await until(lambda: len(recorder.seen) >= len(bodies), "all messages")
    assert not [entry for entry in logged if entry["event"] == "broker.session_lost"]
    assert recorder.bodies == bodies
    await broker.stop(drain_s=1)
    await until_ready(ready_in, LANE_QUEUES[Lane.WORK], 0)


@pytest.mark.parametrize("name", ["pike.überall", "a*b", "x" * 200])
async def test_a_message_from_an_exchange_with_a_strange_name_is_one_like_any_other(
    bench: Workbench, admin: aio_pika.abc.AbstractConnection, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """RabbitMQ allows names that pamqp refuses to write."""
    for command in (Exchange.Declare, Queue.Bind, Basic.Publish, Exchange.Delete):
        monkeypatch.setattr(command, "validate", lambda _: None)
    recorder = Recorder()
    broker = await bench.consuming(recorder)
    async with admin.channel() as opened:
        channel = await opened.get_underlay_channel()
        await channel.exchange_declare(name, exchange_type="fanout")
        try:
            await channel.queue_bind(LANE_QUEUES[Lane.WORK], name, "")
            await channel.basic_publish(b"strange", exchange=name, routing_key="ü")
            await broker.publisher.publish(outgoing(b"after"))
            await until(lambda: len(recorder.seen) == 2, "both messages")
        finally:
            await channel.exchange_delete(name)
    assert sorted(recorder.bodies) == [b"after", b"strange"]
    assert {delivery.routing_key for delivery in recorder.seen} == {"ü", "test.work"}


async def test_nothing_is_lost_between_pausing_and_resuming_under_load(bench: Workbench, ready_in: CountReady) -> None:
    """What is on its way when a consumer is cancelled still comes."""
    recorder = Recorder()
    broker = await bench.consuming(recorder, prefetch=50)

    async def publish() -> None:
        for first in range(0, 1_000, 50):
            # a large one among them takes several reads
            bodies = [
                b"%d." % number + b"x" * (300_000 if number == first else 0) for number in range(first, first + 50)
            ]
            await broker.publisher.publish_many([outgoing(body, message_id=body[:9].decode()) for body in bodies])

    publishing = asyncio.create_task(publish())
    pauses = 0
    while not publishing.done() or pauses < 10:
        await broker.pause()
        await broker.resume()
        pauses += 1
    await publishing
    await until(lambda: len(recorder.seen) >= 1_000, "all messages", 30)
    await broker.stop(drain_s=5)
    assert sorted(int(body.split(b".")[0]) for body in recorder.bodies) == list(range(1_000))
    await until_ready(ready_in, LANE_QUEUES[Lane.WORK], 0)
