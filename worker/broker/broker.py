"""The broker as the rest of the worker sees it: start, publish, consume, pause, look, stop."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aio_pika.abc import AbstractConnection
from pydantic import SecretStr

from worker.broker.connection import HEARTBEAT_S, Address, close_quietly, open_connection, version_of
from worker.broker.consumer import WATCH_INTERVAL_S, Consumer
from worker.broker.dead_queue import drain_dead
from worker.broker.declare import TopologyState, verify
from worker.broker.delivery import Divert, HandleDead, Lane, Process
from worker.broker.handling import HOLD_LIMIT_S
from worker.broker.publisher import Publisher
from worker.broker.publishing import PublishingSide
from worker.broker.topology import Topology
from worker.clock import Clock


class Broker:
    """One worker's RabbitMQ: a connection for publishing, one for consuming, both replaced when lost."""

    def __init__(
        self,
        url: SecretStr | str,
        topology: Topology,
        *,
        clock: Clock,
        prefetch: Mapping[Lane, int],
        name: str,
        heartbeat_s: int = HEARTBEAT_S,
        watch_interval_s: float = WATCH_INTERVAL_S,
        hold_limit_s: float = HOLD_LIMIT_S,
    ) -> None:
        """Remember how; connect with ``start``. Raises ``BrokerUnavailable`` for an unreadable ``url``.

        ``prefetch`` is how many deliveries a lane has in work at once, ``name`` what the broker's tools show.
        """
        self._address = Address.parse(url, heartbeat_s)
        self._topology = topology
        self._name = name
        self._publishing = PublishingSide(self._address, topology, clock=clock, name=name)
        self._consumer = Consumer(
            self._address,
            topology,
            self._publishing.publisher,
            clock=clock,
            prefetch=prefetch,
            name=name,
            watch_interval_s=watch_interval_s,
            hold_limit_s=hold_limit_s,
        )

    def __repr__(self) -> str:
        """Return name and ``host:port``, no credentials."""
        return f"Broker({self._name!r}, {self._address})"

    @property
    def publisher(self) -> Publisher:
        """Publishes as long as the broker is started; across reconnects it waits, within its time-out."""
        return self._publishing.publisher

    @property
    def consumers_attached(self) -> Mapping[Lane, bool]:
        """Whether each lane has a live consumer now. None has while paused."""
        return self._consumer.attached

    @property
    def in_work(self) -> int:
        """How many deliveries are in work now."""
        return self._consumer.in_work

    def healthy(self) -> bool:
        """Whether publishing works and, where consuming is meant to go on, every lane is consumed."""
        if not self.publisher.attached:
            return False
        return not self._consumer.running or self._consumer.paused or all(self.consumers_attached.values())

    async def start(self) -> None:
        """Connect for publishing and declare the topology.

        Raises ``BrokerUnavailable`` with one sentence naming ``host:port``, or ``SchemaMismatch`` with the
        difference and what to do.
        """
        await self._publishing.start()

    async def consume(self, process: Process, divert: Divert | None = None) -> None:
        """Consume until ``stop``, whatever happens to connections and queues. Call after ``start``.

        Each delivery that ``divert`` does not take on is processed in a task of its own, at most ``prefetch`` at once
        per lane, and its verdict is obeyed. When ``process`` raises, it is put away on the first rung. Raises
        ``SchemaMismatch`` or ``DeafConsumer`` (both mean: end the process).
        """
        await self._consumer.run(process, divert)

    async def pause(self) -> None:
        """Take no new deliveries, across reconnects too; those in work go on and are settled. Idempotent."""
        await self._consumer.pause()

    async def resume(self) -> None:
        """Take deliveries again. Idempotent."""
        await self._consumer.resume()

    async def stop(self, drain_s: float) -> None:
        """Stop consuming, wait up to ``drain_s`` for deliveries in work, close. The rest goes back to the queue."""
        try:
            await self._consumer.stop(drain_s)
        finally:
            await self._publishing.stop()

    async def verify(self) -> TopologyState:
        """Look once at what exists, with message and consumer counts; changes nothing. Needs no ``start``."""
        async with self._short_connection("doctor") as connection:
            return await verify(connection, self._topology, self._address)

    async def server_version(self) -> str:
        """Return RabbitMQ's version, as it says itself when a connection is opened. Needs no ``start``."""
        async with self._short_connection("version") as connection:
            return version_of(connection)

    async def drain_dead(self, handle: HandleDead, limit: int = 100) -> int:
        """Hand over up to ``limit`` messages of the dead queue; each is acknowledged after ``handle`` returned.

        Returns how many. A message whose handling raises stays; ``StoreUnavailable`` ends the round and is
        raised. Needs no ``start``.
        """
        async with self._short_connection("janitor") as connection:
            return await drain_dead(connection, self._address, handle, limit)

    @asynccontextmanager
    async def _short_connection(self, purpose: str) -> AsyncIterator[AbstractConnection]:
        connection = await open_connection(self._address, f"{self._name} {purpose}")
        try:
            yield connection
        finally:
            await close_quietly(connection)
