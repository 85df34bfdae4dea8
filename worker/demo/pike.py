"""Pike as the demo plays it: a service that publishes events, listens for answers, and reads the read model."""

import asyncio
import json
import os
import sys
from collections import Counter
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from events.codec import decode
from events.envelope import Envelope
from worker.broker.following import listening
from worker.demo.stack import Stack

ANSWER_TIMEOUT_S = 60.0


class Pike:
    """One workspace's services. Everything goes through the outside: exchange, database, commands."""

    def __init__(self, stack: Stack, workspace: str) -> None:
        self._stack = stack
        self.workspace = workspace
        self.heard: list[Envelope[Any]] = []
        self._news = asyncio.Condition()

    async def listen(self, ready: asyncio.Event) -> None:
        """Collect every completion event until cancelled."""
        async with listening(self._stack.settings.amqp_url, ["economic.#"], "demo") as events:
            ready.set()
            async for message in events:
                event: Envelope[Any] = decode(message.body, message.headers, message.content_type)
                async with self._news:
                    self.heard.append(event)
                    self._news.notify_all()

    async def answer(self, request_id: str, *types: str) -> Envelope[Any]:
        """Wait for the answer to a request."""

        def found() -> Envelope[Any] | None:
            return next((e for e in self.heard if e.correlation_id == request_id and e.type in types), None)

        async with self._news, asyncio.timeout(ANSWER_TIMEOUT_S):
            await self._news.wait_for(lambda: found() is not None)
        event = found()
        if event is None:
            raise RuntimeError("the condition held a moment ago")
        return event

    async def wait_for_type(self, event_type: str) -> None:
        """Wait until an event of this type was heard."""
        async with self._news, asyncio.timeout(ANSWER_TIMEOUT_S):
            await self._news.wait_for(lambda: any(event.type == event_type for event in self.heard))

    def counted(self, request_id: str | None = None) -> Counter[str]:
        """Count what was heard, by type; of one request, or in all."""
        return Counter(event.type for event in self.heard if request_id in (None, event.correlation_id))

    async def command(self, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
        """Run a ``pike-economic`` command; returns exit code, stdout and stderr."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "worker", *arguments,
            env={**os.environ, **self._stack.environment},
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate(stdin.encode())
        return process.returncode or 0, out.decode(), err.decode()

    async def command_json(self, *arguments: str, stdin: str = "") -> Any:
        """Run a command with ``--json`` and return what it printed; its text when it is no JSON."""
        code, out, err = await self.command(*arguments, "--json", stdin=stdin)
        try:
            return json.loads(out)
        except ValueError as exc:
            raise RuntimeError(f"pike-economic {' '.join(arguments)} ended with {code}: {out} {err}") from exc

    async def publish(self, event_type: str, data: dict[str, Any], event_id: str | None = None) -> str:
        """Publish an event through the command line, as a service would through its own client."""
        event_id = event_id or str(uuid4())
        await self.command_json(
            "publish",
            event_type,
            "--workspace",
            self.workspace,
            "--id",
            event_id,
            "--data",
            "-",
            stdin=json.dumps(data),
        )
        return event_id

    async def rows(self, sql: str, *args: Any) -> list[dict[str, Any]]:
        """Read the read model."""
        connection = await asyncpg.connect(self._stack.servers.database_url)
        try:
            return [dict(row) for row in await connection.fetch(sql, *args)]
        finally:
            await connection.close()

    async def value(self, sql: str, *args: Any) -> Any:
        """Read one value of the read model."""
        return next(iter((await self.rows(sql, *args))[0].values()))

    async def edit(self, sql: str, *args: Any) -> str | None:
        """Change a row as Pike's own services would; returns the database's refusal, or ``None`` when it went."""
        connection = await asyncpg.connect(self._stack.servers.database_url)
        try:
            await connection.execute(sql, *args)
        except asyncpg.PostgresError as exc:
            return " ".join(part for part in (exc.args[0], getattr(exc, "hint", None)) if part)
        finally:
            await connection.close()
        return None

    async def add_product(self, name: str) -> UUID:
        """Make a product of Pike's own."""
        return UUID(str(await self.value(
            "insert into pike.products (workspace_id, name) values ($1, $2) returning id", self.workspace, name
        )))  # fmt: skip

    async def add_customer(self, name: str, *, vat_number: str | None = None, email: str | None = None) -> UUID:
        """Make a customer of Pike's own."""
        return UUID(str(await self.value(
            """insert into pike.customers (workspace_id, name, vat_number, primary_contact_email)
               values ($1, $2, $3, $4) returning id""",
            self.workspace, name, vat_number, email,
        )))  # fmt: skip
