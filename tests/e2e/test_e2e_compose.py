"""What the compose file says, done without an engine: its secrets, environments, commands and health checks."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import eventually
from test_cli import call

from worker.servers.process import free_port

DEPLOY = Path(__file__).parents[2] / "deploy"
SERVICES = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())["services"]
IN_THE_IMAGE = {"/opt/pike-economic/bin/python": sys.executable, "/opt/pike-economic/": f"{DEPLOY}/"}


class Composed:
    """The compose file's own services on this machine: other ports, other places, nothing else changed."""

    def __init__(self, folder: Path, amqp_url: str, database_url: str) -> None:
        self._replaced = {"/run/secrets/": f"{folder}/", **IN_THE_IMAGE}
        self._replaced |= {":8080": f":{(worker := free_port())}", "8090": str(free_port())}
        self._port = worker
        (folder / "amqp_url").write_text(amqp_url)
        (folder / "database_url").write_text(database_url)

    def here(self, value: Any) -> str:
        """Say a value of the file in terms of this machine."""
        text = str(value)
        for inside, outside in self._replaced.items():
            text = text.replace(inside, outside)
        return text

    def environment(self, service: str) -> dict[str, str]:
        """Return what the service is given, and the port that its own network would have kept free."""
        given = {name: self.here(value) for name, value in SERVICES[service].get("environment", {}).items()}
        return {**given, "PIKE_ECONOMIC_HTTP_PORT": str(self._port), "PATH": os.environ["PATH"]}

    async def healthy(self, service: str) -> bool:
        """Run the service's health check."""
        _, *words = (self.here(word) for word in SERVICES[service]["healthcheck"]["test"])
        process = await asyncio.create_subprocess_exec(
            *words, env=self.environment("worker"), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        return await process.wait() == 0

    @asynccontextmanager
    async def started(self, service: str, *command: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """Keep the service running while the block runs."""
        words = command or [self.here(word) for word in SERVICES[service]["command"]]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "worker", *words, env=self.environment(service),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            await eventually(lambda: self.healthy(service), timeout_s=60, every_s=0.3, message=f"{service} is healthy")
            yield process
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            await asyncio.wait_for(process.wait(), 40)


@pytest.fixture
async def composed(tmp_path: Path, amqp_url: str, database_url: str) -> Composed:
    folder = tmp_path / "secrets"
    made = await asyncio.create_subprocess_exec(
        "sh", str(DEPLOY / "compose" / "secrets.sh"), str(folder), stdout=asyncio.subprocess.DEVNULL
    )
    assert await made.wait() == 0
    return Composed(folder, amqp_url, database_url)


async def run(composed: Composed, *words: str, stdin: bytes = b"") -> str:
    environment: Mapping[str, str] = composed.environment("worker")
    ended = await call(environment, *words, stdin=stdin)
    assert ended.code == 0, ended.err
    return ended.out


async def test_the_services_of_the_compose_file_work_together(composed: Composed) -> None:
    assert "Applied 0001" in await run(composed, *SERVICES["migrate"]["command"])
    async with composed.started("worker", "run") as worker, composed.started("sandbox") as sandbox:
        assert sandbox.stdout is not None
        printed = [(await sandbox.stdout.readline()).decode() for _ in range(6)]
        said = dict(line.strip().split("=", 1) for line in printed if line.startswith("PIKE_ECONOMIC_"))
        assert len(said) == 5
        assert said.items() <= composed.environment("worker").items()  # links in its answers are followed only if so
        (token,) = re.findall(r"grant token (\S+)", "".join(printed))
        # As deploy/README.md says: the token that the sandbox names, into the worker's own container
        await run(composed, "connect", "--workspace", "acme", "--grant-token", "-", stdin=token.encode())
        assert "products" in await run(composed, "import", "--workspace", "acme", "products")
        await run(composed, "doctor")
        worker.terminate()
        assert await asyncio.wait_for(worker.wait(), 30) == 0
