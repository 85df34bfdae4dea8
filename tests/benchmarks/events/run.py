"""Runs the subjects one after the other on the same servers: fill the queue, start the subject, time its completions.

Every subject does the same job for each request: validate, one GET of a 2 kB customer, one transaction, one confirmed
completion event, one acknowledgement. ``raw`` does none of it but consume, publish with confirm and acknowledge.
"""

import argparse
import asyncio
import base64
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO
from uuid import uuid4

import aio_pika
import asyncpg
from pydantic import SecretStr

from tests.benchmarks.events import peer_job
from tests.benchmarks.results_file import Measured, keep
from worker.bootstrap import make_broker, tools
from worker.clock import SystemClock
from worker.servers import Servers, provide
from worker.settings import load
from worker.store import connections, migrate
from worker.store.crypto import Vault

HERE = "tests.benchmarks.events"
WARM_UP = 0.2
"""Share of the events that are not timed: processes start, pools fill, statements are prepared."""
PREFETCH = 100
LIMIT_S = 180.0


@dataclass(frozen=True)
class Subject:
    """One program: which queue it reads, how it is started and with what, and how its queue is filled."""

    name: str
    queue: str
    command: tuple[str, ...]
    environment: dict[str, str]
    content_type: str = "application/json"
    fill_command: tuple[str, ...] = ()


def request(number: int, workspace: str) -> bytes:
    """Return one request as Pike publishes it."""
    return json.dumps(
        {
            "specversion": "1.0", "id": str(uuid4()), "source": "/bench", "type": "pike.refresh.requested",
            "workspaceid": workspace, "time": datetime.now(UTC).isoformat(), "datacontenttype": "application/json",
            "data": {"entity": "customer", "external_number": str(number)},
        }
    ).encode()  # fmt: skip


async def fill(url: str, subject: Subject, bodies: Sequence[bytes]) -> None:
    """Put the requests into the subject's queue."""
    if subject.fill_command:
        await asyncio.to_thread(
            subprocess.run,
            subject.fill_command,
            input=b"\n".join(bodies),
            env={**os.environ, **subject.environment},
            check=True,
        )
        return
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        for start in range(0, len(bodies), 500):
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
        queue = await channel.declare_queue(exclusive=True, auto_delete=True)
        await queue.bind("pike.events", "economic.refresh.completed")
        underlay = await channel.get_underlay_channel()

        async def seen(_message: object) -> None:
            times.append(time.perf_counter())

        await underlay.basic_consume(queue.name, seen, no_ack=True)
        yield times


async def measure(url: str, subject: Subject, bodies: Sequence[bytes], log: IO[bytes]) -> float:
    """Return completions per second after the warm-up."""
    await fill(url, subject, bodies)
    async with completions(url) as times:
        process = await asyncio.create_subprocess_exec(
            *subject.command, env={**os.environ, **subject.environment}, stdout=log, stderr=log
        )
        try:
            async with asyncio.timeout(LIMIT_S):
                while len(times) < len(bodies) and process.returncode is None:
                    await asyncio.sleep(0.05)
        except TimeoutError:
            pass
        finally:
            await end(process)
    if len(times) < len(bodies):
        raise RuntimeError(f"{subject.name}: {len(times)} of {len(bodies)} completions; see {log.name}")
    first = int(len(bodies) * WARM_UP)
    return (len(bodies) - first) / (times[len(bodies) - 1] - times[first])


async def end(process: asyncio.subprocess.Process) -> None:
    """Ask the process to stop; kill it when it does not."""
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), 20)
    except TimeoutError:
        process.kill()
        await process.wait()


@contextmanager
def api(latency_ms: float) -> Iterator[str]:
    """Run the API stub and yield its address."""
    command = [sys.executable, "-m", f"{HERE}.api_stub", "0", str(latency_ms)]
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
    async with tools(settings) as made, made.database.transaction("bench") as connection:
        for n in range(workspaces):
            await connections.establish(
                connection, vault, workspace_id=f"bench-{n}", agreement_number=1_000_000 + n,
                company_name=f"Bench {n}", base_currency="DKK", grant=SecretStr(f"grant-{n:020}"), defaults={},
            )  # fmt: skip
    plain = await asyncpg.connect(dsn)
    await plain.execute(peer_job.SCHEMA)
    await plain.close()
    broker = make_broker(settings, SystemClock())
    await broker.start()
    await broker.stop(0)
    peer = await aio_pika.connect(settings.amqp_url.get_secret_value())
    async with peer:
        channel = await peer.channel()
        for queue in ("bench.raw", "bench.faststream", "bench.celery"):
            await channel.declare_queue(queue, durable=True, arguments={"x-queue-type": "quorum"})


def subjects(peers: Path, environment: dict[str, str]) -> list[Subject]:
    """Return what is compared: the worker, the floor, and the peers that are installed."""
    base = {**environment, "BENCH_PREFETCH": str(PREFETCH), "PYTHONPATH": str(Path.cwd())}
    found = [
        Subject(
            "worker", "pike-economic.work", (sys.executable, "-m", f"{HERE}.ours"), base, "application/cloudevents+json"
        ),
        Subject("raw", "bench.raw", (sys.executable, "-m", f"{HERE}.raw"), base | {"BENCH_QUEUE": "bench.raw"}),
    ]
    python = str(peers / "bin" / "python")
    if Path(python).exists():
        celery = (python, "-m", "celery", "-A", f"{HERE}.peer_celery", "worker", "-P", "prefork", "-c", "8")
        found += [
            Subject(
                "faststream",
                "bench.faststream",
                (python, "-m", f"{HERE}.peer_faststream"),
                base | {"BENCH_QUEUE": "bench.faststream"},
            ),
            Subject(
                "celery",
                "bench.celery",
                (*celery, "--loglevel", "ERROR", "--without-gossip", "--without-mingle"),
                base,
                fill_command=(python, "-m", f"{HERE}.peer_celery_fill"),
            ),
        ]
    return found


def arguments(options: Sequence[str]) -> argparse.Namespace:
    """Read the section's options."""
    parser = argparse.ArgumentParser(prog="make bench SECTION=events ARGS=…", description=__doc__)
    parser.add_argument("--events", type=int, default=6000, help="requests per run")
    parser.add_argument("--rounds", type=int, default=5, help="runs per subject; the median counts")
    parser.add_argument("--workspaces", type=int, default=50, help="workspaces that the requests come from")
    parser.add_argument("--latency", type=float, default=0, help="milliseconds that the API takes")
    parser.add_argument("--peers", type=Path, default=Path(".venv-peers"), help="environment of FastStream and Celery")
    parser.add_argument("--only", default="", help="subjects, separated by commas")
    return parser.parse_args(options)


def environment_of(servers: Servers, address: str) -> dict[str, str]:
    """Return the worker's settings."""
    return {
        "PIKE_ECONOMIC_AMQP_URL": servers.amqp_url, "PIKE_ECONOMIC_DATABASE_URL": servers.database_url,
        "PIKE_ECONOMIC_LEGACY_URL": address, "PIKE_ECONOMIC_OPENAPI_URL": address,
        "PIKE_ECONOMIC_APP_SECRET_TOKEN": "bench-app-secret",
        "PIKE_ECONOMIC_ENCRYPTION_KEYS": "bench:" + base64.b64encode(b"k" * 32).decode(),
        "PIKE_ECONOMIC_PREFETCH_WORK": str(PREFETCH), "PIKE_ECONOMIC_LOG_LEVEL": "WARNING",
    }  # fmt: skip


TARGETS = {"faststream": 2.5, "celery": 2.5, "raw": 0.7}
"""What the worker should reach, as a multiple of each peer's events per second."""


def main(options: Sequence[str] = (), say: Callable[[str], None] = print) -> None:
    """Run, and keep the medians with their ratios."""
    args = arguments(options)
    with provide(announce=say, durable=True) as servers, api(args.latency) as address:
        environment = environment_of(servers, address)
        asyncio.run(prepare(environment, args.workspaces))
        chosen = [s for s in subjects(args.peers, environment) if not args.only or s.name in args.only.split(",")]
        results: dict[str, list[float]] = {subject.name: [] for subject in chosen}
        for _ in range(args.rounds):
            for subject in chosen:
                bodies = [request(1 + n % 2000, f"bench-{n % args.workspaces}") for n in range(args.events)]
                with Path(f"{servers_log()}-{subject.name}.log").open("wb") as log:
                    rate = asyncio.run(measure(servers.amqp_url, subject, bodies, log))
                results[subject.name].append(rate)
                say(f"{subject.name:12} {rate:8.0f} events/s")
    medians = {name: statistics.median(rates) for name, rates in results.items() if rates}
    if "worker" in medians:
        say(f"kept in {keep('events', list(figures(medians, args.latency)))}")


def figures(medians: Mapping[str, float], latency_ms: float) -> Iterator[Measured]:
    """Compare the worker with each peer."""
    ours = medians["worker"]
    for name, median in medians.items():
        if name != "worker":
            target = TARGETS[name]
            what = f"events/s, one process, API latency {latency_ms:g} ms"
            yield Measured(what, ours, "1/s", name, median, f"≥ {target:g} × {name}", ours / median >= target)


def servers_log() -> str:
    """Return where the subjects' output goes."""
    import tempfile

    return str(Path(tempfile.gettempdir()) / "pike-economic-bench")


if __name__ == "__main__":
    main()
