"""Deliveries out of a stream of bytes: each to its consumer, all else to aiormq, however the stream was cut."""

import itertools
import struct
from dataclasses import dataclass
from typing import Any, cast

import pamqp.frame
import pytest
from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel
from hypothesis import given
from hypothesis import strategies as st
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat

from worker.broker.deliveries import Consumers, Demultiplexer

OURS = ((1, "work"), (2, "bulk"))
"""Consumers that are known, as channel and tag."""


@dataclass
class FakeChannel:
    number: int


class Side:
    """A demultiplexer with the consumers of ``OURS``, and what came out of it."""

    def __init__(self) -> None:
        self.passed: list[bytes] = []
        self.handed: list[DeliveredMessage] = []
        self.consumers = Consumers()
        self.channels = {number: cast("Channel", FakeChannel(number)) for number, _ in OURS}
        for number, tag in OURS:
            self.consumers.add(self.channels[number], tag, self.handed.append)
        self.demultiplexer = Demultiplexer(self.consumers, self.passed.append)

    def feed(self, *pieces: bytes) -> list[bool]:
        return [self.demultiplexer.feed(piece) for piece in pieces]


def short_string(text: str) -> bytes:
    return bytes([len(text.encode())]) + text.encode()


def method(channel: int, tag: str, number: int, exchange: str, key: str) -> bytes:
    """Return a Basic.Deliver; every second one was delivered before. RabbitMQ allows more names than pamqp writes."""
    numbers = struct.pack(">QB", number, number % 2 == 0)
    arguments = short_string(tag) + numbers + short_string(exchange) + short_string(key)
    return struct.pack(">BHIHH", 1, channel, 4 + len(arguments), 60, 60) + arguments + b"\xce"


def delivery(
    channel: int,
    tag: str,
    number: int,
    body: bytes = b"",
    piece: int = 100,
    names: tuple[str, str] = ("pike.events", "key"),
    **properties: Any,
) -> list[bytes]:
    """Return a delivery's frames, as RabbitMQ would send them. ``names``: of exchange and routing key."""
    header = ContentHeader(body_size=len(body), properties=Basic.Properties(**properties))
    bodies = [ContentBody(body[at : at + piece]) for at in range(0, len(body), piece)]
    return [method(channel, tag, number, *names), *(pamqp.frame.marshal(each, channel) for each in (header, *bodies))]


def others() -> list[bytes]:
    """Return frames that are aiormq's: each kind, and content that nobody here consumes."""
    return [
        pamqp.frame.marshal(Heartbeat(), 0),
        pamqp.frame.marshal(Basic.Ack(7, True), 1),
        *delivery(1, "somebody else", 3, b"body"),
        *delivery(3, "work", 4, b"a channel on which nobody is known"),
        pamqp.frame.marshal(Basic.CancelOk("work"), 1),
    ]


def shown(message: DeliveredMessage) -> tuple[Any, ...]:
    """Return all that a message says."""
    sent, properties = message.delivery, message.header.properties
    assert isinstance(sent, Basic.Deliver)
    return (
        (sent.consumer_tag, sent.delivery_tag, sent.redelivered, sent.exchange, sent.routing_key),
        (message.header.body_size, message.body, dict(properties), cast("FakeChannel", message.channel).number),
    )


def as_aiormq_reads(frames: list[bytes]) -> tuple[Any, ...]:
    """Return the same of a delivery that pamqp took apart, as aiormq does."""
    (_, number, sent), (_, _, header), *bodies = (pamqp.frame.unmarshal(frame) for frame in frames)
    assert isinstance(sent, Basic.Deliver)
    assert isinstance(header, ContentHeader)
    return (
        (sent.consumer_tag, sent.delivery_tag, sent.redelivered, sent.exchange, sent.routing_key),
        (
            header.body_size,
            b"".join(cast("ContentBody", body).value for _, _, body in bodies),
            dict(header.properties),
            number,
        ),
    )


OTHERS = others()
NAMES = st.sampled_from(["", "pike.events", "pike.überall", "a*b", "x" * 255])
WORDS = st.text("aZ-é✓", max_size=9)
MESSAGES = st.tuples(
    st.sampled_from(OURS),
    st.integers(1, 2**63 - 1),
    st.binary(max_size=300),
    st.integers(1, 120),
    st.tuples(NAMES, NAMES),
    st.fixed_dictionaries(
        {},
        optional={
            "message_id": st.text("m-019", min_size=1, max_size=20),
            "headers": st.dictionaries(WORDS, st.integers(-5, 5) | WORDS, max_size=3),
            "delivery_mode": st.just(2),
        },
    ),
)


@given(
    st.lists(st.sampled_from(OTHERS) | MESSAGES, max_size=12),
    st.lists(st.integers(0, 10_000), max_size=12),
)
def test_each_delivery_comes_out_once_and_in_order_and_all_else_unchanged_however_it_was_cut(
    sent: list[Any], cuts: list[int]
) -> None:
    frames: list[bytes] = []
    rest: list[bytes] = []
    expected: list[tuple[Any, ...]] = []
    for each in sent:
        if isinstance(each, bytes):
            frames.append(each)
            rest.append(each)
        else:
            (channel, tag), number, body, piece, names, properties = each
            message = delivery(channel, tag, number, body, piece, names, **properties)
            frames += message
            expected.append(as_aiormq_reads(message))
    stream = b"".join(frames)
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    side = Side()
    side.feed(*(stream[a:b] for a, b in itertools.pairwise(places)))
    assert [shown(message) for message in side.handed] == expected
    assert b"".join(side.passed) == b"".join(rest)
    ends = set(itertools.accumulate(map(len, rest)))
    assert set(itertools.accumulate(map(len, side.passed))) <= ends, "aiormq gets whole frames only"
    side.demultiplexer.finish()
    assert b"".join(side.passed) == b"".join(rest)


def test_messages_of_two_channels_may_come_into_each_other() -> None:
    side = Side()
    one, two = delivery(1, "work", 1, b"first"), delivery(2, "bulk", 1, b"second")
    between = pamqp.frame.marshal(Basic.Ack(1), 3)
    side.feed(one[0] + two[0] + between + one[1], two[1] + two[2] + one[2])
    assert [(message.body, message.channel) for message in side.handed] == [
        (b"second", side.channels[2]),
        (b"first", side.channels[1]),
    ]
    assert side.passed == [between]


def test_it_is_told_whether_there_was_something_of_ours() -> None:
    side = Side()
    frames = delivery(1, "work", 1, b"body")
    heartbeat = pamqp.frame.marshal(Heartbeat(), 0)
    assert side.feed(heartbeat, frames[0], frames[1] + frames[2][:9], frames[2][9:], heartbeat) == [
        False,
        True,
        True,
        True,
        False,
    ]


def test_a_consumer_that_was_removed_is_aiormqs_and_one_of_the_same_name_elsewhere_stays() -> None:
    side = Side()
    side.consumers.add(side.channels[2], "work", side.handed.append)
    side.consumers.remove(side.channels[1], "work")
    side.consumers.remove(side.channels[1], "work")
    gone = b"".join(delivery(1, "work", 1, b"gone"))
    side.feed(gone, b"".join(delivery(2, "work", 1, b"stays")))
    assert b"".join(side.passed) == gone
    assert [message.body for message in side.handed] == [b"stays"]


@pytest.mark.parametrize(
    "nonsense",
    [
        b"AMQP\x00\x00\x09\x01",  # what a server says that speaks another version
        b"HTTP/1.1 400 Bad Request\r\n",
        b"\x00",
        pamqp.frame.marshal(Basic.Ack(1), 1)[:-1] + b"\x00",  # no frame's end where it should be
    ],
)
def test_what_is_no_frame_goes_to_aiormq_with_all_that_follows(nonsense: bytes) -> None:
    side = Side()
    before, after = b"".join(delivery(1, "work", 1, b"before")), b"".join(delivery(1, "work", 2, b"after"))
    assert not any(side.feed(before + OTHERS[0] + nonsense, after[:10], after[10:])), "nothing may come in between"
    assert [message.body for message in side.handed] == [b"before"]
    assert b"".join(side.passed) == OTHERS[0] + nonsense + after


def test_names_that_are_no_utf_8_are_shown_as_such() -> None:
    side = Side()
    side.feed(
        b"".join(delivery(1, "work", 1, names=("EXCHANGE", "KEY"))).replace(b"EX", b"\xff\xfe").replace(b"Y", b"\xff")
    )
    ((_, _, _, exchange, key), _) = shown(side.handed[0])
    assert (exchange, key) == ("\N{REPLACEMENT CHARACTER}" * 2 + "CHANGE", "KE\N{REPLACEMENT CHARACTER}")


def test_a_frame_that_ends_too_early_is_passed_on_when_nothing_more_comes() -> None:
    side = Side()
    side.feed(OTHERS[1] + OTHERS[0][:3])
    assert side.passed == [OTHERS[1]]
    side.demultiplexer.finish()
    side.demultiplexer.finish()
    assert side.passed == [OTHERS[1], OTHERS[0][:3]]


@pytest.mark.parametrize(
    "frames",
    [
        [*delivery(1, "work", 1, b"body")[:1], *delivery(1, "work", 2, b"body")],  # the next one instead of a header
        [*delivery(1, "work", 1, b"body")[:2], OTHERS[1]],  # an answer instead of the body
        [*delivery(1, "work", 1, b"body")[:2], pamqp.frame.marshal(ContentBody(b"longer than announced"), 1)],
        [delivery(1, "work", 1, b"body")[0], delivery(1, "work", 1, b"body")[2]],  # no header
        [delivery(1, "work", 1, b"body")[0], b"no frame at all"],
        [b"\x01\x00\x01\x00\x00\x00\x0a\x00\x3c\x00\x3c\x04work\x00\xce"],  # the method ends too early
        [b"\x01\x00\x01\x00\x00\x00\x04\x00\x3c\x00\x3c\xce"],
        [delivery(1, "work", 1, b"body")[0], b"\x02\x00\x01\x00\x00\x00\x03\x00\x3c\x00\xce"],  # so does the header
    ],
)
def test_a_broken_delivery_is_an_error_and_is_never_handed_over(frames: list[bytes]) -> None:
    side = Side()
    with pytest.raises(ValueError, match=r"in the middle of a delivery|a delivery that cannot be read"):
        side.feed(b"".join(frames))
    assert not side.handed


def test_a_large_frame_in_many_pieces_is_put_together_once() -> None:
    side = Side()
    body = bytes(range(256)) * 4_000
    stream = b"".join(delivery(1, "work", 1, body, piece=len(body)))
    pieces = [stream[at : at + 1_000] for at in range(0, len(stream), 1_000)]
    side.feed(*pieces[:-1])
    assert len(side.demultiplexer._held) == len(pieces) - 1  # kept as they came, not copied each time
    side.feed(pieces[-1])
    assert [message.body for message in side.handed] == [body]
