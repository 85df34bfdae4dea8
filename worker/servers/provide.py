"""Which servers to use: addresses given, a Docker engine, private nodes of the installed packages, in this order."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal

from worker.servers import docker
from worker.servers.install import install_missing
from worker.servers.postgres import PrivatePostgres
from worker.servers.process import ServersUnavailable
from worker.servers.rabbitmq import PrivateRabbitMQ

AMQP_VARIABLE = "PIKE_ECONOMIC_TEST_AMQP_URL"
DATABASE_VARIABLE = "PIKE_ECONOMIC_TEST_DATABASE_URL"


@dataclass(frozen=True)
class Servers:
    """Addresses to use. The private nodes are there for tests that stop and restart them."""

    amqp_url: str
    database_url: str
    how: Literal["given", "docker", "private"]
    rabbitmq: PrivateRabbitMQ | None = None
    postgres: PrivatePostgres | None = None


@contextmanager
def provide(
    *,
    amqp_url: str | None = None,
    database_url: str | None = None,
    rabbitmq: bool = True,
    postgres: bool = True,
    announce: Callable[[str], None] = lambda _message: None,
    durable: bool = False,
) -> Iterator[Servers]:
    """Yield running servers and stop what was started, also after Ctrl-C. Raises ``ServersUnavailable``.

    A server that is not wanted has an empty address. ``durable`` is about private nodes: whether Postgres waits for
    the disk.
    """
    amqp_url = (amqp_url or os.environ.get(AMQP_VARIABLE) or "") if rabbitmq else ""
    database_url = (database_url or os.environ.get(DATABASE_VARIABLE) or "") if postgres else ""
    needs_rabbitmq, needs_postgres = rabbitmq and not amqp_url, postgres and not database_url
    if not needs_rabbitmq and not needs_postgres:
        yield Servers(amqp_url, database_url, "given")
        return
    names = " and ".join(["RabbitMQ"] * needs_rabbitmq + ["Postgres"] * needs_postgres)
    with ExitStack() as stack:
        contained = _contained(stack, needs_rabbitmq, needs_postgres, names, announce)
        if contained is not None:
            yield Servers(amqp_url or contained[0], database_url or contained[1], "docker")
            return
        install_missing(lambda: missing_packages(needs_rabbitmq, needs_postgres), announce)
        announce(f"starting a private {names}")
        node = PrivateRabbitMQ() if needs_rabbitmq else None
        cluster = PrivatePostgres(durable=durable) if needs_postgres else None
        _start(stack, node, cluster)
        yield Servers(
            node.amqp_url if node else amqp_url,
            cluster.database_url if cluster else database_url,
            "private",
            node,
            cluster,
        )


def _contained(
    stack: ExitStack, rabbitmq: bool, postgres: bool, names: str, announce: Callable[[str], None]
) -> tuple[str, str] | None:
    """Start containers, or return ``None`` where that cannot be: an engine may answer and have no way to the images."""
    if not docker.engine_answers():
        return None
    announce(f"starting {names} in containers")
    containers = stack.enter_context(ExitStack())
    try:
        return docker.start(containers, rabbitmq=rabbitmq, postgres=postgres)
    except ServersUnavailable as exc:
        containers.close()
        announce(str(exc))
        return None


def missing_packages(rabbitmq: bool = True, postgres: bool = True) -> list[str]:
    """Return the Debian packages that are wanted and not installed."""
    missing = []
    if rabbitmq and not PrivateRabbitMQ.installed():
        missing.append("rabbitmq-server")
    if postgres and PrivatePostgres.binaries() is None:
        missing.append("postgresql")
    return missing


def _start(stack: ExitStack, node: PrivateRabbitMQ | None, cluster: PrivatePostgres | None) -> None:
    """Start both at once: RabbitMQ takes most of the time."""
    servers = [server for server in (node, cluster) if server is not None]
    for server in servers:
        stack.callback(server.stop)
    with ThreadPoolExecutor(len(servers) or 1) as pool:
        starting = [pool.submit(server.start) for server in servers]
        try:
            for started in starting:
                started.result()
        except BaseException:
            # Ctrl-C as well: leaving the pool would wait until the others have started
            for server in servers:
                server.stop()
            raise
