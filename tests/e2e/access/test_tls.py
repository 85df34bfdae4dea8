"""TLS to RabbitMQ and Postgres, with certificates that are checked: the right one serves, a stranger's is refused."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from harness import environment
from support import eventually

from worker.bootstrap import make_broker, make_database
from worker.clock import SystemClock
from worker.errors import BrokerError, StoreUnavailable
from worker.sandbox import Sandbox
from worker.servers import Servers
from worker.settings import load


def make_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Make a self-signed certificate for this machine; returns certificate and key."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


@asynccontextmanager
async def tls_before(amqp_url: str, certificate: Path, key: Path) -> AsyncIterator[int]:
    """End TLS in front of a RabbitMQ, as a load balancer does; yields the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    parts = urlsplit(amqp_url)
    tasks: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream = await asyncio.open_connection(parts.hostname, parts.port)
        for one, other in ((reader, upstream[1]), (upstream[0], writer)):
            task = asyncio.create_task(pump(one, other))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in [*tasks]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_rabbitmq_over_tls_is_checked_against_the_given_authority(
    amqp_url: str, database_url: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    certificate, key = make_certificate(tmp_path, "ours")
    stranger, _ = make_certificate(tmp_path, "stranger")
    parts = urlsplit(amqp_url)

    async with tls_before(amqp_url, certificate, key) as port:

        async def reaches(authority: Path) -> bool:
            netloc = f"{parts.username}:{parts.password}@localhost:{port}"
            url = urlunsplit(("amqps", netloc, parts.path, f"cafile={authority}", ""))
            broker = make_broker(load(environment(url, database_url, sandbox)), SystemClock())
            try:
                async with asyncio.timeout(8):
                    await broker.start()
            except (BrokerError, TimeoutError):
                return False
            finally:
                await broker.stop(0.0)
            return True

        assert await reaches(certificate)
        assert not await reaches(stranger)


@pytest.fixture
async def tls_postgres(servers: Servers, tmp_path: Path) -> AsyncIterator[Path]:
    """Let the tests' Postgres speak TLS for a while; yields its certificate."""
    certificate, key = make_certificate(tmp_path, "postgres")
    connection = await asyncpg.connect(servers.database_url)
    folder = await connection.fetchval("show data_directory")
    for name, file in (("server.crt", certificate), ("server.key", key)):
        text = file.read_text().strip().replace("\n", "\\n")
        await connection.execute(
            f"copy (select line from unnest(string_to_array('{text}', '\\n')) with ordinality as t (line, place) "
            f"order by place) to program 'umask 077; cat > {folder}/{name}'"  # a readable key is refused
        )
    await connection.execute("alter system set ssl = on")
    await connection.execute("select pg_reload_conf()")

    async def on() -> bool:
        return str(await connection.fetchval("select setting from pg_settings where name = 'ssl'")) == "on"

    await eventually(on)
    yield certificate
    await connection.execute("alter system reset ssl")
    await connection.execute("select pg_reload_conf()")
    await connection.close()


async def test_postgres_over_tls_is_checked_against_the_given_authority(
    amqp_url: str, database_url: str, sandbox: Sandbox, tls_postgres: Path, tmp_path: Path
) -> None:
    stranger, _ = make_certificate(tmp_path, "stranger")

    async def version(authority: Path) -> str | None:
        url = f"{database_url}?sslmode=verify-full&sslrootcert={authority}"
        database = make_database(load(environment(amqp_url, url, sandbox)))
        await database.connect()
        try:
            async with database.connection("test") as connection:
                found: str | None = await connection.fetchval(
                    "select version from pg_stat_ssl where pid = pg_backend_pid()"
                )
                return found
        finally:
            await database.close()

    assert (await version(tls_postgres) or "").startswith("TLS")
    with pytest.raises(StoreUnavailable, match="certificate"):
        await version(stranger)
