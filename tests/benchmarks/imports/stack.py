"""What every measurement of imports stands on: servers, the API stub, a connected workspace and one worker process."""

import asyncio
import base64
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
from pydantic import SecretStr

from events.codec import CONTENT_TYPE, decode
from worker.bootstrap import make_broker, tools
from worker.broker.following import listening
from worker.broker.publisher import Outgoing
from worker.broker.topology import EVENTS_EXCHANGE
from worker.clock import SystemClock
from worker.servers import Servers
from worker.settings import load
from worker.store import connections, migrate
from worker.store.crypto import Vault

AGREEMENT = 1_000_000
LOG = Path(os.environ.get("TMPDIR", "/tmp")) / "pike-economic-bench-imports.log"


@contextmanager
def api(*, latency_ms: float = 0, **sizes: int) -> Iterator[str]:
    """Run the API stub with so many customers, products and invoices; yield its address."""
    environment = {f"BENCH_{name.upper()}": str(size) for name, size in sizes.items()}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.imports.api_stub"],
        env={**os.environ, **environment, "BENCH_LATENCY_MS": str(latency_ms)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().split()[1]}"
    finally:
        process.kill()
        process.wait()


def calls_of(address: str) -> Mapping[str, int]:
    """Return how many calls were made to the stub so far, and what they cost."""
    with urllib.request.urlopen(f"{address}/bench/stats", timeout=10) as answer:
        found: Mapping[str, int] = json.load(answer)
        return found


def environment(servers: Servers, address: str) -> dict[str, str]:
    """Return the worker's settings."""
    return {
        "PIKE_ECONOMIC_AMQP_URL": servers.amqp_url, "PIKE_ECONOMIC_DATABASE_URL": servers.database_url,
        "PIKE_ECONOMIC_LEGACY_URL": address, "PIKE_ECONOMIC_OPENAPI_URL": address,
        "PIKE_ECONOMIC_APP_SECRET_TOKEN": "bench-app-secret", "PIKE_ECONOMIC_HTTP_PORT": "0",
        "PIKE_ECONOMIC_ENCRYPTION_KEYS": "bench:" + base64.b64encode(b"k" * 32).decode(),
        "PIKE_ECONOMIC_LOG_LEVEL": "WARNING",
    }  # fmt: skip


async def connect(values: Mapping[str, str], *workspaces: str) -> None:
    """Migrate and connect workspaces."""
    settings = load(values)
    await migrate.migrate(settings.database_url.get_secret_value())
    vault = Vault.parse(settings.encryption_keys.get_secret_value())
    async with tools(settings) as made, made.database.transaction("bench") as connection:
        for number, workspace in enumerate(workspaces):
            await connections.establish(
                connection, vault, workspace_id=workspace, agreement_number=AGREEMENT + number, company_name="Bench",
                base_currency="DKK", grant=SecretStr(f"grant-{number:020}"), defaults={},
            )  # fmt: skip


@dataclass
class WorkerProcess:
    """One worker of its own."""

    process: asyncio.subprocess.Process
    values: Mapping[str, str]
    changed: int = 0
    """``economic.records.changed`` heard while the last request was followed."""

    def peak_mb(self) -> float:
        """Return the most memory it ever held, in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024

    def cpu_s(self) -> float:
        """Return the processor time it used so far, in seconds."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def request(self, event_type: str, data: dict[str, Any], *ends: str, workspace: str = "bench") -> Any:
        """Publish a request, wait for its end, and return the answer with ``seconds`` that it took."""
        settings = load(self.values)
        self.changed = 0
        event_id = str(uuid4())
        body = {
            "specversion": "1.0", "id": event_id, "source": "/bench", "type": event_type, "workspaceid": workspace,
            "time": "2026-11-23T12:00:00Z", "datacontenttype": "application/json", "data": data,
        }  # fmt: skip
        broker = make_broker(settings, SystemClock())
        await broker.start()
        try:
            async with listening(settings.amqp_url, ["economic.#"], "bench") as events:
                began = time.perf_counter()
                await broker.publisher.publish(
                    Outgoing(EVENTS_EXCHANGE, event_type, json.dumps(body).encode(), event_id, {}, CONTENT_TYPE)
                )
                async for message in events:
                    event: Any = decode(message.body, message.headers, message.content_type)
                    self.changed += event.type == "economic.records.changed"
                    if event.correlation_id == event_id and event.type in ends:
                        return event, time.perf_counter() - began
        finally:
            await broker.stop(0)
        raise RuntimeError("the broker stopped sending events")

    async def refreshes(self, workspace: str, count: int) -> list[float]:
        """Refresh customers one after the other; return the seconds of each."""
        settings = load(self.values)
        broker = make_broker(settings, SystemClock())
        await broker.start()
        times: list[float] = []
        try:
            async with listening(settings.amqp_url, ["economic.refresh.*"], "bench") as events:
                for number in range(1, count + 1):
                    event_id = str(uuid4())
                    body = {
                        "specversion": "1.0", "id": event_id, "source": "/bench", "type": "pike.refresh.requested",
                        "workspaceid": workspace, "time": "2026-11-23T12:00:00Z", "datacontenttype": "application/json",
                        "data": {"entity": "product", "external_number": "1"},
                    }  # fmt: skip
                    began = time.perf_counter()
                    await broker.publisher.publish(
                        Outgoing(EVENTS_EXCHANGE, body["type"], json.dumps(body).encode(), event_id, {}, CONTENT_TYPE)  # type: ignore[arg-type]
                    )
                    async for message in events:
                        event: Any = decode(message.body, message.headers, message.content_type)
                        if event.correlation_id == event_id:
                            assert event.type == "economic.refresh.completed", event
                            break
                    times.append(time.perf_counter() - began)
                    del number
        finally:
            await broker.stop(0)
        return times

    async def import_all(self, *entities: str, mode: str = "full", workspace: str = "bench") -> tuple[Any, float]:
        """Import; return the answer and the seconds it took. Raises RuntimeError when it failed."""
        event, seconds = await self.request(
            "pike.import.requested",
            {"entities": list(entities), "mode": mode},
            "economic.import.completed",
            "economic.import.failed",
            workspace=workspace,
        )
        if event.type != "economic.import.completed":
            raise RuntimeError(f"the import failed: {event.data}")
        return event, seconds


@asynccontextmanager
async def worker(values: Mapping[str, str]) -> AsyncIterator[WorkerProcess]:
    """Run one worker while the block runs."""
    with LOG.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "worker", "run", env={**os.environ, **values}, stdout=log, stderr=log
        )
        try:
            yield WorkerProcess(process, values)
        finally:
            process.terminate()
            await process.wait()


async def truncate(servers: Servers) -> None:
    """Empty Pike's tables."""
    plain = await asyncpg.connect(servers.database_url)
    try:
        await plain.execute(
            "truncate pike.invoice_lines, pike.invoices, pike.customers, pike.products, pike.tax_rates, economic.imports, "
            "economic.audit, economic.inbox cascade"
        )
        await plain.execute("vacuum analyze")
    finally:
        await plain.close()


async def row_versions(servers: Servers) -> set[str]:
    """Return every row version of Pike's customers: what is written again gets another place and transaction."""
    plain = await asyncpg.connect(servers.database_url)
    try:
        rows = await plain.fetch("select ctid::text || ' ' || xmin::text as version from pike.customers")
        return {row["version"] for row in rows}
    finally:
        await plain.close()
