"""Servers in containers, where a Docker engine answers (a client alone is not enough)."""

import secrets
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.servers.probes import speaks_amqp, speaks_postgres
from worker.servers.process import ServersUnavailable
from worker.servers.rabbitmq import UNBOUND

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

RABBITMQ_IMAGE = "rabbitmq:4"
_RABBITMQ = {"RABBITMQ_SCHEDULER_BIND_TYPE": UNBOUND}
POSTGRES_IMAGE = "postgres:17"
ENGINE_TIMEOUT_S = 5.0
START_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class _Running:
    """A container that was started, and how to see that its server answers."""

    name: str
    container: "DockerContainer"
    host: str
    port: int
    answers: Callable[[str, int], bool]


def engine_answers() -> bool:
    """Ask the engine, not the client. An engine that takes longer than ``ENGINE_TIMEOUT_S`` is none."""
    if shutil.which("docker") is None:
        return False
    try:
        result = subprocess.run(
            ["docker", "info", "--format", "{{.ServerVersion}}"],
            capture_output=True,
            text=True,
            timeout=ENGINE_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return result.returncode == 0 and bool(result.stdout.strip())


def start(stack: ExitStack, *, rabbitmq: bool, postgres: bool) -> tuple[str, str]:
    """Start the wanted servers in containers that end with the stack.

    Returns the addresses of RabbitMQ and Postgres, empty for one that is not wanted. Both boot at the same time; only
    downloading their images is one after the other. Raises ``ServersUnavailable`` whatever went wrong.
    """
    amqp_url = database_url = ""
    started = []
    try:
        if rabbitmq:
            node = _start("RabbitMQ", RABBITMQ_IMAGE, _RABBITMQ, 5672, speaks_amqp, stack)
            amqp_url = f"amqp://guest:guest@{node.host}:{node.port}/"
            started.append(node)
        if postgres:
            password = secrets.token_hex(16)
            environment = {"POSTGRES_PASSWORD": password}
            cluster = _start("Postgres", POSTGRES_IMAGE, environment, 5432, speaks_postgres, stack)
            database_url = f"postgresql://postgres:{password}@{cluster.host}:{cluster.port}/postgres"
            started.append(cluster)
        for running in started:
            _wait_for(running)
    except ServersUnavailable:
        raise
    except Exception as exc:  # testcontainers, docker and requests each have trees of errors, without a common root
        raise ServersUnavailable(f"no containers: {type(exc).__name__}: {' '.join(str(exc).split())[:300]}") from exc
    return amqp_url, database_url


def _start(
    name: str,
    image: str,
    environment: dict[str, str],
    port: int,
    answers: Callable[[str, int], bool],
    stack: ExitStack,
) -> _Running:
    # The plain container: testcontainers' own RabbitMQ class needs another client library, and both its server classes
    # warn that they move.
    from testcontainers.core.container import DockerContainer  # optional dependency, slow to import

    container = DockerContainer(image).with_exposed_ports(port).with_envs(**environment)
    stack.enter_context(container)
    return _Running(name, container, container.get_container_host_ip(), container.get_exposed_port(port), answers)


def _wait_for(running: _Running) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not running.answers(running.host, running.port):
        running.container.reload()
        ended = running.container.status == "exited"
        if ended or time.monotonic() > deadline:
            how = "ended" if ended else f"did not answer within {START_TIMEOUT_S:g} s"
            tail = b"".join(running.container.get_logs()).decode(errors="replace").splitlines()[-15:]
            raise ServersUnavailable("\n".join([f"{running.name} in its container {how}; its log ends with:", *tail]))
        time.sleep(0.1)
