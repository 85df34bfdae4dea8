"""Keeping the publisher supplied with a live channel, on a connection of its own.

Apart from the consuming one, because the broker stops reading from connections that publish while it is short of
memory or disk, and acknowledgements must get through just then.
"""

import asyncio

import structlog
from aio_pika.abc import AbstractConnection

from worker.broker.connection import Address, Backoff, close_quietly, open_connection, open_wide_channel
from worker.broker.declare import declare_on
from worker.broker.publisher import Publisher
from worker.broker.topology import Topology
from worker.clock import Clock
from worker.errors import BrokerUnavailable, SchemaMismatch
from worker.loop import end_tasks

log = structlog.get_logger(__name__)

STEADY_S = 30.0


class PublishingSide:
    """Opens the publishing connection and replaces it whenever it, or its channel, is gone."""

    def __init__(self, address: Address, topology: Topology, *, clock: Clock, name: str) -> None:
        self._lost = asyncio.Event()
        self.publisher = Publisher(address, on_refused=self._lost.set)
        self._address = address
        self._topology = topology
        self._clock = clock
        self._name = f"{name} publisher"
        self._connection: AbstractConnection | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect and declare once, then keep at it. Raises ``BrokerUnavailable`` or ``SchemaMismatch``."""
        await self._open()
        self._keeper = asyncio.create_task(self._keep(), name="broker-publishing")

    async def stop(self) -> None:
        """Close. A publish under way may fail."""
        if self._keeper is not None:
            await end_tasks(self._keeper)
            self._keeper = None
        await self._close()

    async def _open(self) -> None:
        self._lost.clear()
        connection = self._connection = await open_connection(self._address, self._name)
        try:
            await declare_on(connection, self._topology, self._address)
            channel = await open_wide_channel(connection, self._address, confirms=True)
            channel.closing.add_done_callback(lambda _: self._lost.set())
            connection.close_callbacks.add(lambda *_: self._lost.set())
            self.publisher.attach(channel)
        except BaseException:
            await self._close()
            raise

    async def _close(self) -> None:
        self.publisher.detach()
        connection, self._connection = self._connection, None
        if connection is not None:
            await close_quietly(connection)

    async def _keep(self) -> None:
        backoff = Backoff()
        while True:
            began = self._clock.monotonic()
            await self._lost.wait()
            log.warning("broker.publisher_lost", broker=str(self._address))
            await self._close()
            if self._clock.monotonic() - began >= STEADY_S:
                backoff.reset()
            while self._connection is None:
                await self._clock.sleep(backoff.next_s())
                try:
                    await self._open()
                except (BrokerUnavailable, SchemaMismatch) as exc:
                    # A changed topology stops the consuming side, and with it the process.
                    log.warning("broker.publishing_failed", error=str(exc))
            log.info("broker.publishing", broker=str(self._address))
