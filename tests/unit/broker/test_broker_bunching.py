"""Reading in bunches: who comes after a pause is read at once, what follows waits, and nothing is lost or reordered."""

import asyncio
import contextlib
import datetime
import itertools
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pamqp.frame
import pytest
from aiormq import AMQPConnectionError
from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat
from yarl import URL

from worker.broker import bunching
from worker.broker.bunching import BUNCH_S, BunchedTransport, _Valve

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class FakeTransport:
    def __init__(self) -> None:
        self.reading = True
        self.calls = 0
        self.closing = False

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        assert self.reading
        self.reading, self.calls = False, self.calls + 1

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading, self.calls = True, self.calls + 1


class FakeLoop:
    """Keeps timers until they are let go off."""

    def __init__(self) -> None:
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.cancelled = 0

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Any:
        entry = (delay_s, callback)
        self.timers.append(entry)
        return self

    def cancel(self) -> None:
        self.cancelled += 1
        self.timers.clear()

    def go_off(self) -> None:
        ((_, callback),) = self.timers
        self.timers.clear()
        callback()


def valve() -> tuple[_Valve, FakeTransport, FakeLoop]:
    transport, loop = FakeTransport(), FakeLoop()
    return (
        _Valve(cast("asyncio.Transport", transport), cast("asyncio.AbstractEventLoop", loop)),
        transport,
        loop,
    )


def test_after_a_piece_nothing_is_read_until_the_time_is_over() -> None:
    made, transport, loop = valve()
    made.hold(BUNCH_S)
    made.hold(BUNCH_S)
    assert not transport.reading
    assert [delay for delay, _ in loop.timers] == [BUNCH_S]
    loop.go_off()
    assert transport.reading
    made.hold(BUNCH_S)
    assert not transport.reading


STEPS = ("hold", "full", "empty", "go_off")


@pytest.mark.parametrize("steps", list(itertools.permutations(STEPS)))
def test_a_reader_that_is_full_and_a_bunch_that_gathers_do_not_open_it_for_each_other(steps: tuple[str, ...]) -> None:
    made, transport, loop = valve()
    full = gathering = False
    for step in steps:
        if step == "hold":
            made.hold(BUNCH_S)
            gathering = True
        elif step == "go_off" and gathering:
            loop.go_off()
            gathering = False
        elif step == "full":
            made.pause_reading()
            full = True
        elif step == "empty":
            made.resume_reading()
            full = False
        assert transport.reading == (not full and not gathering)


def test_a_connection_that_closes_is_left_alone_and_one_that_is_gone_leaves_no_timer() -> None:
    made, transport, loop = valve()
    made.hold(BUNCH_S)
    transport.closing = True
    loop.go_off()
    assert transport.calls == 1
    made, transport, loop = valve()
    made.hold(BUNCH_S)
    made.forget()
    assert (loop.cancelled, loop.timers) == (1, [])


@asynccontextmanager
async def server(serve: Serve, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    async def serving(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    running = await asyncio.start_server(serving, "127.0.0.1", 0, ssl=context)
    async with running:
        yield running.sockets[0].getsockname()[1]


class Provider:
    """Stands for aiormq's provider of TLS settings."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self.context = context

    async def get_context(self) -> ssl.SSLContext | None:
        return self.context


BODY = b"".join(number.to_bytes(4, "big") for number in range(300_000))


async def pour(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send the body in pieces of growing sizes."""
    at = 0
    for size in itertools.count(1, 997):
        writer.write(BODY[at : at + size])
        await writer.drain()
        at += size
        if at >= len(BODY):
            return


async def read_all(url: URL, context: ssl.SSLContext | None = None) -> bytes:
    reader, writer = await gathering().create(url, ssl_context_provider=Provider(context))
    try:
        read = b""
        while piece := await reader.read(10_000):
            read += piece
        return read
    finally:
        writer.close()
        await writer.wait_closed()


def gathering() -> BunchedTransport:
    made = BunchedTransport()
    made.gathering = True
    return made


async def test_before_messages_are_expected_nothing_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bunching, "BUNCH_S", 3600.0)
    async with server(pour) as port:
        reader, writer = await BunchedTransport().create(URL(f"amqp://127.0.0.1:{port}"))
        assert await reader.readexactly(len(BODY)) == BODY
        writer.close()


async def test_everything_comes_in_order_and_the_end_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bunching, "BUNCH_S", 0.0005)
    async with server(pour) as port:
        assert await read_all(URL(f"amqp://127.0.0.1:{port}")) == BODY


async def test_the_first_piece_is_read_at_once_and_the_next_one_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bunching, "BUNCH_S", 3600.0)
    asked, answered = asyncio.Event(), asyncio.Event()

    async def two_pieces(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"first")
        await asked.wait()
        writer.write(b"second")
        await writer.drain()
        answered.set()

    async with server(two_pieces) as port:
        reader, writer = await gathering().create(URL(f"amqp://127.0.0.1:{port}"))
        assert await reader.readexactly(5) == b"first"
        assert not writer.transport.is_reading()  # type: ignore[attr-defined]
        asked.set()
        await answered.wait()
        protocol = cast("bunching._Protocol", writer.transport.get_protocol())
        assert protocol._valve is not None
        protocol._valve._gathered()  # the hour is over
        assert await reader.readexactly(6) == b"second"
        writer.close()


async def test_aiormq_gets_what_came_of_a_frame_before_the_end() -> None:
    async def part(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x01\x00\x00\x00\x00\x00\x09of nine")

    async with server(part) as port:
        assert await read_all(URL(f"amqp://127.0.0.1:{port}")) == b"\x01\x00\x00\x00\x00\x00\x09of nine"


async def test_nobody_there_is_what_aiormq_calls_it() -> None:
    async with server(pour) as port:
        pass
    with pytest.raises(AMQPConnectionError):
        await BunchedTransport().create(URL(f"amqp://127.0.0.1:{port}"))


def certificate(folder: Path) -> Path:
    """Write a certificate for localhost with its key; returns the file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "both.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


async def test_tls_is_read_as_it_comes_and_only_from_who_can_prove_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bunching, "BUNCH_S", 3600.0)
    path = certificate(tmp_path)
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(path)
    async with server(pour, theirs) as port:
        url = URL(f"amqps://localhost:{port}")
        assert await read_all(url, ssl.create_default_context(cafile=str(path))) == BODY
        with pytest.raises(AMQPConnectionError, match="certificate"):
            await read_all(url, ssl.create_default_context())


HEARTBEAT = Heartbeat().marshal()
OTHER = pamqp.frame.marshal(Basic.QosOk(), 1)


def delivered(number: int, body: bytes) -> bytes:
    """Return a delivery to the consumer ``ours`` on channel 1."""
    frames = (Basic.Deliver("ours", number, False, "", "key"), ContentHeader(body_size=len(body)), ContentBody(body))
    return b"".join(pamqp.frame.marshal(frame, 1) for frame in frames)


async def taken(
    port: int, context: ssl.SSLContext | None = None, scheme: str = "amqp"
) -> tuple[list[DeliveredMessage], bytes]:
    """Consume until the other side ends; return what was handed over, and what aiormq would have read."""
    transport, messages = gathering(), list[DeliveredMessage]()
    transport.consumers.add(cast("Channel", SimpleNamespace(number=1)), "ours", messages.append)
    url = URL(f"{scheme}://localhost:{port}")
    reader, writer = await transport.create(url, ssl_context_provider=Provider(context))
    try:
        return messages, await reader.read()
    finally:
        writer.close()
        with contextlib.suppress(ValueError):  # what has ended the connection
            await writer.wait_closed()


@pytest.mark.parametrize("secure", [False, True])
async def test_deliveries_are_handed_over_and_the_rest_read_while_aiormq_sees_life_once_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secure: bool
) -> None:
    monkeypatch.setattr(bunching, "BUNCH_S", 0.0005)
    monkeypatch.setattr(bunching, "ALIVE_S", 3600.0)
    bodies = [bytes([number]) * number * 97 for number in range(1, 100)]
    stream = OTHER.join(delivered(number, body) for number, body in enumerate(bodies, 1))

    async def pieces(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for at in range(0, len(stream), 1_009):
            writer.write(stream[at : at + 1_009])
            await writer.drain()

    theirs = ours = None
    if secure:
        path = certificate(tmp_path)
        theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        theirs.load_cert_chain(path)
        ours = ssl.create_default_context(cafile=str(path))
    async with server(pieces, theirs) as port:
        messages, read = await taken(port, ours, "amqps" if secure else "amqp")
    assert [message.body for message in messages] == bodies
    assert read.count(HEARTBEAT) == 1
    assert read.replace(HEARTBEAT, b"") == OTHER * (len(bodies) - 1)


async def test_a_broken_delivery_ends_the_connection() -> None:
    asked = asyncio.Event()

    async def broken(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begun = pamqp.frame.marshal(Basic.Deliver("ours", 2, False, "", "key"), 1)
        writer.write(delivered(1, b"whole") + begun + OTHER)
        await asked.wait()  # it does not hang up by itself

    async with server(broken) as port:
        try:
            with pytest.raises(ValueError, match="in the middle of a delivery"):
                async with asyncio.timeout(10):
                    await taken(port)
        finally:
            asked.set()
