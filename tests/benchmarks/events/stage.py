"""What every section runs on: the same servers, the same stub of the API, the subjects, and how they are filled."""

import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import aio_pika
import asyncpg
from pydantic import SecretStr

from tests.benchmarks.events import peer_job
from worker.bootstrap import make_broker, tools
from worker.clock import SystemClock
from worker.servers import Servers
from worker.settings import load
from worker.store import connections, migrate
from worker.store.crypto import Vault

HERE = "tests.benchmarks.events"
PREFETCH = 300
"""Deliveries in work at once, for every subject; the worker's own default."""
SEGMENTS = 48
"""Of 16 MB each: more write-ahead log than five rounds of ``events`` or ``scale`` write (2.5 kB an event, 300 MB)."""
_READY = "select count(*) from pg_ls_waldir() where name > pg_walfile_name(pg_current_wal_lsn())"


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


async def grow_up(connection: asyncpg.Connection) -> None:
    """Let the cluster be as it is after its first hours, for all subjects: segments of its write-ahead log are at hand.

    A young one makes each when it is needed, in the middle of somebody's commit, which then takes 12 to 240 ms.
    """
    await connection.execute(f"alter system set min_wal_size = '{16 * SEGMENTS}MB'")  # or they are thrown away
    await connection.execute("select pg_reload_conf()")
    for _ in range(SEGMENTS):
        await connection.execute("select pg_logical_emit_message(false, 'bench', ''), pg_switch_wal()")
    await connection.execute("checkpoint")  # what is over becomes what is to come
    ready = await connection.fetchval(_READY)
    if ready < SEGMENTS // 2:
        raise RuntimeError(f"only {ready} of {SEGMENTS} segments of the write-ahead log are at hand")


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
    await grow_up(plain)
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


def environment_of(servers: Servers, address: str) -> dict[str, str]:
    """Return the worker's settings."""
    return {
        "PIKE_ECONOMIC_AMQP_URL": servers.amqp_url, "PIKE_ECONOMIC_DATABASE_URL": servers.database_url,
        "PIKE_ECONOMIC_LEGACY_URL": address, "PIKE_ECONOMIC_OPENAPI_URL": address,
        "PIKE_ECONOMIC_APP_SECRET_TOKEN": "bench-app-secret",
        "PIKE_ECONOMIC_ENCRYPTION_KEYS": "bench:" + base64.b64encode(b"k" * 32).decode(),
        "PIKE_ECONOMIC_PREFETCH_WORK": str(PREFETCH), "PIKE_ECONOMIC_LOG_LEVEL": "WARNING",
    }  # fmt: skip


def requests(count: int, workspaces: int) -> list[bytes]:
    """Return requests for 2,000 customers, of as many workspaces as told."""
    return [request(1 + n % 2000, f"bench-{n % workspaces}") for n in range(count)]


@asynccontextmanager
async def running(subject: Subject, copies: int = 1) -> AsyncIterator[list[asyncio.subprocess.Process]]:
    """Run a subject, so many processes of it; what they print goes to a file beside others of the system."""
    path = Path(tempfile.gettempdir()) / f"pike-economic-bench-{subject.name.replace(' ', '-')}.log"
    environment = {**os.environ, **subject.environment}
    with path.open("wb") as log:
        processes = [
            await asyncio.create_subprocess_exec(*subject.command, env=environment, stdout=log, stderr=log)
            for _ in range(copies)
        ]
        try:
            yield processes
        finally:
            await asyncio.gather(*(end(process) for process in processes))


def cpu_s(pid: int) -> float:
    """Return the processor time that a process has used, by Linux' account."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
