"""A worker that is asked to stop before it is connected: process 1 of a container hears only what it listens to."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

ENVIRONMENT = {
    "PIKE_ECONOMIC_AMQP_URL": "amqp://guest:guest@127.0.0.1:1/",
    "PIKE_ECONOMIC_APP_SECRET_TOKEN": "x",
    "PIKE_ECONOMIC_ENCRYPTION_KEYS": "test:a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=",
}


@pytest.fixture
def silent_postgres() -> Iterator[socket.socket]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        yield server


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_while_connecting_ends_in_order(silent_postgres: socket.socket, sign: signal.Signals) -> None:
    url = f"postgresql://pike@127.0.0.1:{silent_postgres.getsockname()[1]}/pike"
    started = subprocess.Popen(
        [sys.executable, "-m", "worker", "run"],
        env={**os.environ, **ENVIRONMENT, "PIKE_ECONOMIC_DATABASE_URL": url},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        connection, _ = silent_postgres.accept()  # it connects, so it listens to signals already
        started.send_signal(sign)
        _, told = started.communicate(timeout=30)
        connection.close()
    finally:
        started.kill()
    assert started.returncode == 0, told
    assert "Traceback" not in told
