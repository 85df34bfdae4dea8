"""What a handler is given: one event, its connection, reads, and the two ways to commit: ``checkpoint`` and ``finish``.

Handlers never commit by hand, acknowledge, retry or log the outcome. No transaction is open while e-conomic is called.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal
from uuid import uuid4

from events import EventData
from events.codec import CONTENT_TYPE, encode
from events.envelope import Envelope
from schemas.problem import Problem
from worker.broker.delivery import Lane
from worker.broker.topology import EVENTS_EXCHANGE, INTERNAL_EXCHANGE
from worker.clock import Clock
from worker.economic.endpoints import EconomicApi
from worker.store.commits import Commits, Ending
from worker.store.connections import EconomicConnection
from worker.store.inbox import Claim
from worker.store.outbox import OutboxMessage, OutboxRow
from worker.store.pool import Connection, Database
from worker.telemetry import tracing

SOURCE = "/pike-economic"
"""CloudEvents source of everything this worker emits."""

STORE = {"db.system.name": "postgresql"}
"""Attributes of spans that are about the database."""


class Work:
    """One open transaction of a handler: statements go through ``connection``, events through ``emit``."""

    def __init__(self, connection: Connection, event: Envelope[Any], clock: Clock) -> None:
        self.connection = connection
        self._event = event
        self._clock = clock
        self.messages: list[OutboxMessage] = []

    def emit(self, data: EventData, *, ephemeral: bool = False) -> None:
        """Publish an answer after the commit. ``ephemeral``: progress, of no use to anybody later."""
        self._append(data, EVENTS_EXCHANGE, ephemeral)

    def send_on(self, data: EventData) -> str:
        """Send a message to ourselves after the commit, e.g. the next slice of an import; returns its id."""
        return self._append(data, INTERNAL_EXCHANGE, False)

    @asynccontextmanager
    async def rehearsal(self) -> AsyncIterator["Work"]:
        """Do everything and undo it: statements are rolled back at the end, events are not published."""
        await self.connection.execute("savepoint rehearsal")
        try:
            yield Work(self.connection, self._event, self._clock)
        finally:
            await self.connection.execute("rollback to savepoint rehearsal")

    def _append(self, data: EventData, exchange: str, ephemeral: bool) -> str:
        cause = self._event
        envelope = Envelope(
            id=str(uuid4()),
            source=SOURCE,
            type=data.TYPE,
            time=self._clock.now(),
            workspace_id=cause.workspace_id,
            correlation_id=root_of(cause),
            causation_id=cause.id,
            traceparent=tracing.current() or self._context(exchange),
            data=data,
        )
        self.messages.append(message_of(envelope, exchange, ephemeral=ephemeral))
        return envelope.id

    def _context(self, exchange: str) -> str | None:
        """Return the publisher's trace. What we send to ourselves has one in any case: its logs belong together."""
        event = self._event
        own = exchange == INTERNAL_EXCHANGE
        return tracing.context_of(event.traceparent, event.source, event.id) if own else event.traceparent


def root_of(event: Envelope[Any]) -> str:
    """Return the id of the request that a chain of our own messages goes back to."""
    return event.correlation_id if event.source == SOURCE and event.correlation_id else event.id


def message_of(envelope: Envelope[Any], exchange: str, *, ephemeral: bool = False) -> OutboxMessage:
    """Encode an event for the outbox."""
    return OutboxMessage(
        event_id=envelope.id,
        type=envelope.type,
        workspace_id=envelope.workspace_id,
        exchange=exchange,
        routing_key=envelope.type,
        body=encode(envelope),
        content_type=CONTENT_TYPE,
        headers={tracing.PARENT_HEADER: envelope.traceparent} if envelope.traceparent else {},
        ephemeral=ephemeral,
    )


@dataclass(frozen=True, slots=True)
class Handler:
    """One row of the table of handlers: what is done for an event type, for how long, and what a failure leaves.

    ``needs`` tells whether the workspace must have a working connection, or is given it where there is one.
    ``gated``: the event waits while the agreement may not be called. ``background``: its calls leave the last fifth of
    the agreement's budget to people, as those of imports do. ``on_dead`` writes the failure to the rows
    concerned, in the transaction that buries the event; the failed event itself follows from the event type.
    """

    handle: Callable[[Envelope[Any], "Run"], Awaitable[None]]
    time_limit_s: float
    lane: Lane = Lane.WORK
    needs: Literal["connection", "connection_if_any", "nothing"] = "connection"
    gated: bool = True
    background: bool = False
    on_dead: Callable[[Envelope[Any], Problem, "Work"], Awaitable[None]] | None = None


@dataclass(slots=True)
class Run:
    """One try at one event.

    ``connection`` and ``api`` are set for handlers that declared they need them; ``need_api`` and ``need_connection``
    return them typed. After ``finish`` has committed, ``finished`` is true and the event is done.
    """

    event: Envelope[Any]
    claim: Claim
    database: Database
    commits: Commits
    clock: Clock
    lease_s: float
    slice_s: float
    announce: Callable[[Sequence[OutboxRow]], None]
    connection: EconomicConnection | None = None
    api: EconomicApi | None = None
    finished: bool = False
    outcome: str = field(default="")
    begun_s: float = field(init=False)
    """When this try began, by the monotonic clock."""

    def __post_init__(self) -> None:
        self.begun_s = self.clock.monotonic()

    @property
    def workspace_id(self) -> str:
        """The workspace that the event belongs to."""
        return self.event.workspace_id

    def need_connection(self) -> EconomicConnection:
        """Return the connection; a handler without one in its entry of the table is a bug."""
        if self.connection is None:
            raise RuntimeError(f"the handler of {self.event.type} declares no connection")
        return self.connection

    def need_api(self) -> EconomicApi:
        """Return the e-conomic client of this connection; see ``need_connection``."""
        if self.api is None:
            raise RuntimeError(f"the handler of {self.event.type} declares no connection")
        return self.api

    def read(self) -> AbstractAsyncContextManager[Connection]:
        """Borrow a database connection for reads; give it back before calling e-conomic."""
        return self.database.connection(f"reading for {self.event.type}")

    def checkpoint(self) -> AbstractAsyncContextManager[Work]:
        """Commit progress and go on; the lease is prolonged. Raises ``FenceLost`` if another run took over."""
        return _Step(self, "checkpoint", None)

    def finish(self, outcome: str = "completed") -> AbstractAsyncContextManager[Work]:
        """Commit the result, the outgoing events and "done" together. Raises ``FenceLost``; then nothing is written."""
        return _Step(self, "finish", outcome)


class _Step(AbstractAsyncContextManager[Work]):
    """One transaction of a run; every event has one, so that it is a class and no generator."""

    def __init__(self, run: Run, step: str, outcome: str | None) -> None:
        self._run = run
        self._outcome = outcome
        self._span = tracing.span(step, attributes=STORE)
        self._commit = run.commits.open(f"{step} of {run.event.type}")

    async def __aenter__(self) -> Work:
        self._span.__enter__()
        try:
            self._part = await self._commit.__aenter__()
        except BaseException as error:
            self._span.__exit__(type(error), error, error.__traceback__)
            raise
        self._work = Work(self._part.connection, self._run.event, self._run.clock)
        return self._work

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        run = self._run
        if exc is None:
            self._part.ending = Ending(run.claim, self._outcome, run.lease_s, self._work.messages, run.announce)
        try:
            await self._commit.__aexit__(kind, exc, trace)
        except BaseException as error:
            self._span.__exit__(type(error), error, error.__traceback__)
            raise
        self._span.__exit__(kind, exc, trace)
        if exc is None and self._outcome is not None:
            run.finished = True
            run.outcome = self._outcome
