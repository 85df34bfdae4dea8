"""Runs the subjects one after the other on the same servers: fill the queue, start the subject, time its completions."""

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import aio_pika
import asyncpg
from pydantic import SecretStr

from tests.benchmarks.events import peer_job
from tests.harness import WORKSPACE
from worker.bootstrap import make_broker, tools
from worker.clock import SystemClock
from worker.sandbox import Sandbox
from worker.servers import provide
from worker.settings import load
from worker.store import connections, migrate
from worker.store.crypto import Vault

WARM_UP = 0.2
"""Share of the events that are not timed: processes start, pools fill, statements are prepared."""
PREFETCH = 100


@dataclass(frozen=True)
class Subject:
    """One program: how it is started, and which queue it reads."""

    name: str
    queue: str
    command: tuple[str, ...]
    environment: dict[str, str]
    content_type: str = "application/json"
    celery: bool = False


def event(number: int, workspace: str) -> bytes:
    """Return one request."""
    return json.dumps(
        {
            "specversion": "1.0", "id": str(uuid4()), "source": "/bench", "type": "pike.refresh.requested",
            "workspaceid": workspace, "time": datetime.now(UTC).isoformat(), "datacontenttype": "application/json",
            "data": {"entity": "customer", "external_number": str(number)},
        }
    ).encode()  # fmt: skip


async def fill(url: str, subject: Subject, count: int, workspaces: int) -> None:
    """Put the requests into the subject's queue."""
    bodies = [event(1 + n % 2000, f"{WORKSPACE}-{n % workspaces}") for n in range(count)]
    if subject.celery:
        from kombu import Connection  # installed beside the peers only

        raise NotImplementedError(Connection)
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        for start in range(0, count, 500):
            await asyncio.gather(
                *(
                    channel.default_exchange.publish(
                        aio_pika.Message(
                            body, content_type=subject.content_type, message_id=str(uuid4()),
                            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                        ),
                        subject.queue,
                    )
                    for body in bodies[start : start + 500]
                )
            )  # fmt: skip


@asynccontextmanager
async def completions(url: str) -> AsyncIterator[list[float]]:
    """Collect the arrival times of completion events."""
    times: list[float] = []
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=1000)
        queue = await channel.declare_queue(exclusive=True, auto_delete=True)
        await queue.bind("pike.events", "economic.refresh.completed")
        underlay = await channel.get_underlay_channel()

        async def seen(_message: object) -> None:
            times.append(time.perf_counter())

        await underlay.basic_consume(queue.name, seen, no_ack=True)
        yield times


async def measure(url: str, subject: Subject, count: int, workspaces: int) -> float:
    """Return completions per second after the warm-up."""
    await fill(url, subject, count, workspaces)
    async with completions(url) as times:
        log = open(f"/tmp/bench-{subject.name}.log", "w")  # noqa
        began = time.perf_counter()
        process = subprocess.Popen(subject.command, env={**os.environ, **subject.environment}, stdout=log, stderr=log)  # noqa: ASYNC220
        try:
            deadline = time.perf_counter() + 120
            while len(times) < count:
                if process.poll() is not None or time.perf_counter() > deadline:
                    raise RuntimeError(f"{subject.name}: {len(times)} of {count} completions, exit {process.poll()}")
                await asyncio.sleep(0.05)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    first = int(count * WARM_UP)
    print([round(times[i] - began, 2) for i in (0, count // 10, count // 5, count // 2, count * 3 // 4, count - 1)])
    return (count - first) / (times[count - 1] - times[first])


@contextmanager
def api(latency_ms: float) -> Iterator[str]:
    """Run the API stub and yield its address."""
    command = [sys.executable, "-m", "tests.benchmarks.events.api_stub", "0", str(latency_ms)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = process.stdout.readline().split()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


async def prepare(environment: dict[str, str], workspaces: int) -> None:
    """Migrate, connect the workspaces, declare the queues."""
    settings = load(environment)
    dsn = settings.database_url.get_secret_value()
    await migrate.migrate(dsn)
    vault = Vault.parse(settings.encryption_keys.get_secret_value())
    async with tools(settings) as made:
        for n in range(workspaces):
            async with made.database.transaction("bench") as connection:
                await connections.establish(
                    connection, vault, workspace_id=f"{WORKSPACE}-{n}", agreement_number=1_000_000 + n,
                    company_name=f"Bench {n}", base_currency="DKK", grant=SecretStr(f"grant-{n:020}"), defaults={},
                )  # fmt: skip
    plain = await asyncpg.connect(dsn)
    await plain.execute(peer_job.SCHEMA)
    await plain.close()
    broker = make_broker(settings, SystemClock())
    await broker.start()
    await broker.stop(0)
    connection = await aio_pika.connect(settings.amqp_url.get_secret_value())
    async with connection:
        channel = await connection.channel()
        for queue in ("bench.raw", "bench.faststream", "bench.celery"):
            await channel.declare_queue(queue, durable=True, arguments={"x-queue-type": "quorum"})


def subjects(peers: Path, environment: dict[str, str]) -> list[Subject]:
    """Return what is compared."""
    python = str(peers / "bin" / "python")
    base = {**environment, "BENCH_PREFETCH": str(PREFETCH), "PYTHONPATH": str(Path.cwd())}
    return [
        Subject(
            "ours",
            "pike-economic.work",
            (sys.executable, "-m", "tests.benchmarks.events.ours"),
            base,
            "application/cloudevents+json",
        ),
        Subject(
            "raw",
            "bench.raw",
            (sys.executable, "-m", "tests.benchmarks.events.raw"),
            base | {"BENCH_QUEUE": "bench.raw"},
        ),
        Subject(
            "faststream",
            "bench.faststream",
            (python, "-m", "tests.benchmarks.events.peer_faststream"),
            base | {"BENCH_QUEUE": "bench.faststream"},
        ),
    ]


def main(say: Callable[[str], None] = print) -> None:
    """Run and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=6000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workspaces", type=int, default=50)
    parser.add_argument("--latency", type=float, default=0)
    parser.add_argument("--peers", default="/tmp/benchvenv")
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    with provide(announce=say, durable=True) as servers, api(args.latency) as address:
        environment = {
            "PIKE_ECONOMIC_AMQP_URL": servers.amqp_url, "PIKE_ECONOMIC_DATABASE_URL": servers.database_url,
            "PIKE_ECONOMIC_LEGACY_URL": address, "PIKE_ECONOMIC_OPENAPI_URL": address,
            "PIKE_ECONOMIC_APP_SECRET_TOKEN": "bench-app-secret",
            "PIKE_ECONOMIC_ENCRYPTION_KEYS": "bench:" + "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=",
            "PIKE_ECONOMIC_PREFETCH_WORK": str(PREFETCH), "PIKE_ECONOMIC_LOG_LEVEL": "WARNING",
        }  # fmt: skip
        asyncio.run(prepare(environment, args.workspaces))
        results: dict[str, list[float]] = {}
        for _ in range(args.rounds):
            for subject in subjects(Path(args.peers), environment):
                if args.only and subject.name not in args.only.split(","):
                    continue
                rate = asyncio.run(measure(servers.amqp_url, subject, args.events, args.workspaces))
                results.setdefault(subject.name, []).append(rate)
                say(f"{subject.name:12} {rate:8.0f} events/s")
        for name, rates in results.items():
            say(f"{name:12} median {statistics.median(rates):8.0f}")


if __name__ == "__main__":
    main()
