"""Whatever is wrong around a worker: ``doctor`` says what and what to do, and so does a start that must not happen."""

import base64
import json
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import aio_pika
import asyncpg
import pytest
from harness import WORKSPACE, Harness, environment
from support import Databases
from test_cli import Ended, call

from worker.bootstrap import worker
from worker.broker.topology import LANE_QUEUES
from worker.cli import doctor
from worker.clock import SystemClock
from worker.errors import SchemaMismatch
from worker.runtime import surroundings
from worker.sandbox import Sandbox
from worker.settings import PREFIX, load
from worker.store import migrate
from worker.supported import POSTGRES, PYTHON, RABBITMQ, Supported

Env = dict[str, str]
NEWEST = len(migrate.load())
SECRET = base64.b64encode(b"x" * 32).decode()


@pytest.fixture
def migrated_database_url(databases: Databases) -> Iterator[str]:
    """A database of the test's own, since it is spoiled."""
    url = databases.create(migrated=True)
    yield url
    databases.drop(url)


@pytest.fixture
def env(amqp_url: str, migrated_database_url: str, sandbox: Sandbox) -> Env:
    return environment(amqp_url, migrated_database_url, sandbox)


async def bad(env: Env) -> dict[str, dict[str, Any]]:
    """Return what doctor finds wrong, by name; each with a remedy."""
    seen = await call(env, "doctor", "--json")
    found = {check["name"]: check for check in seen.json["checks"] if not check["ok"]}
    assert (seen.code, seen.json["ok"]) == (1 if found else 0, not found)
    assert all(check["remedy"] for check in found.values())
    return found


async def refused_start(env: Env) -> str:
    """Return the sentence with which a worker does not start."""
    ended: Ended = await call(env, "run")
    assert ended.code == 2, ended.err
    assert "Traceback" not in ended.err
    return ended.err


@asynccontextmanager
async def sql(env: Env) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(env[PREFIX + "DATABASE_URL"])
    try:
        yield connection
    finally:
        await connection.close()


async def in_process(env: Env, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Run doctor in this process, where its surroundings can be told otherwise."""
    monkeypatch.setattr(doctor, "with_settings", lambda: load(env))  # leaves this process's logging alone
    capsys.readouterr()
    await doctor.doctor(True)
    seen = json.loads(capsys.readouterr().out.splitlines()[-1])
    return {check["name"]: check for check in seen["checks"] if not check["ok"]}


async def test_all_is_well_and_says_what_was_looked_at(running: Harness, env: Env) -> None:
    seen = await call(env, "doctor", "--json")
    assert seen.json["ok"], seen.out
    names = {check["name"] for check in seen.json["checks"]}
    assert names >= {
        "settings", "encryption keys", "encryption key 'test'", "python", "postgres", "rabbitmq", "database",
        "database role", "clock", "workers", "broker", "queue pike-economic.work",
        f"e-conomic for workspace {WORKSPACE}",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("supported", "old", "fine", "new"),
    [
        (POSTGRES, "13.16", ["14.0", "15.14 (Debian 15.14-0+deb12u1)", "18beta1", "18.3"], "19.1"),
        (RABBITMQ, "3.9.29", ["3.10.8", "3.13.7", "4.0.5", "4.2.1"], "5.0.0"),
        (PYTHON, "3.10.4", ["3.11.2", "3.13.0", "3.14.0rc2"], "3.15.0"),
    ],
)
def test_versions_are_told_apart(supported: Supported, old: str, fine: list[str], new: str) -> None:
    assert [supported.complaint(version) for version in fine] == [None] * len(fine)
    for version, what in ((old, "too old"), (new, "newer than"), ("unknown", "does not say")):
        complaint = supported.complaint(version)
        assert complaint is not None
        assert what in complaint[0]
        assert supported.told in complaint[1]
    assert (supported.too_old(old), supported.too_old(new)) == (True, False)


@pytest.mark.parametrize(("name", "constant"), [("postgres", "POSTGRES"), ("rabbitmq", "RABBITMQ")])
async def test_a_server_that_is_too_old_stops_the_start(
    env: Env, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, constant: str
) -> None:
    old = replace(getattr(surroundings, constant), first=(98, 0), last=(99,))
    monkeypatch.setattr(surroundings, constant, old)
    found = await in_process(env, monkeypatch, capsys)
    assert "is too old" in found[name]["detail"]
    assert found[name]["remedy"] == f"Use {old.what} 98.0 – 99."
    with pytest.raises(SchemaMismatch, match=f"{old.what} .* is too old. Use {old.what} 98.0"):
        async with worker(load(env)):
            pass


async def test_a_server_that_is_newer_than_any_tried_is_named_and_does_not_stop_the_start(
    env: Env, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(surroundings, "POSTGRES", replace(POSTGRES, first=(9,), last=(10,)))
    found = await in_process(env, monkeypatch, capsys)
    assert "newer than what this version was made for" in found["postgres"]["detail"]
    async with worker(load(env)):
        assert "start.odd" in capsys.readouterr().out


async def test_a_clock_that_is_wrong_is_named(
    env: Env, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Slow(SystemClock):
        def now(self) -> datetime:
            return super().now() - timedelta(seconds=90)

    monkeypatch.setattr(doctor, "SystemClock", Slow)
    found = await in_process(env, monkeypatch, capsys)
    assert found["clock"]["detail"] == "this machine's clock is 90 s behind the database's"
    assert "NTP" in found["clock"]["remedy"]


async def test_a_migration_that_is_missing(env: Env) -> None:
    async with sql(env) as connection:
        await connection.execute(
            "delete from public.pike_economic_migrations where version = $1; ".replace("$1", str(NEWEST))
        )
    assert "pike-economic migrate" in (await bad(env))["database"]["remedy"]
    assert "type pike-economic migrate first" in await refused_start(env)


async def test_a_migrate_that_is_at_work_now(env: Env) -> None:
    async with sql(env) as connection:
        await connection.execute(f"delete from public.pike_economic_migrations where version = {NEWEST}")
        await connection.execute(f"select pg_advisory_lock({migrate._LOCK})")
        assert "is at work" in (await bad(env))["database"]["detail"]
        assert "start when it has ended" in await refused_start(env)


async def test_a_database_that_was_half_restored(env: Env) -> None:
    async with sql(env) as connection:
        await connection.execute("drop table economic.dead_letters cascade")
    detail = (await bad(env))["database"]["detail"]
    assert f"migration {NEWEST} was applied, but economic.dead_letters is not there" in detail
    assert "Restore the dump again" in await refused_start(env)


async def test_a_database_of_a_newer_version(env: Env) -> None:
    async with sql(env) as connection:
        await connection.execute(
            "insert into public.pike_economic_migrations (version, name, checksum) values (99, '0099_later.sql', 'x')"
        )
    assert "start a newer version" in (await bad(env))["database"]["detail"]
    said = await refused_start(env)
    assert f"is at migration 99, this version knows {NEWEST}: start a newer version of the worker" in said


async def test_a_migration_that_differs_from_the_one_applied(env: Env) -> None:
    async with sql(env) as connection:
        await connection.execute("update public.pike_economic_migrations set checksum = 'x' where version = 3")
    assert "start the release that applied it" in (await bad(env))["database"]["detail"]
    assert "0003_locks.sql was changed after it was applied" in await refused_start(env)


@pytest.mark.parametrize(
    ("keys", "why"),
    [(f"new:{SECRET}", "which is not in the settings"), (f"test:{SECRET}", "does not open with key 'test'")],
    ids=["lost", "altered"],
)
async def test_an_encryption_key_that_is_wrong_is_named_by_its_id(
    running: Harness, env: Env, keys: str, why: str
) -> None:
    env[PREFIX + "ENCRYPTION_KEYS"] = keys
    found = await bad(env)
    assert why in found["encryption key 'test'"]["detail"]
    assert "'test:…'" in found["encryption key 'test'"]["remedy"]
    assert f"e-conomic for workspace {WORKSPACE}" in found
    said = await refused_start(env)
    assert "one opens of" in said
    assert "sealed with key 'test'" in said
    assert SECRET not in said


async def test_one_grant_that_was_altered_stops_only_its_workspace(
    running: Harness, env: Env, sandbox: Sandbox
) -> None:
    await running.connect("ws-fine", agreement=sandbox.add_agreement(seed=9))
    async with sql(env) as connection:
        await connection.execute(
            "update economic.connections set grant_sealed = grant_sealed || '\\x00' where workspace_id = $1", WORKSPACE
        )
    found = await bad(env)
    assert set(found) == {f"e-conomic for workspace {WORKSPACE}"}
    async with worker(load(env)):
        pass


async def test_e_conomic_that_does_not_answer_is_said_for_each_agreement(
    running: Harness, env: Env, sandbox: Sandbox
) -> None:
    await running.connect("ws-two", agreement=sandbox.add_agreement(seed=9))
    env[PREFIX + "LEGACY_URL"] = "http://127.0.0.1:1"
    found = await bad(env)
    assert set(found) == {f"e-conomic for workspace {WORKSPACE}", "e-conomic for workspace ws-two"}
    async with worker(load(env)):
        pass  # it is no reason not to start: events wait


@asynccontextmanager
async def amqp(env: Env) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
    async with await aio_pika.connect(env[PREFIX + "AMQP_URL"]) as connection, connection.channel() as channel:
        yield channel


async def test_a_queue_with_other_arguments(env: Env) -> None:
    async with amqp(env) as channel:
        await channel.declare_queue("pike-economic.work", durable=True)
    detail = (await bad(env))["broker"]["detail"]
    assert "queue 'pike-economic.work'" in detail
    assert "rabbitmqctl delete_queue pike-economic.work --if-empty" in detail
    assert "cannot be changed" in await refused_start(env)


async def test_a_queue_that_was_deleted_while_no_worker_ran(env: Env) -> None:
    """A running worker declares it again by itself."""
    async with worker(load(env)) as made:
        queues = [queue.name for queue in made.broker._topology.queues]
    deleted = next(name for name in queues if name not in LANE_QUEUES.values())
    async with amqp(env) as channel:
        await channel.queue_delete(deleted)
    found = await bad(env)
    assert deleted in found["broker"]["detail"]
    assert "with the same ids" in found["broker"]["remedy"]
    assert "broker" not in await bad(env), "it was declared again"


async def test_a_role_that_row_security_applies_to(env: Env) -> None:
    role, password = f"narrow_{secrets.token_hex(4)}", secrets.token_hex(8)
    async with sql(env) as connection:
        await connection.execute(
            f"""create role {role} login password '{password}';
                grant usage on schema economic, pike, pike_reporting, public to {role};
                grant all on all tables in schema economic, pike, pike_reporting, public to {role};"""
        )
        parts = urlsplit(env[PREFIX + "DATABASE_URL"])
        mine = urlunsplit(parts._replace(netloc=f"{role}:{password}@{parts.netloc.rpartition('@')[2]}"))
        try:
            narrow = {**env, PREFIX + "DATABASE_URL": mine}
            found = await bad(narrow)
            assert "sees no workspace" in found["database role"]["detail"]
            assert "BYPASSRLS" in found["database role"]["remedy"]
            assert f"the database role '{role}' sees no workspace" in (await refused_start(narrow)).lower()
        finally:
            await connection.execute(f"drop owned by {role}; drop role {role};")


async def test_a_worker_of_another_version_beside_this_one(running: Harness, env: Env) -> None:
    async with sql(env) as connection:
        await connection.execute(
            """insert into economic.workers (id, host, pid, version, commit, state)
               values (gen_random_uuid(), 'old-host', 7, '0.0.1', '', 'running')"""
        )
    found = await bad(env)
    assert "old-host 7 (0.0.1)" in found["workers"]["detail"]
    async with worker(load(env)):
        pass
