"""Servers in containers, where a Docker engine answers (a client alone is not enough)."""

import os
import shutil
import subprocess
from contextlib import ExitStack

RABBITMQ_IMAGE = "rabbitmq:4"
POSTGRES_IMAGE = "postgres:17"


def engine_answers() -> bool:
    """Ask the engine, not the client; half a second is plenty on one machine."""
    if shutil.which("docker") is None and "DOCKER_HOST" not in os.environ:
        return False
    try:
        result = subprocess.run(
            ["docker", "info", "--format", "{{.ServerVersion}}"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return result.returncode == 0 and bool(result.stdout.strip())


def rabbitmq(stack: ExitStack) -> str:
    """Start RabbitMQ in a container that ends with the stack; return its address."""
    from testcontainers.rabbitmq import RabbitMqContainer  # optional dependency, slow to import

    container = stack.enter_context(RabbitMqContainer(RABBITMQ_IMAGE))
    return f"amqp://guest:guest@{container.get_container_host_ip()}:{container.get_exposed_port(5672)}/"


def postgres(stack: ExitStack) -> str:
    """Start Postgres in a container that ends with the stack; return its address."""
    from testcontainers.postgres import PostgresContainer  # optional dependency, slow to import

    container = stack.enter_context(PostgresContainer(POSTGRES_IMAGE, driver=None))
    url: str = container.get_connection_url()
    return url
