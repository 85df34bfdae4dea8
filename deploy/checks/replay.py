"""Builds the image without an engine and runs it as an orchestrator would: unprivileged, read-only root, process 1.

What this cannot show: the base image itself (this machine's own /usr stands in for it), layers, and the engine's own
network, limits and seccomp profile.
"""

import base64
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.checks.dockerfile import Context
from deploy.checks.image import Image, build
from worker.servers import provide
from worker.servers.process import free_port
from worker.settings import PREFIX

DEPLOY = Path(__file__).resolve().parents[1]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
STARTED_WITHIN_S = 60.0
ENDED_WITHIN_S = 20.0


class NotSo(Exception):
    """The image does not do what it must."""


@dataclass(frozen=True)
class Container:
    """The image with settings, run like a container."""

    image: Image
    environment: dict[str, str]

    def command(self, words: Sequence[str]) -> list[str]:
        """Return what runs these words in the image."""
        return self.image.room.command(words, workdir="/", user=self.image.user, read_only=True)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run words to their end in the image."""
        environment = {**self.image.environment, "HOME": "/", **self.environment}
        return subprocess.run(
            self.command(words), env=environment, capture_output=True, text=True, check=False, timeout=120
        )

    @contextmanager
    def running(self) -> Iterator[tuple[subprocess.Popen[str], int]]:
        """Run the image's own command while the block runs; yields it, and the worker's process id outside."""
        environment = {**self.image.environment, "HOME": "/", **self.environment}
        words = [*self.image.entrypoint, *self.image.command]
        process = subprocess.Popen(
            self.command(words), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        with process:
            try:
                yield process, _child_of(process)
            finally:
                process.kill()


def _child_of(process: "subprocess.Popen[str]") -> int:
    file = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + 10
    while not (children := file.read_text().split()):
        if time.monotonic() > deadline or process.poll() is not None:
            raise NotSo("the room did not open")
        time.sleep(0.01)
    return int(children[0])


def _last_words(ended: "subprocess.Popen[str]") -> str:
    return ended.stderr.read()[-2000:] if ended.stderr else ""


def replay() -> list[str]:
    """Return what was seen, a sentence each. Raises ``NotSo`` and ``NotUnderstood``."""
    context = Context.read(DEPLOY.parent, DEPLOY / "Dockerfile.dockerignore")
    with tempfile.TemporaryDirectory(prefix="pike-image-") as name:
        began = time.monotonic()
        image = build(DEPLOY / "Dockerfile", context, Path(name), {"COMMIT": COMMIT})
        seen = [f"built in {time.monotonic() - began:.0f} s, {_size(image) / 1e6:.0f} MB on top of the base"]
        return [*seen, *_alone(image), *_with_servers(image)]


def _size(image: Image) -> int:
    return sum(file.stat().st_size for file in (image.room.root / "opt").rglob("*") if not file.is_symlink())


def _must(true: bool, what: str) -> None:
    if not true:
        raise NotSo(what)


def _alone(image: Image) -> list[str]:
    container = Container(image, {})
    told = container.run(*image.entrypoint, "--version")
    _must(COMMIT in told.stdout, f"--version must name the commit, says: {told.stdout}{told.stderr}")
    told = container.run(*image.entrypoint, "--help")
    _must(told.returncode == 0 and "migrate" in told.stdout, f"--help failed: {told.stderr}")
    told = container.run("python", "-m", "pip", "--version")
    _must("No module named pip" in told.stderr, "pip is in the image")
    told = container.run("python", "-c", "open('/opt/pike-economic/mark', 'w')")
    _must("Read-only file system" in told.stderr, f"the image can be written to: {told.stderr}")
    told = container.run(*image.entrypoint, *image.command)
    _must(told.returncode == 2 and "missing in the environment" in told.stderr, f"without settings: {told.stderr}")
    return [
        f"as user {image.user}, root read-only: --help, --version with the commit, no pip in the image",
        "without settings it ends with code 2 and names what is missing",
    ]


def _with_servers(image: Image) -> list[str]:
    with provide(announce=lambda _: None) as servers, tempfile.TemporaryDirectory(prefix="pike-secrets-") as name:
        secrets = Path(name)
        key = "replay:" + base64.b64encode(os.urandom(32)).decode()
        port = str(free_port())
        values = {
            "AMQP_URL": servers.amqp_url,
            "DATABASE_URL": servers.database_url,
            "APP_SECRET_TOKEN": "replay",
            "ENCRYPTION_KEYS": key,
            "HTTP_PORT": port,
        }
        container = Container(image, {PREFIX + name: value for name, value in values.items()})
        secrets.chmod(0o755)
        told = container.run(*image.entrypoint, "migrate")
        _must(told.returncode == 0, f"migrate failed: {told.stderr}")
        return ["migrate: exit code 0", *_run_and_stop(container)]


def _run_and_stop(container: Container) -> list[str]:
    image = container.image
    began = time.monotonic()
    with container.running() as (process, pid):
        while (told := container.run(*image.healthcheck)).returncode:
            if process.poll() is not None:
                raise NotSo(f"the worker ended: {_last_words(process)}")
            _must(time.monotonic() - began < STARTED_WITHIN_S, f"never healthy: {told.stdout}{told.stderr}")
            time.sleep(0.2)
        healthy = time.monotonic() - began
        ready = container.run(*image.healthcheck[:-1], "ready")
        _must(ready.returncode == 0, f"live, but not ready: {ready.stdout}")
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
        status = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
        first, memory = status["NSpid"][-1], int(status["VmRSS"][0]) / 1024
        _must(first == "1", f"the worker is process {first} of its container, and gets no signals")
        asked = time.monotonic()
        os.kill(pid, signal.Signals[image.stopsignal])
        try:
            code = process.wait(ENDED_WITHIN_S)
        except subprocess.TimeoutExpired:
            raise NotSo(f"did not end within {ENDED_WITHIN_S:g} s of {image.stopsignal}") from None
        if code != 0:
            raise NotSo(f"ended with code {code}: {_last_words(process)}")
        ended = time.monotonic() - asked
    return [
        f"run: healthy after {healthy:.1f} s as process 1, ready, {memory:.0f} MB of memory when idle",
        f"{image.stopsignal} to process 1: exit code 0 after {ended:.1f} s",
    ]
