"""The command line as its users meet it: answers, exit codes, sentences, and no secret anywhere."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from harness import WORKSPACE, Harness, environment
from support import eventually
from test_push_walk import CREATED, FAILED, linked

from worker.sandbox import Sandbox
from worker.settings import PREFIX


@dataclass(frozen=True)
class Ended:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The answer of a command with --json."""
        return json.loads(self.out)


async def call(env: Mapping[str, str], *args: str, stdin: bytes = b"") -> Ended:
    """Run a command as a person would, in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "worker", *args,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **env},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(stdin), 60)
    return Ended(process.returncode or 0, out.decode(), err.decode())


@pytest.fixture
def env(amqp_url: str, migrated_database_url: str, sandbox: Sandbox) -> dict[str, str]:
    """The settings of a working stack."""
    return environment(amqp_url, migrated_database_url, sandbox)


def secrets_of(env: Mapping[str, str], sandbox: Sandbox) -> list[str]:
    """Return what no command may ever print."""
    return [
        sandbox.app_secret_token,
        sandbox.agreements[0].grant_token,
        env[PREFIX + "ENCRYPTION_KEYS"].partition(":")[2],
    ]


async def test_connect_import_refresh_and_status_answer_in_json_with_stable_keys(
    running: Harness, env: dict[str, str], sandbox: Sandbox
) -> None:
    again = await call(
        env,
        "connect",
        "-w",
        WORKSPACE,
        "--grant-token",
        "-",
        "--json",
        stdin=sandbox.agreements[0].grant_token.encode(),
    )
    assert again.code == 0, again.err
    assert again.json["agreement_number"] == sandbox.agreements[0].number
    imported = await call(env, "import", "-w", WORKSPACE, "products", "--json")
    assert imported.code == 0, imported.err
    assert imported.json["type"] == "economic.import.completed"
    product = next(p for p in sandbox.agreements[0].products if not p.barred)
    refreshed = await call(env, "refresh", "-w", WORKSPACE, "product", product.number, "--json")
    assert (refreshed.code, refreshed.json["type"]) == (0, "economic.refresh.completed")
    status = await call(env, "status", "--json")
    assert status.code == 0
    assert {"queues", "connections", "dead_letters", "outbox"} <= set(status.json), sorted(status.json)
    proof = await call(env, "reconcile", "--json")
    assert (proof.code, proof.json["lost"], proof.json["double"]) == (0, 0, 0)
    for ended in (again, imported, refreshed, status, proof):
        printed = ended.out + ended.err
        assert not [secret for secret in secrets_of(env, sandbox) if secret in printed]
        assert "Traceback" not in printed


async def test_dead_letters_are_listed_shown_and_discarded_by_id(running: Harness, env: dict[str, str]) -> None:
    request = await linked(running)
    running.agreement.bar_product(next(p.number for p in running.agreement.products if not p.barred))
    assert (await running.request(CREATED, {"invoice": request})).type == FAILED
    listed = await call(env, "dead", "list", "--json")
    (letter,) = listed.json
    assert set(letter) >= {"id", "type", "workspace_id", "cause", "received_at", "attempts", "problem"}
    assert (letter["type"], letter["cause"], letter["workspace_id"]) == (CREATED, "product_barred", WORKSPACE)
    shown = await call(env, "dead", "show", letter["id"])
    assert shown.code == 0
    assert letter["problem"]["remedy"].split(".")[0][:40] in " ".join(shown.out.split())
    tried = await call(env, "dead", "dry-run", letter["id"], "--json")
    assert tried.code == 1, "it would fail again"
    gone = await call(env, "dead", "discard", letter["id"], "--reason", "a test")
    assert gone.code == 0
    assert (await call(env, "dead", "list", "--json")).json == []
    again = await call(env, "dead", "discard", letter["id"], "--reason", "twice")
    assert again.code == 1
    assert "Traceback" not in again.err


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("dead", "show", "nonsense"), "nonsense"),
        (("dead", "show", str(uuid4())), "no dead letter"),
        (("dead", "replay", str(uuid4())), ""),
        (("refresh", "-w", "nobody", "customer", "1", "--timeout", "20"), "not connected"),
        (("import", "-w", "nobody", "--timeout", "20"), "not connected"),
        (("publish", "pike.invoice.created", "-w", "w", "--data", "{"), "invoice.created"),
        (("publish", "no.such.type", "-w", "w", "--data", "{}"), "no.such.type"),
        (("connect", "-w", "w", "--grant-token", "typed-on-the-command-line"), "standard input"),
    ],
)
async def test_what_cannot_be_done_is_said_in_a_sentence(
    running: Harness, env: dict[str, str], args: tuple[str, ...], told: str
) -> None:
    ended = await call(env, *args)
    assert ended.code in (1, 2)
    assert told.lower() in (ended.out + ended.err).lower()
    assert "Traceback" not in ended.err
    assert (ended.out + ended.err).strip()


@pytest.mark.requirement("F20")
async def test_missing_settings_are_named_all_at_once_with_exit_code_2() -> None:
    ended = await call({}, "status")
    assert ended.code == 2
    for name in ("AMQP_URL", "DATABASE_URL", "APP_SECRET_TOKEN", "ENCRYPTION_KEYS"):
        assert PREFIX + name in ended.err
    assert ended.err.count("\n") <= 2


@pytest.mark.parametrize("command", [("status",), ("doctor", "--json"), ("run",), ("reconcile",), ("dead", "list")])
@pytest.mark.parametrize("away", ["AMQP_URL", "DATABASE_URL"])
async def test_an_unreachable_server_is_one_sentence_without_its_password(
    env: dict[str, str], command: tuple[str, ...], away: str
) -> None:
    scheme = "amqp" if away == "AMQP_URL" else "postgresql"
    ended = await call({**env, PREFIX + away: f"{scheme}://pike:hunter2-secret@127.0.0.1:1/x"}, *command)
    needs_broker = command[0] in ("status", "doctor", "run")
    printed = ended.out + ended.err
    assert "hunter2-secret" not in printed
    assert "Traceback" not in printed
    if away == "DATABASE_URL" or needs_broker:
        assert ended.code in (1, 2)
        assert "127.0.0.1:1" in printed


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("ENCRYPTION_KEYS", "k:short", "ENCRYPTION_KEYS"),
        ("LEGACY_URL", "http://example.com", "https"),
        ("AMQP_URL", "http://x", "amqp://"),
        ("WAIT_LADDER_S", "5,1", "growing"),
        ("PREFETCH_WORK", "0", "PREFETCH_WORK"),
    ],
)
async def test_a_bad_setting_is_named_and_its_value_is_not_printed(
    env: dict[str, str], name: str, value: str, told: str
) -> None:
    ended = await call({**env, PREFIX + name: value}, "run")
    assert ended.code == 2
    assert told in ended.err
    assert "Traceback" not in ended.err


async def test_a_database_without_migrations_stops_the_start_and_says_what_to_type(
    env: dict[str, str], database_url: str
) -> None:
    ended = await call({**env, PREFIX + "DATABASE_URL": database_url}, "run")
    assert ended.code == 2
    assert "pike-economic migrate" in ended.err


@pytest.mark.requirement("B1")
async def test_a_worker_that_is_asked_to_stop_under_load_ends_soon_and_nothing_is_lost(
    env: dict[str, str], launch: Any, sandbox: Sandbox
) -> None:
    """Two hundred refreshes; SIGTERM in the middle; another worker does the rest; each has one answer."""
    # paused, it takes nothing from the queue, but from what the other sets aside; a few at a time
    async with launch(prefetch_work="2") as running:
        await running.connect()
        product = next(p for p in sandbox.agreements[0].products if not p.barred)
        sandbox.faults.latency_s = 0.5  # 20 at work: five seconds in all, however fast worker and publisher are
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "worker", "run",
            env={"PATH": os.environ["PATH"], **env, PREFIX + "LOG_LEVEL": "INFO", PREFIX + "PREFETCH_WORK": "20"},
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            assert process.stderr is not None
            async with asyncio.timeout(30):
                while b"broker.consuming" not in await process.stderr.readline():
                    pass
            reading = asyncio.create_task(process.stderr.read())
            await running.worker.broker.pause()
            sent = [
                await running.publish(
                    "pike.refresh.requested", {"entity": "product", "external_number": product.number}
                )
                for _ in range(200)
            ]
            await eventually(lambda: len({e.correlation_id for e in running.heard} & set(sent)) > 20)
            process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(process.wait(), 20)
            assert process.returncode == 0
            log = (await reading).decode()
            done_before = len({e.correlation_id for e in running.heard} & set(sent))
            assert "worker.stopped" in log
            sandbox.faults.latency_s = 0.0
            await running.worker.broker.resume()
            await eventually(lambda: {e.correlation_id for e in running.heard} >= set(sent), timeout_s=60)
            assert done_before < 200, "the signal came after the work"
            assert all(len({e.id for e in running.answers(event, "economic.refresh.completed")}) == 1 for event in sent)
            assert not [secret for secret in secrets_of(env, sandbox) if secret in log]
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()


async def test_doctor_finds_each_thing_that_is_wrong(running: Harness, env: dict[str, str], sandbox: Sandbox) -> None:
    well = await call(env, "doctor", "--json")
    assert (well.code, well.json["ok"]) == (0, True), well.out
    sandbox.agreements[0].revoke()
    ill = await call(env, "doctor", "--json")
    assert (ill.code, ill.json["ok"]) == (1, False)
    bad = [check for check in ill.json["checks"] if not check["ok"]]
    assert bad
    assert all(check["remedy"] for check in bad)
