"""Which servers to use: addresses given, a Docker engine, private nodes of the installed packages, in this order."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal

from worker.servers import docker
from worker.servers.install import install
from worker.servers.postgres import PrivatePostgres
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
    announce: Callable[[str], None] = lambda _message: None,
    durable: bool = False,
) -> Iterator[Servers]:
    """Yield running servers and stop what was started, also after Ctrl-C. Raises ``ServersUnavailable``."""
    amqp_url = amqp_url or os.environ.get(AMQP_VARIABLE)
    database_url = database_url or os.environ.get(DATABASE_VARIABLE)
    if amqp_url and database_url:
        yield Servers(amqp_url, database_url, "given")
        return
    with ExitStack() as stack:
        if docker.engine_answers():
            announce("starting RabbitMQ and Postgres in containers")
            yield Servers(amqp_url or docker.rabbitmq(stack), database_url or docker.postgres(stack), "docker")
            return
        _install_missing(amqp_url, database_url, announce)
        announce("starting a private RabbitMQ and Postgres")
        node = None if amqp_url else PrivateRabbitMQ()
        cluster = None if database_url else PrivatePostgres(durable=durable)
        _start(stack, node, cluster)
        yield Servers(
            amqp_url or (node.amqp_url if node else ""),
            database_url or (cluster.database_url if cluster else ""),
            "private",
            node,
            cluster,
        )


def _install_missing(amqp_url: str | None, database_url: str | None, announce: Callable[[str], None]) -> None:
    missing = []
    if not amqp_url and not PrivateRabbitMQ.installed():
        missing.append("rabbitmq-server")
    if not database_url and PrivatePostgres.binaries() is None:
        missing.append("postgresql")
    if missing:
        install(missing, announce)


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
