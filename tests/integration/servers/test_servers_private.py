"""The private RabbitMQ and Postgres for real: they keep their data through a restart and leave nothing behind."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import aio_pika
import asyncpg
import pytest
from support import eventually

from worker.servers import PrivatePostgres, PrivateRabbitMQ, ServersUnavailable
from worker.servers.install import install_missing
from worker.servers.provide import missing_packages


def processes_of(folder: str) -> list[str]:
    """Return the command lines and folders of every process that has this folder in either."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            where = str((entry / "cwd").readlink())
        except OSError:
            continue
        if folder in command or folder in where:
            found.append(f"{entry.name} {command[:120]}")
    return found


def listening() -> list[str]:
    """Return the local addresses of all listening sockets, as the kernel writes them."""
    tables = [Path(f"/proc/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    return [line.split()[1] for table in tables for line in table if line.split()[3] == "0A"]


def gone(folder: str) -> bool:
    return not processes_of(folder) and not Path(folder).exists()


def folders(parent: int) -> set[str]:
    """Return the folders of this process's servers: each has a watchdog, whose last argument it is."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if f"PPid:\t{parent}\n" in (entry / "status").read_text() and "watchdog.py" in " ".join(words):
                    found.add(words[-2])
    return found


@pytest.fixture(scope="module", autouse=True)
def packages() -> None:
    """Install the packages if need be: where an engine serves the other tests, they may be missing."""
    try:
        install_missing(missing_packages, print)
    except ServersUnavailable as exc:
        pytest.skip(str(exc))


@pytest.fixture(scope="module")
def rabbitmq() -> Iterator[PrivateRabbitMQ]:
    node = PrivateRabbitMQ()
    try:
        node.start()
        yield node
    finally:
        node.stop()


@pytest.fixture(scope="module")
def postgres() -> Iterator[PrivatePostgres]:
    cluster = PrivatePostgres()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


async def put(url: str, text: bytes) -> None:
    async with await aio_pika.connect(url) as connection, connection.channel(publisher_confirms=True) as channel:
        await channel.declare_queue("kept", durable=True, arguments={"x-queue-type": "quorum"})
        await channel.default_exchange.publish(aio_pika.Message(text, delivery_mode=2), "kept")


async def take(url: str) -> bytes:
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        queue = await channel.declare_queue("kept", passive=True)

        async def message() -> aio_pika.abc.AbstractIncomingMessage | None:
            return await queue.get(no_ack=True, fail=False)

        return (await eventually(message, message="the message is there")).body  # type: ignore[union-attr]


async def test_rabbitmq_keeps_its_messages_through_a_restart_in_order(rabbitmq: PrivateRabbitMQ) -> None:
    await put(rabbitmq.amqp_url, b"before the restart")
    before = rabbitmq.pid
    await asyncio.to_thread(rabbitmq.restart)
    assert rabbitmq.pid != before
    assert await take(rabbitmq.amqp_url) == b"before the restart"


async def test_rabbitmq_that_was_killed_comes_back_with_its_messages(rabbitmq: PrivateRabbitMQ) -> None:
    await put(rabbitmq.amqp_url, b"before the kill")
    await asyncio.to_thread(rabbitmq.kill)
    with pytest.raises(OSError):
        await aio_pika.connect(rabbitmq.amqp_url)
    await asyncio.to_thread(rabbitmq.restart)
    assert await take(rabbitmq.amqp_url) == b"before the kill"


async def test_rabbitmq_listens_on_loopback_only_and_has_no_plugins(rabbitmq: PrivateRabbitMQ) -> None:
    told = await asyncio.to_thread(rabbitmq.rabbitmqctl, "eval", "{rabbit_plugins:active(), node()}.")
    assert told.startswith("{[],")
    port = f":{int(rabbitmq.amqp_url.rstrip('/').rpartition(':')[2]):04X}"
    assert [address for address in listening() if address.endswith(port)] == [f"0100007F{port}"]


async def row(url: str, sql: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def test_postgres_keeps_its_rows_through_a_restart_and_a_kill(postgres: PrivatePostgres) -> None:
    await row(postgres.database_url, "create table kept as select 'øre' as text")
    await asyncio.to_thread(postgres.restart)
    assert await row(postgres.database_url, "select text from kept") == "øre"
    await asyncio.to_thread(postgres.kill)
    with pytest.raises(OSError):
        await asyncpg.connect(postgres.database_url)
    await asyncio.to_thread(postgres.restart)
    assert await row(postgres.database_url, "select text from kept") == "øre"


async def test_postgres_stops_with_a_statement_running_and_leaves_nothing() -> None:
    before = folders(os.getpid())
    cluster = PrivatePostgres()
    await asyncio.to_thread(cluster.start)
    (folder,) = folders(os.getpid()) - before
    connection = await asyncpg.connect(cluster.database_url)
    running = asyncio.create_task(connection.execute("select pg_sleep(600)"))
    await eventually(lambda: row(cluster.database_url, "select 1 from pg_stat_activity where query ~ 'pg_sleep\\(6'"))
    await asyncio.to_thread(cluster.stop)
    with pytest.raises((asyncpg.PostgresError, OSError)):
        await running
    connection.terminate()
    await eventually(lambda: gone(folder), message=f"{folder} and its processes are gone")


_IN_USE = """
import sys, time
from worker.servers import docker, provide
docker.engine_answers = lambda: False
with provide(announce=lambda text: print(text, flush=True)) as servers:
    print("in use", flush=True)
    time.sleep(600)
"""


def started(until: str) -> tuple["subprocess.Popen[str]", set[str]]:
    """Start servers in a process of their own; return it and its folders when it has printed ``until``."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIKE_ECONOMIC_TEST_")}
    parent = subprocess.Popen(
        [sys.executable, "-c", _IN_USE],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment, start_new_session=True,
    )  # fmt: skip
    assert parent.stdout is not None
    for line in parent.stdout:
        if line.startswith(until):
            break
    else:
        raise AssertionError(f"the parent ended with {parent.wait()} before it said {until!r}")
    deadline = time.monotonic() + 10
    while not (found := folders(parent.pid)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return parent, found


def shared_memory() -> set[str]:
    """Return what Postgres keeps outside its folder: segments that nobody is attached to, and files in /dev/shm."""
    segments = [line.split() for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]]
    return {f"segment {part[1]}" for part in segments if part[6] == "0"} | {
        path.name for path in Path("/dev/shm").glob("PostgreSQL.*")
    }


async def left_nothing(names: set[str]) -> None:
    assert names
    for folder in names:
        await eventually(lambda folder=folder: gone(folder), message=f"{folder} and its processes are gone")


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda sign: sign.name)
async def test_a_signal_while_the_servers_are_in_use_leaves_nothing(sign: signal.Signals) -> None:
    memory = shared_memory()
    parent, names = await asyncio.to_thread(started, "in use")
    with parent:
        parent.send_signal(sign)
        await asyncio.to_thread(parent.wait, 15)
    await left_nothing(names)
    await eventually(lambda: not shared_memory() - memory, message="no shared memory is left")


@pytest.mark.parametrize("running", ["epmd", "initdb", "beam"])
async def test_ctrl_c_during_the_start_ends_at_once_and_leaves_nothing(running: str) -> None:
    parent, names = await asyncio.to_thread(started, "starting")

    def begun() -> bool:
        names.update(folders(parent.pid))
        return any(running in line for name in names for line in processes_of(name))

    with parent:
        await eventually(begun, message=f"{running} runs")
        began = time.monotonic()
        parent.send_signal(signal.SIGINT)
        await asyncio.to_thread(parent.wait, 30)
    assert time.monotonic() - began < 3
    await left_nothing(names)
