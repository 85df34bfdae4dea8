"""A whole worker inside the test's own process, against real RabbitMQ and Postgres and the local e-conomic.

Used by end-to-end tests: publish what Pike would publish, wait for the answer, look at the rows.
"""

import asyncio
import base64
import contextlib
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import asyncpg
from pydantic import SecretStr

from events.codec import decode
from events.envelope import Envelope
from worker.bootstrap import worker
from worker.broker.following import listening
from worker.broker.publisher import Outgoing
from worker.broker.topology import EVENTS_EXCHANGE
from worker.clock import Clock
from worker.handlers.connect import Connected, connect
from worker.runtime.lifecycle import Worker
from worker.sandbox import Agreement, Sandbox
from worker.settings import PREFIX, Settings, load

WORKSPACE = "ws-test"
PIKE = "/pike/tests"


@dataclass
class Harness:
    """One running worker with everything around it."""

    settings: Settings
    sandbox: Sandbox
    worker: Worker
    database_url: str
    heard: list[Envelope[Any]] = field(default_factory=list)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def agreement(self) -> Agreement:
        """The sandbox's first agreement."""
        return self.sandbox.agreements[0]

    async def connect(
        self, workspace: str = WORKSPACE, *, agreement: Agreement | None = None, **options: Any
    ) -> Connected:
        """Connect a workspace as an operator would."""
        dispatcher = self.worker.dispatcher
        grant = SecretStr((agreement or self.agreement).grant_token)
        return await connect(
            dispatcher.database, dispatcher.client, dispatcher.vault, dispatcher.clock,
            workspace_id=workspace, grant=grant, **options,
        )  # fmt: skip

    async def publish(
        self, event_type: str, data: dict[str, Any], *, workspace: str = WORKSPACE, event_id: str | None = None
    ) -> str:
        """Publish an event as Pike would and return its id."""
        return await self.publish_from(PIKE, event_type, data, workspace=workspace, event_id=event_id)

    async def publish_from(
        self,
        source: str,
        event_type: str,
        data: dict[str, Any],
        *,
        workspace: str = WORKSPACE,
        event_id: str | None = None,
    ) -> str:
        """Publish an event as this service of Pike's would and return its id."""
        event_id = event_id or str(uuid4())
        body = {
            "specversion": "1.0", "id": event_id, "source": source, "type": event_type, "workspaceid": workspace,
            "time": "2026-11-23T12:00:00Z", "datacontenttype": "application/json", "data": data,
            "subject": os.environ.get("PYTEST_CURRENT_TEST", "no test")[:400],  # whose, if it turns up elsewhere
        }  # fmt: skip
        await self.publish_raw(json.dumps(body).encode(), routing_key=event_type, message_id=event_id)
        return event_id

    async def publish_raw(
        self,
        body: bytes,
        *,
        routing_key: str,
        message_id: str = "raw",
        content_type: str = "application/cloudevents+json",
        headers: dict[str, str | int] | None = None,
    ) -> None:
        """Publish bytes as they are."""
        await self.worker.broker.publisher.publish(
            Outgoing(EVENTS_EXCHANGE, routing_key, body, message_id, headers or {}, content_type)
        )

    async def answer(self, request_id: str, *types: str, timeout_s: float = 30.0) -> Envelope[Any]:
        """Wait for an answer to a request (any type when none is named) and return it."""

        def found() -> Envelope[Any] | None:
            return next(
                (e for e in self.heard if e.correlation_id == request_id and (not types or e.type in types)), None
            )

        async with self._news:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._news.wait_for(lambda: found() is not None)
            except TimeoutError:
                seen = [(event.type, event.correlation_id) for event in self.heard]
                there = await self.rows(
                    """select event_id, type, state, attempts, snoozes,
                              convert_from(body, 'UTF8')::jsonb ->> 'subject' as test from economic.inbox"""
                )
                raise AssertionError(
                    f"no answer {types} to {request_id} within {timeout_s} s; heard {seen}; received {there}"
                ) from None
        result = found()
        assert result is not None
        return result

    def answers(self, request_id: str, event_type: str | None = None) -> list[Envelope[Any]]:
        """Return every answer to a request heard so far."""
        return [e for e in self.heard if e.correlation_id == request_id and event_type in (None, e.type)]

    async def request(self, event_type: str, data: dict[str, Any], *types: str, **options: Any) -> Envelope[Any]:
        """Publish and wait for the answer of one of these types."""
        return await self.answer(await self.publish(event_type, data, **options), *types)

    async def import_all(self, *entities: str, workspace: str = WORKSPACE) -> Envelope[Any]:
        """Import and wait for the end; returns completed, failed or cancelled."""
        return await self.request(
            "pike.import.requested", {"entities": list(entities) or ["products", "customers", "invoices"]},
            "economic.import.completed", "economic.import.failed", "economic.import.cancelled", workspace=workspace,
        )  # fmt: skip

    async def refresh(self, entity: str, *, workspace: str = WORKSPACE, **which: Any) -> Envelope[Any]:
        """Refresh one record and wait for the answer."""
        return await self.request(
            "pike.refresh.requested", {"entity": entity, **which},
            "economic.refresh.completed", "economic.refresh.failed", workspace=workspace,
        )  # fmt: skip

    @asynccontextmanager
    async def pike(self) -> AsyncIterator[asyncpg.Connection]:
        """Connect to Postgres as one of Pike's own services: the lock triggers apply."""
        connection = await asyncpg.connect(self.database_url)
        try:
            yield connection
        finally:
            await connection.close()

    async def rows(self, sql: str, *args: Any) -> list[dict[str, Any]]:
        """Run a query as Pike and return plain rows."""
        async with self.pike() as connection:
            return [dict(row) for row in await connection.fetch(sql, *args)]

    async def value(self, sql: str, *args: Any) -> Any:
        """Run a query as Pike and return its one value."""
        async with self.pike() as connection:
            return await connection.fetchval(sql, *args)

    async def listen(self, ready: asyncio.Event) -> None:
        """Collect every answer that passes by."""
        async with listening(self.settings.amqp_url, ["economic.#"], "test") as events:
            ready.set()
            async for message in events:
                envelope: Envelope[Any] = decode(message.body, message.headers, message.content_type)
                async with self._news:
                    self.heard.append(envelope)
                    self._news.notify_all()


def environment(amqp_url: str, database_url: str, sandbox: Sandbox, **overrides: str) -> dict[str, str]:
    """Return the environment of a worker under test; short waits, everything else as in production."""
    values = {
        "AMQP_URL": amqp_url,
        "DATABASE_URL": database_url,
        "LEGACY_URL": sandbox.legacy_url,
        "OPENAPI_URL": sandbox.openapi_url,
        "APP_SECRET_TOKEN": sandbox.app_secret_token,
        "ENCRYPTION_KEYS": "test:" + base64.b64encode(b"k" * 32).decode(),
        "WAIT_LADDER_S": "0.2,0.5,1,2,5",
        "HTTP_PORT": "0",
        **{name.upper(): value for name, value in overrides.items()},
    }
    return {PREFIX + name: value for name, value in values.items()}


@asynccontextmanager
async def harness(
    amqp_url: str, database_url: str, sandbox: Sandbox, *, clock: Clock | None = None, **overrides: str
) -> AsyncIterator[Harness]:
    """Run a worker, and a listener for its answers, while the block runs.

    ``clock`` is the worker's. ``overrides`` are settings; ``AMQP_URL`` and ``DATABASE_URL`` give the worker a way of
    its own (through a proxy), while the test looks past it.
    """
    settings = load(environment(amqp_url, database_url, sandbox, **overrides))
    async with worker(settings, clock) as made:
        running = Harness(settings, sandbox, made, database_url)
        ready = asyncio.Event()
        listener = asyncio.create_task(running.listen(ready))
        await asyncio.wait_for(ready.wait(), 20)
        working = asyncio.create_task(made.run())
        try:
            yield running
        finally:
            made.stop()
            listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listener
            await asyncio.wait_for(working, 25)
