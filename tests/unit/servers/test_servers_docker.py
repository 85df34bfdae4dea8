"""Servers in containers, against an engine that is a listener of this test: which are made, waited for and removed."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# Beside this file, whose folder pytest puts on the path
from servers_engine import Engine, engine
from testcontainers.core.config import ConnectionMode, testcontainers_config
from testcontainers.core.container import Reaper

from worker.servers import PrivateRabbitMQ, ServersUnavailable, provide

DATABASE = "postgresql://somebody@192.0.2.1/pike"


@pytest.fixture
def docker_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """An engine that answers, and a client that says so; no package can be installed."""
    monkeypatch.delenv("PIKE_ECONOMIC_TEST_AMQP_URL", raising=False)
    monkeypatch.delenv("PIKE_ECONOMIC_TEST_DATABASE_URL", raising=False)
    monkeypatch.setattr(testcontainers_config, "connection_mode_override", ConnectionMode.docker_host)
    client = tmp_path / "docker"
    client.write_text("#!/bin/sh\necho 27.1.0\n")
    client.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(PrivateRabbitMQ, "installed", staticmethod(lambda: False))
    with engine() as made:
        monkeypatch.setenv("DOCKER_HOST", made.url)
        yield made
        Reaper.delete_instance()


def test_both_servers_run_in_containers_that_end_with_the_use(docker_engine: Engine) -> None:
    with provide() as servers:
        (rabbitmq,), (postgres,) = docker_engine.of("rabbitmq"), docker_engine.of("postgres")
        assert (rabbitmq.image, postgres.image) == ("rabbitmq:4", "postgres:17")
        (password,) = [entry.removeprefix("POSTGRES_PASSWORD=") for entry in postgres.environment]
        assert servers.how == "docker"
        assert servers.amqp_url == f"amqp://guest:guest@127.0.0.1:{rabbitmq.port}/"
        assert servers.database_url == f"postgresql://postgres:{password}@127.0.0.1:{postgres.port}/postgres"
        assert (rabbitmq.status, postgres.status) == ("running", "running")
    assert (rabbitmq.status, postgres.status) == ("removed", "removed")


def test_only_the_server_without_an_address_runs_in_a_container(docker_engine: Engine) -> None:
    with provide(database_url=DATABASE) as servers:
        assert servers.database_url == DATABASE
        assert servers.amqp_url.startswith("amqp://guest:guest@127.0.0.1:")
        assert docker_engine.of("postgres") == []


@pytest.mark.parametrize("trouble", ["failing", "without"])
def test_containers_that_cannot_be_had_are_removed_and_private_servers_tried(
    docker_engine: Engine, trouble: str
) -> None:
    getattr(docker_engine, trouble).add("postgres")
    said: list[str] = []
    with pytest.raises(ServersUnavailable, match="rabbitmq-server"), provide(announce=said.append):
        pass
    assert [container.status for kind in ("rabbitmq", "postgres") for container in docker_engine.of(kind)] in (
        ["removed"],
        ["removed", "removed"],
    )
    expected = {
        "failing": "Postgres in its container ended; its log ends with:\ninitdb",
        "without": "no way to the registry",
    }
    assert said[0] == "starting RabbitMQ and Postgres in containers"
    assert expected[trouble] in said[1]


def test_without_the_library_for_containers_private_servers_are_tried(
    docker_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "testcontainers.core.container", None)
    said: list[str] = []
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ServersUnavailable, match="rabbitmq-server"), provide(announce=said.append):
        pass
    assert "testcontainers" in said[1]
    assert docker_engine.containers == []
