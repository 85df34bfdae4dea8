"""Conversion of messages: what a waiting copy keeps and drops, deaths, careless properties, acknowledgements."""

import asyncio
import socket
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from aiormq.abc import DeliveredMessage
from hypothesis import given
from hypothesis import strategies as st
from pamqp import encode
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from worker.broker.connection import Address, Backoff, broker_errors, open_connection
from worker.broker.declare import QueueState
from worker.broker.delivery import Lane
from worker.broker.frames import MAX_HEADER_BYTES, Uncopyable, to_dead, to_delivery, waiting_copy
from worker.broker.lenient import tolerate_foreign_properties
from worker.broker.settling import combine
from worker.broker.watchdog import find_deafness
from worker.errors import BrokerUnavailable, Unroutable


def message(properties: Basic.Properties, *, redelivered: bool = False) -> DeliveredMessage:
    frame = Basic.Deliver("tag", 1, redelivered, "pike.events", "pike.invoice.created")
    return DeliveredMessage(frame, ContentHeader(properties=properties), b"body", None)  # type: ignore[arg-type]


def test_a_copy_keeps_what_the_publisher_said_and_adds_why_and_how_often() -> None:
    stamp = datetime(2025, 1, 2, tzinfo=UTC)
    original = Basic.Properties(
        content_type="application/json",
        content_encoding="gzip",
        headers={"cloudEvents:id": "1", "n": 5},
        priority=3,
        correlation_id="c",
        reply_to="r",
        message_id="m",
        timestamp=stamp,
        message_type="t",
        app_id="pike",
    )
    first = waiting_copy(message(original), "rate limited")
    second = waiting_copy(message(first), "still")
    for copy, waits, reason in ((first, 1, "rate limited"), (second, 2, "still")):
        assert copy.headers == {
            "cloudEvents:id": "1",
            "n": 5,
            "x-pike-economic-waits": waits,
            "x-pike-economic-reason": reason,
        }
        assert copy.delivery_mode == 2
        for name in [
            "content_type",
            "content_encoding",
            "priority",
            "correlation_id",
            "reply_to",
            "message_id",
            "timestamp",
            "message_type",
            "app_id",
        ]:
            assert getattr(copy, name) == getattr(original, name), name


def test_a_copy_drops_what_would_cut_its_wait_route_it_twice_or_get_it_refused() -> None:
    headers = {
        "x-death": [{"queue": "q", "reason": "expired"}],
        "x-first-death-queue": "q",
        "x-last-death-reason": "expired",
        "x-delivery-count": 3,
        "CC": ["pike.other"],
        "BCC": ["pike.third"],
    }
    copy = waiting_copy(message(Basic.Properties(headers=headers, expiration="10", user_id="pike")), "later")
    assert set(copy.headers or {}) == {
        "x-pike-economic-waits",
        "x-pike-economic-reason",
        "x-pike-economic-no-message-id",
    }
    assert not copy.expiration
    assert not copy.user_id


def test_a_message_without_an_id_has_none_after_its_wait_either() -> None:
    copy = waiting_copy(message(Basic.Properties()), "later")
    copy.message_id = "made up by the driver"
    assert to_delivery(message(copy), Lane.WORK).message_id is None


def test_a_reason_is_cut_to_what_a_header_may_hold() -> None:
    copy = waiting_copy(message(Basic.Properties()), "x" * 5000)
    assert (copy.headers or {})["x-pike-economic-reason"] == "x" * 200


@pytest.mark.parametrize("headers", [{"big": "x" * MAX_HEADER_BYTES}, {"n": 2**70}])
def test_headers_that_cannot_be_written_again_are_uncopyable(headers: dict[str, Any]) -> None:
    with pytest.raises(Uncopyable):
        waiting_copy(message(Basic.Properties(headers=headers)), "later")


@pytest.mark.parametrize(
    ("headers", "redelivered", "count"),
    [
        (None, False, 0),
        ({"x-delivery-count": 3}, True, 3),
        ({"x-delivery-count": 1, "x-acquired-count": 4}, True, 4),
        ({"x-delivery-count": "many"}, True, 0),
        ({"x-delivery-count": 9}, False, 0),
    ],
)
def test_the_delivery_count_is_the_brokers(headers: dict[str, Any] | None, redelivered: bool, count: int) -> None:
    delivery = to_delivery(message(Basic.Properties(headers=headers), redelivered=redelivered), Lane.WORK)
    assert delivery.delivery_count == count


@pytest.mark.parametrize("deaths", [None, [], "nonsense", [None], [{}]])
def test_a_dead_message_without_a_readable_history_is_still_handed_over(deaths: Any) -> None:
    delivery, death = to_dead(message(Basic.Properties(headers={"x-death": deaths})))
    assert delivery.body == b"body"
    assert (death.reason, death.queue, death.count, death.died_at) == ("unknown", None, 0, None)


def header_frame(properties: Basic.Properties, *swaps: tuple[bytes, bytes]) -> bytes:
    payload = ContentHeader(body_size=0, properties=properties).marshal()
    for old, new in swaps:
        assert payload.count(old) == 1
        payload = payload.replace(old, new)
    return payload


def read(payload: bytes) -> Basic.Properties:
    tolerate_foreign_properties()
    tolerate_foreign_properties()
    header = ContentHeader()
    header.unmarshal(payload)
    return header.properties


def test_a_short_string_that_is_not_utf8_is_read_with_replacements() -> None:
    payload = header_frame(Basic.Properties(correlation_id="SWAP", app_id="pike"), (b"SWAP", b"\xff\xfeok"))
    assert (read(payload).correlation_id, read(payload).app_id) == ("\ufffd\ufffdok", "pike")


def test_an_impossible_time_is_read_as_none() -> None:
    stamp = datetime(2025, 1, 1, tzinfo=UTC)
    raw = int(stamp.timestamp()).to_bytes(8, "big")
    properties = Basic.Properties(timestamp=stamp, headers={"at": stamp}, app_id="pike")
    payload = ContentHeader(properties=properties).marshal().replace(raw, b"\xff" * 8)
    assert (read(payload).timestamp, read(payload).headers, read(payload).app_id) == (None, {"at": None}, "pike")


def test_a_header_table_that_cannot_be_read_is_read_as_empty() -> None:
    properties = Basic.Properties(headers={"SWAP": 1}, message_id="m")
    payload = header_frame(properties, (b"SWAP", b"\xff\xfe\xfd\xfc"))
    assert (read(payload).headers, read(payload).message_id) == ({}, "m")


def test_a_header_table_nested_without_end_is_read_as_empty() -> None:
    table = encode.field_table({})
    for _ in range(5_000):
        table = (len(table) + 3).to_bytes(4, "big") + b"\x01aF" + table
    properties = Basic.Properties(headers={"SWAP": 1}, message_id="m")
    flat = encode.field_table({"SWAP": 1})
    assert read(header_frame(properties, (flat, table))).message_id == "m"


def test_well_formed_properties_are_read_as_before() -> None:
    stamp = datetime(2025, 1, 1, tzinfo=UTC)
    properties = Basic.Properties(headers={"å": "ø", "n": 1, "at": stamp}, message_id="æ", timestamp=stamp)
    assert read(header_frame(properties)) == properties


@given(st.permutations(range(1, 13)), st.lists(st.integers(1, 4), min_size=12, max_size=12))
def test_acknowledgements_cover_each_tag_once_and_none_that_is_open(order: list[int], sizes: list[int]) -> None:
    """The broker's side is played: an unknown tag, which would close the channel, or one too many fails."""
    open_tags, settled, low, given_up = set(range(1, 13)), set[int](), 0, Counter[int]()
    while order:
        batch, order = order[: sizes[0]], order[sizes[0] :]
        sizes = sizes[1:]
        frames, low = combine(settled, low, batch)
        assert len(frames) <= len(batch)
        for tag, multiple in frames:
            assert tag in open_tags
            taken = {t for t in open_tags if t <= tag} if multiple else {tag}
            open_tags -= taken
            given_up.update(taken)
            assert taken <= set(batch)
    assert not open_tags
    assert set(given_up.values()) == {1}
    assert (settled, low) == (set(), 12)


def test_tags_in_order_are_acknowledged_together() -> None:
    settled: set[int] = set()
    assert combine(settled, 0, [3, 1, 2]) == ([(3, True)], 3)
    assert combine(settled, 3, [6, 5]) == ([(5, False), (6, False)], 3)
    assert combine(settled, 3, [4]) == ([(4, False)], 6)
    assert not settled


@pytest.mark.parametrize(
    ("consumers", "ready", "delivered", "room", "deaf"),
    [
        (0, 0, 0, True, True),
        (0, 5, 3, False, True),
        (2, 5, 0, True, True),
        (2, 5, 0, False, False),
        (2, 5, 1, True, False),
        (1, 0, 0, True, False),
    ],
)
def test_deafness_is_no_consumer_or_ready_messages_that_nobody_brings(
    consumers: int, ready: int, delivered: int, room: bool, deaf: bool
) -> None:
    state = QueueState("pike-economic.work", True, ready, consumers)
    assert (find_deafness(state, delivered_since=delivered, has_room=room) is not None) is deaf


@given(st.floats(0, 1, exclude_max=True))
def test_backoff_grows_within_its_bounds_and_starts_over(chance: float) -> None:
    backoff = Backoff(first_s=0.5, cap_s=15, chance=lambda: chance)
    waits = [backoff.next_s() for _ in range(40)]
    assert waits == sorted(waits)
    assert 0.25 <= waits[0] <= 0.5
    assert 7.5 <= waits[-1] <= 15
    backoff.reset()
    assert backoff.next_s() == waits[0]


@pytest.mark.parametrize("url", ["", "rabbit", "amqp:hunter2", "http://u:hunter2@h", "amqp://u:hunter2@h:port/"])
def test_an_unreadable_address_is_told_without_repeating_it(url: str) -> None:
    with pytest.raises(BrokerUnavailable) as caught:
        Address.parse(url)
    assert "hunter2" not in str(caught.value)
    assert "amqp://user:password@host" in str(caught.value)


def test_an_address_prints_as_host_and_port() -> None:
    address = Address.parse("amqps://pike:hunter2@mq.example/prod")
    assert (str(address), repr(address)) == ("mq.example:5671", "mq.example:5671")


def test_an_address_of_several_nodes_prints_them_and_tries_each_once_begun_anywhere() -> None:
    address = Address.parse("amqp://pike:a,b@mq1/, amqps://pike:hunter2@mq2:5555/prod,amqp://mq3")
    assert str(address) == "mq1:5672, mq2:5555, mq3:5672"
    assert address.nodes[0].url.get_secret_value() == "amqp://pike:a,b@mq1/"
    orders = {tuple(map(str, address.in_turn())) for _ in range(200)}
    assert {order[0] for order in orders} == {"mq1:5672", "mq2:5555", "mq3:5672"}
    assert all(sorted(order) == ["mq1:5672", "mq2:5555", "mq3:5672"] for order in orders)


async def test_when_no_node_can_be_reached_each_is_named() -> None:
    with socket.socket() as closed:  # bound and not listening: refused at once
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        address = Address.parse(f"amqp://u:hunter2@127.0.0.1:{port}/,amqp://u:hunter2@localhost:{port}/")
        with pytest.raises(BrokerUnavailable) as caught:
            await open_connection(address, "test")
    assert f"RabbitMQ at 127.0.0.1:{port} cannot be reached" in str(caught.value)
    assert f"RabbitMQ at localhost:{port} cannot be reached" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("error", [asyncio.CancelledError(), Exception(), TimeoutError(), OSError(5, "gone")])
async def test_whatever_the_driver_raises_is_broker_trouble_and_says_what_was_tried(error: BaseException) -> None:
    with pytest.raises(BrokerUnavailable, match=r"mq\.example:5672.*declaring"):  # noqa: SIM117
        with broker_errors("declaring", Address.parse("amqp://u:p@mq.example/")):
            raise error


async def test_our_own_errors_and_our_own_cancellation_pass_as_they_are() -> None:
    address = Address.parse("amqp://u:p@mq.example/")
    with pytest.raises(Unroutable), broker_errors("publishing", address):
        raise Unroutable("nowhere")

    async def wait() -> None:
        with broker_errors("waiting", address):
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
