"""Outbox to RabbitMQ: fresh rows straight after their commit, left-over ones by polling, each until it is confirmed.

Confirmed rows are deleted in batches, so that an event costs no commit of its own for it. A crash between confirm
and delete sends the event again with the same id; readers act on (source, id) once.
"""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import structlog

from worker import failpoints
from worker.broker.publisher import Outgoing, Publisher
from worker.clock import Clock
from worker.errors import BrokerError, StoreUnavailable, Unroutable
from worker.loop import end_tasks
from worker.store import outbox
from worker.store.outbox import OutboxRow
from worker.store.pool import Database
from worker.telemetry import metrics, tracing

if TYPE_CHECKING:
    from opentelemetry.trace import Span

log = structlog.get_logger()

BATCH = 200
MANY_BATCHES = 8
"""Batches on their way at once: the next one is sent while the confirms of those before are still to come."""
POLL_S = 2.0
Work = Callable[[], Awaitable[None]]
"""Not begun yet: a task may be cancelled before its first step."""
DELETE_AFTER_S = 0.25


class Relay:
    """Publishes what the outbox holds. ``announce`` is called after a commit with the rows it wrote."""

    def __init__(self, database: Database, publisher: Publisher, clock: Clock) -> None:
        self._database = database
        self._publisher = publisher
        self._clock = clock
        self._fresh: list[OutboxRow] = []
        self._confirmed: list[int] = []
        self._oldest_confirmed = 0.0
        self._under_way: set[asyncio.Task[None]] = set()
        self._forgetting: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._context = contextvars.copy_context()
        self._running = False
        self._about_to = False
        """Whether a batch was begun in this round, which takes whatever is announced until it runs."""
        self._stopping = False
        self.published = 0
        self.unroutable = 0

    def announce(self, rows: Sequence[OutboxRow]) -> None:
        """Take note of rows that were committed just now; they are sent in the event loop's next round."""
        if not rows:
            return
        self._fresh.extend(rows)
        if self._about_to:
            return
        if self._running and len(self._under_way) < MANY_BATCHES - 1:  # one place is the loop's own
            self._about_to = True
            self._start(self._publish_fresh)
        else:
            self._wake.set()

    async def _publish_fresh(self) -> None:
        """Send what was announced in this round: a group's events announce theirs one by one."""
        self._about_to = False
        batch = self._next_fresh()
        if self._fresh:
            self._wake.set()
        if batch:
            await self._publish(batch)

    async def run(self) -> None:
        """Relay until ``stop``; survives Postgres and RabbitMQ being away."""
        next_poll = self._clock.monotonic()
        self._context = contextvars.copy_context()
        self._running = True
        try:
            while not self._stopping or self._fresh:
                batch = self._next_fresh()
                if not batch and self._clock.monotonic() >= next_poll:
                    batch = await self._left_over()
                    next_poll = self._clock.monotonic() + (0.0 if len(batch) == BATCH else POLL_S)
                if batch:
                    await self._begin(partial(self._publish, batch))
                if self._due() and self._forgetting is None:
                    self._forgetting = await self._begin(self._forget_confirmed)
                    self._forgetting.add_done_callback(self._forgotten)
                if not self._fresh and not self._stopping:
                    await self._wait(DELETE_AFTER_S if self._confirmed else POLL_S)
            self._running = False
            if self._under_way:
                await asyncio.wait(self._under_way)
            await self._forget_confirmed()
        finally:
            self._running = self._about_to = False
            await end_tasks(*self._under_way)

    async def _begin(self, work: Work) -> asyncio.Task[None]:
        """Do it beside the others that are under way; waits while there are too many."""
        while len(self._under_way) >= MANY_BATCHES:
            await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
        return self._start(work)

    def _start(self, work: Work) -> asyncio.Task[None]:
        # in the relay's own context: an announcer's would name its event in the log lines about others
        task = asyncio.create_task(self._surviving(work), name="relay-batch", context=self._context.copy())
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    async def _surviving(self, work: Work) -> None:
        try:
            await work()
        except StoreUnavailable as exc:
            log.warning("relay.store_away", error=str(exc))

    def _forgotten(self, _task: asyncio.Task[None]) -> None:
        self._forgetting = None

    def _due(self) -> bool:
        """Return whether the confirmed rows should be deleted now: many of them, or waiting for a while."""
        if not self._confirmed:
            return False
        waited = self._clock.monotonic() - self._oldest_confirmed
        return len(self._confirmed) >= BATCH or waited >= DELETE_AFTER_S or self._stopping

    async def stop(self) -> None:
        """Publish what is already announced, then end."""
        self._stopping = True
        self._wake.set()

    def _next_fresh(self) -> list[OutboxRow]:
        batch, self._fresh = self._fresh[:BATCH], self._fresh[BATCH:]
        if not self._fresh:
            self._wake.clear()
        return batch

    async def _left_over(self) -> list[OutboxRow]:
        try:
            async with self._database.connection("outbox poll") as connection:
                return await outbox.take(connection, BATCH)
        except StoreUnavailable as exc:
            log.warning("relay.store_away", error=str(exc))
            return []

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _publish(self, rows: Sequence[OutboxRow]) -> None:
        failpoints.hit("relay.taken")
        spans = [_sending(row) for row in rows]
        results = await self._publisher.publish_many(
            [_outgoing(row, tracing.traceparent_of(span)) for row, span in zip(rows, spans, strict=True)]
        )
        for span, error in zip(spans, results, strict=True):
            tracing.end(span, error)
        failpoints.hit("relay.confirmed")
        failures: list[tuple[int, str, bool]] = []
        first = not self._confirmed
        if first:
            self._oldest_confirmed = self._clock.monotonic()
        for row, error in zip(rows, results, strict=True):
            if error is None or (isinstance(error, Unroutable) and row.message.ephemeral):
                self._confirmed.append(row.id)
                self.published += error is None
                metrics.sent("confirmed" if error is None else "unroutable").inc()
                continue
            failures.append((row.id, str(error), isinstance(error, Unroutable)))
            self._report(row, error)
        if first or len(self._confirmed) >= BATCH:
            self._wake.set()  # there is something to delete, in a while or at once
        if failures:
            async with self._database.connection("outbox failures") as connection:
                await outbox.failed(connection, failures)

    def _report(self, row: OutboxRow, error: BrokerError) -> None:
        metrics.sent("unroutable" if isinstance(error, Unroutable) else "failed").inc()
        if isinstance(error, Unroutable):
            self.unroutable += 1
            log.warning("relay.unroutable", type=row.message.type, attempts=row.attempts)
        else:
            log.warning("relay.not_confirmed", type=row.message.type, attempts=row.attempts, error=str(error))

    async def _forget_confirmed(self) -> None:
        if self._confirmed:
            ids, self._confirmed = self._confirmed, []
            try:
                async with self._database.connection("outbox delete") as connection:
                    await outbox.delete(connection, ids)
                failpoints.hit("relay.deleted")
            except StoreUnavailable:
                self._confirmed = ids + self._confirmed
                self._oldest_confirmed = self._clock.monotonic()
                raise


def _sending(row: OutboxRow) -> "Span | None":
    message = row.message
    parent = message.headers.get(tracing.PARENT_HEADER)
    if parent is None:
        return None  # an event that is sent again finds its trace by itself; a new one would take it away
    return tracing.begin(
        f"send {message.type}",
        "producer",
        parent,
        {
            "messaging.system": "rabbitmq",
            "messaging.operation.type": "send",
            "messaging.operation.name": "send",
            "messaging.destination.name": message.exchange,
            "messaging.message.id": message.event_id,
        },
    )


def _outgoing(row: OutboxRow, traceparent: str | None) -> Outgoing:
    message = row.message
    return Outgoing(
        exchange=message.exchange,
        routing_key=message.routing_key,
        body=message.body,
        message_id=message.event_id,
        headers={**message.headers, tracing.PARENT_HEADER: traceparent} if traceparent else message.headers,
        content_type=message.content_type,
    )
