"""Which servers are used, and what is said when none can be had. Nothing is started here."""

import asyncio
import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support import eventually

from worker.servers import PrivatePostgres, PrivateRabbitMQ, ServersUnavailable, docker, provide
from worker.servers import provide as provide_function
from worker.servers.process import Folder, free_port

AMQP = "amqp://somebody@192.0.2.1/"
DATABASE = "postgresql://somebody@192.0.2.1/pike"


@pytest.fixture
def no_server_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIKE_ECONOMIC_TEST_AMQP_URL", raising=False)
    monkeypatch.delenv("PIKE_ECONOMIC_TEST_DATABASE_URL", raising=False)
    monkeypatch.delenv("DOCKER_HOST", raising=False)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH of its own, which is empty at first."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def put_command(folder: Path, name: str, script: str) -> None:
    command = folder / name
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)


@pytest.mark.usefixtures("no_server_given", "path")
def test_given_addresses_are_used_as_they_are() -> None:
    with provide(amqp_url=AMQP, database_url=DATABASE) as servers:
        assert (servers.amqp_url, servers.database_url, servers.how) == (AMQP, DATABASE, "given")
        assert servers.rabbitmq is None
        assert servers.postgres is None


@pytest.mark.usefixtures("path")
def test_addresses_of_the_environment_are_used_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIKE_ECONOMIC_TEST_AMQP_URL", AMQP)
    monkeypatch.setenv("PIKE_ECONOMIC_TEST_DATABASE_URL", DATABASE)
    with provide() as servers:
        assert (servers.amqp_url, servers.database_url, servers.how) == (AMQP, DATABASE, "given")


@pytest.mark.usefixtures("no_server_given")
def test_a_docker_client_without_an_engine_is_no_docker(path: Path) -> None:
    put_command(path, "docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    assert not docker.engine_answers()


@pytest.mark.usefixtures("no_server_given")
def test_a_docker_client_that_prints_no_engine_version_is_no_docker(path: Path) -> None:
    put_command(path, "docker", "echo; exit 0")
    assert not docker.engine_answers()


@pytest.mark.usefixtures("no_server_given", "path")
def test_no_docker_client_is_no_docker() -> None:
    assert not docker.engine_answers()


@pytest.mark.usefixtures("no_server_given", "path")
@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"rabbitmq": False, "database_url": DATABASE}, ("", DATABASE)),
        ({"postgres": False, "amqp_url": AMQP}, (AMQP, "")),
    ],
    ids=["postgres alone", "rabbitmq alone"],
)
def test_a_server_that_is_not_wanted_is_not_provided(wanted: dict[str, Any], expected: tuple[str, str]) -> None:
    with provide(**wanted) as servers:
        assert (servers.amqp_url, servers.database_url) == expected


@pytest.mark.usefixtures("no_server_given")
def test_an_ordinary_user_without_the_packages_is_told_the_exact_command(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_command(path, "apt-get", "exit 0")
    monkeypatch.setattr(PrivateRabbitMQ, "installed", staticmethod(lambda: False))
    monkeypatch.setattr(PrivatePostgres, "binaries", staticmethod(lambda: None))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ServersUnavailable) as refused, provide():
        pass
    assert str(refused.value) == (
        "not installed: rabbitmq-server and postgresql. Type: sudo sh -c "
        "'apt-get update && apt-get install -y --no-install-recommends rabbitmq-server postgresql'"
    )


@pytest.mark.usefixtures("no_server_given", "path")
def test_without_apt_get_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PrivateRabbitMQ, "installed", staticmethod(lambda: False))
    with pytest.raises(ServersUnavailable, match="PIKE_ECONOMIC_TEST_AMQP_URL"), provide(database_url=DATABASE):
        pass


def test_a_free_port_can_be_bound_and_lies_below_the_ephemeral_range() -> None:
    port = free_port()
    assert 20_000 <= port <= 32_000
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_no_port_is_given_out_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    first = free_port() - 20_000
    numbers = iter([first, first, (first + 1) % 12_000, *range(12_000)])
    monkeypatch.setattr("secrets.randbelow", lambda _below: next(numbers))
    assert free_port() != first + 20_000


def test_no_free_port_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr("secrets.randbelow", lambda _below: taken.getsockname()[1] - 20_000)
        with pytest.raises(ServersUnavailable, match="no free port"):
            free_port()


def test_removing_a_folder_kills_the_groups_it_watches() -> None:
    folder = Folder("pike-test")
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as sleeper:
        folder.watch(sleeper.pid)
        folder.remove()
        assert sleeper.wait(10) != 0
    assert not folder.path.exists()


async def test_a_killed_parent_leaves_neither_process_nor_folder() -> None:
    script = (
        "import os, signal, subprocess; from worker.servers.process import Folder\n"
        "folder = Folder('pike-test'); child = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        "folder.watch(child.pid); print(child.pid, folder.path, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    told = (await parent.communicate())[0].decode()
    pid, folder = told.split()
    await eventually(lambda: not Path(f"/proc/{pid}").exists(), message=f"process {pid} is gone")
    await eventually(lambda: not Path(folder).exists(), message=f"{folder} is gone")


def test_the_first_server_that_fails_to_start_takes_the_other_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []

    class Fails:
        def start(self) -> None:
            raise ServersUnavailable("no room")

        def stop(self) -> None:
            ended.append("fails")

    class Waits:
        def start(self) -> None:
            pass

        def stop(self) -> None:
            ended.append("waits")

    module = sys.modules[provide_function.__module__]
    with pytest.raises(ServersUnavailable, match="no room"), ExitStack() as stack:
        module._start(stack, Waits(), Fails())
    assert set(ended) == {"fails", "waits"}
