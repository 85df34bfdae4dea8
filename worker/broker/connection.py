"""One plain connection to RabbitMQ: opening it, closing it, and saying in one sentence why it did not work.

Connections are never repaired, only replaced (``deploy/decisions/0003-broker-topology.md``).
"""

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlsplit

import aio_pika
import aiormq
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.channel import Channel
from aiormq.exceptions import AuthenticationError, InvalidFrameError, ProbableAuthenticationError
from pydantic import SecretStr

from worker.broker.bunching import BunchedConnection
from worker.broker.lenient import tolerate_foreign_properties
from worker.errors import BrokerUnavailable, WorkerError
from worker.urls import split_urls

C = TypeVar("C", bound=aio_pika.Connection)

HEARTBEAT_S = 10
"""aiormq gives a silent peer three of these before it hangs up; the broker gives us two."""
CONNECT_TIMEOUT_S = 10.0
RPC_TIMEOUT_S = 15.0
"""For one declare, cancel or qos. Declaring a quorum queue elects a leader, which takes its time under load."""
CLOSE_TIMEOUT_S = 5.0
FRAMES_AHEAD = 300
"""Frames that a channel holds before they are looked at; a message has three."""

DEFAULT_PORTS = {"amqp": 5672, "amqps": 5671}


@dataclass(frozen=True, slots=True)
class Node:
    """One broker node's address. Prints as ``host:port`` and keeps user and password to itself."""

    url: SecretStr
    host: str
    port: int

    def __str__(self) -> str:
        """Return ``host:port``."""
        return f"{self.host}:{self.port}"

    __repr__ = __str__

    @classmethod
    def parse(cls, url: str) -> "Node":
        """Read an ``amqp://`` or ``amqps://`` URL; raise ``BrokerUnavailable`` that does not repeat it."""
        try:
            parts = urlsplit(url)
            port = parts.port or DEFAULT_PORTS[parts.scheme]
        except (ValueError, KeyError):
            parts, port = None, 0
        if parts is None or not parts.hostname:
            raise BrokerUnavailable(
                "the AMQP address cannot be read: it must look like amqp://user:password@host:5672/vhost"
            )
        return cls(SecretStr(url), parts.hostname, port)


@dataclass(frozen=True, slots=True)
class Address:
    """Where the broker is: one node, or several of one cluster, any of which will do. Prints their ``host:port``."""

    nodes: tuple[Node, ...]
    heartbeat_s: int = HEARTBEAT_S

    def __str__(self) -> str:
        """Return ``host:port``, of several separated by commas."""
        return ", ".join(map(str, self.nodes))

    __repr__ = __str__

    @classmethod
    def parse(cls, url: SecretStr | str, heartbeat_s: int = HEARTBEAT_S) -> "Address":
        """Read an URL, or several separated by commas; raise ``BrokerUnavailable`` that does not repeat them."""
        text = url.get_secret_value() if isinstance(url, SecretStr) else url
        return cls(tuple(Node.parse(each) for each in split_urls(text)), heartbeat_s)

    def in_turn(self) -> list[Node]:
        """Return the nodes in the order to try them: begun anywhere, so that workers spread over the cluster."""
        start = random.randrange(len(self.nodes))  # noqa: S311  # no secret
        return [*self.nodes[start:], *self.nodes[:start]]


@contextmanager
def broker_errors(doing: str, address: Address) -> Iterator[None]:
    """Turn everything the driver may raise into ``BrokerUnavailable`` that says what was tried, and where.

    The driver ends waiting calls of a dead channel with ``CancelledError`` or a bare ``Exception``, and turns a
    cancellation of the running task into errors of its own. What was meant for the task passes as a cancellation, and
    nothing else does.
    """
    try:
        yield
    except WorkerError:
        raise
    except (Exception, asyncio.CancelledError) as exc:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            if isinstance(exc, asyncio.CancelledError):
                raise
            raise asyncio.CancelledError from exc
        if isinstance(exc, asyncio.CancelledError):
            reason = f"connection lost while {doing}"
        elif isinstance(exc, TimeoutError):
            reason = f"no answer while {doing}"
        else:
            reason = f"{doing} failed: {reason_of(exc)}"
        raise BrokerUnavailable(f"RabbitMQ at {address}: {reason}") from exc


def reason_of(exc: BaseException | None) -> str:
    """Return the driver's own words, or at least the kind of error."""
    return str(exc) or type(exc).__name__ if exc is not None else "closed"


async def open_connection(address: Address, name: str) -> aio_pika.Connection:
    """Connect to one of the nodes, log in and open the virtual host; ``name`` is what the broker's own tools show.

    Raises ``BrokerUnavailable`` with a sentence for each node that names ``host:port`` and what to look at.
    """
    return await _open(address, name, aio_pika.Connection)


async def open_consuming_connection(address: Address, name: str) -> BunchedConnection:
    """Connect as ``open_connection`` does, for many small messages: see ``bunching`` and ``deliveries``."""
    return await _open(address, name, BunchedConnection)


async def _open(address: Address, name: str, kind: type[C]) -> C:
    tolerate_foreign_properties()
    reasons = []
    for node in address.in_turn():
        try:
            return await _open_at(node, name, address.heartbeat_s, kind)
        except BrokerUnavailable as exc:
            reasons.append(exc)
    raise BrokerUnavailable(" ".join(map(str, reasons))) from reasons[-1]


async def _open_at(node: Node, name: str, heartbeat_s: int, kind: type[C]) -> C:
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            return await aio_pika.connect(
                node.url.get_secret_value(),
                heartbeat=heartbeat_s,
                client_properties={"connection_name": name},
                connection_class=kind,
            )
    except (ProbableAuthenticationError, AuthenticationError) as exc:
        raise BrokerUnavailable(
            f"RabbitMQ at {node} refused the login: check user and password in the AMQP address"
        ) from exc
    except InvalidFrameError as exc:
        # aiormq meets Connection.Close where it expects Connection.OpenOk and keeps the broker's text to itself.
        raise BrokerUnavailable(
            f"RabbitMQ at {node} let us log in but not open the virtual host: check that it exists and that "
            "the user may use it"
        ) from exc
    except TimeoutError as exc:
        raise BrokerUnavailable(
            f"RabbitMQ at {node} did not answer within {CONNECT_TIMEOUT_S:.0f} s: is it the right address?"
        ) from exc
    except (aiormq.AMQPError, OSError, ValueError) as exc:
        raise BrokerUnavailable(f"RabbitMQ at {node} cannot be reached: {reason_of(exc)}. Is it running?") from exc


def version_of(connection: AbstractConnection) -> str:
    """Return the version that the server told when it was connected to; empty when it told none."""
    transport = connection.transport
    told = transport.connection.server_properties.get("version", "") if transport is not None else ""
    return told.decode("ascii", "replace") if isinstance(told, bytes) else str(told)


async def open_channel(connection: AbstractConnection, address: Address) -> AbstractChannel:
    """Open a channel for declaring and looking."""
    with broker_errors("opening a channel", address):
        async with asyncio.timeout(RPC_TIMEOUT_S):
            channel = connection.channel(publisher_confirms=False, on_return_raises=False)
            await channel.initialize()
            return channel


async def open_wide_channel(connection: AbstractConnection, address: Address, *, confirms: bool = False) -> Channel:
    """Open a channel of aiormq's for many messages; with ``confirms`` one that raises for those that come back.

    aio-pika's own have room for ten frames that are not looked at yet: three messages per round of the event loop, so
    that a busy loop falls behind a queue that is being filled.
    """
    with broker_errors("opening a channel", address):
        async with asyncio.timeout(RPC_TIMEOUT_S):
            transport = connection.transport
            if transport is None:
                raise ConnectionError("the connection is closed")
            channel = await transport.connection.channel(
                publisher_confirms=confirms, on_return_raises=confirms, frame_buffer_size=FRAMES_AHEAD
            )
    if not isinstance(channel, Channel):
        raise TypeError(f"a channel of aiormq is needed, not {type(channel).__name__}")
    return channel


async def close_quietly(*closables: AbstractConnection | AbstractChannel | Channel) -> None:
    """Close what may be dead already, each within a few seconds; never raises but for our own cancellation."""
    for closable in closables:
        with suppress(WorkerError), broker_errors("closing", Address(())):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await closable.close()


@dataclass(slots=True)
class Backoff:
    """Growing waits between attempts, each cut by chance so that workers do not return all at once."""

    first_s: float = 0.5
    cap_s: float = 15.0
    chance: Callable[[], float] = random.random
    _attempts: int = field(default=0, init=False)

    def next_s(self) -> float:
        """Return the next wait: between half of the step and the whole of it."""
        step = min(self.cap_s, self.first_s * 2.0 ** min(self._attempts, 16))
        self._attempts += 1
        return step * (0.5 + 0.5 * self.chance())

    def reset(self) -> None:
        """Start over, after a session that held for a while."""
        self._attempts = 0
