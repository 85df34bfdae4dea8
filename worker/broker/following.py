"""Listening to events for a while, for commands that follow a request: a queue of their own that goes with them."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pydantic import SecretStr

from worker.broker.connection import RPC_TIMEOUT_S, Address, broker_errors, close_quietly, open_connection
from worker.broker.topology import EVENTS_EXCHANGE


@dataclass(frozen=True, slots=True)
class Heard:
    """One event as it passed by."""

    body: bytes
    headers: dict[str, object]
    content_type: str | None


@asynccontextmanager
async def listening(url: SecretStr | str, patterns: Iterable[str], name: str) -> AsyncIterator[AsyncIterator[Heard]]:
    """Yield the events of ``pike.events`` that match, from now on. Raises ``BrokerUnavailable``.

    The queue is exclusive and vanishes with the connection, so it holds nothing that anybody could lose.
    """
    address = Address.parse(url)
    connection = await open_connection(address, name)
    try:
        with broker_errors("listening to events", address):
            channel = await connection.channel()
            queue = await channel.declare_queue("", exclusive=True, timeout=RPC_TIMEOUT_S)
            for pattern in patterns:
                await queue.bind(EVENTS_EXCHANGE, pattern, timeout=RPC_TIMEOUT_S)

        async def events() -> AsyncIterator[Heard]:
            async with queue.iterator(no_ack=True) as messages:
                async for message in messages:
                    yield Heard(message.body, dict(message.headers), message.content_type)

        yield events()
    finally:
        await close_quietly(connection)
