"""``status``: the operations room of a running worker, once and again and again."""

import asyncio
import json
import os
import signal
import sys
from typing import Any

import pytest
from e2e_kit import Launch
from harness import WORKSPACE, Harness, environment
from support import eventually
from test_cli import call
from test_push_walk import CREATED, SYNCED, linked

from worker.runtime import pulse
from worker.sandbox import Sandbox


@pytest.fixture
def env(amqp_url: str, migrated_database_url: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setattr(pulse, "BEAT_S", 0.1)
    return environment(amqp_url, migrated_database_url, sandbox)


async def look(env: dict[str, str]) -> Any:
    ended = await call(env, "status", "--json")
    assert ended.code == 0, ended.err
    return ended.json


async def test_a_working_worker_is_seen_with_what_it_did(env: dict[str, str], running: Harness) -> None:
    request = await linked(running)
    await running.request(CREATED, {"invoice": request}, SYNCED)
    await running.refresh("product", external_number="none")

    async def sampled() -> Any:
        return await running.value("select count(*) from economic.work_samples") == 2

    await eventually(sampled)
    seen = await look(env)
    (worker,) = seen["workers"]
    assert (worker["state"], worker["pid"], worker["consumers"]) == (
        "running", os.getpid(), {"work": True, "bulk": True, "solo": True},
    )  # fmt: skip
    assert worker["budgets"][str(running.agreement.number)] > 0.5
    assert [(lane["lane"], lane["unfinished"]) for lane in seen["lanes"]] == [("work", 0), ("bulk", 0), ("solo", 0)]
    work = {each["event_type"]: each for each in seen["work"]}
    assert (work[CREATED]["ended"], work[CREATED]["dead"]) == (1, 0)
    assert 0 < work[CREATED]["p50_s"] <= work[CREATED]["p99_s"] < 5
    assert work["pike.refresh.requested"]["dead"] == 1
    told = [each["told"] for each in seen["concerns"]]
    assert told == ["The zero-loss proof has never run.", "1 dead letter."]
    screen = await call(env, "status")
    assert screen.code == 0
    for part in ("1 dead letter.", CREATED, WORKSPACE, "work", "Zero-loss proof: never run"):
        assert part in screen.out


async def test_a_worker_that_stopped_in_order_is_not_missed_but_none_is(env: dict[str, str], launch: Launch) -> None:
    async with launch() as running:
        await running.connect()
        assert (await look(env))["workers"]
    seen = await look(env)
    assert seen["workers"] == []
    assert seen["concerns"][0]["told"] == "No worker runs."


async def test_what_holds_a_workspace_is_named(env: dict[str, str], running: Harness) -> None:
    running.agreement.revoke()
    await running.publish("pike.refresh.requested", {"entity": "customer", "external_number": "1"})
    await eventually(lambda: running.value("select count(*) from economic.inbox where state = 'parked'"))
    (held,) = (await look(env))["held_workspaces"]
    assert (held["workspace_id"], held["because"], held["waiting"]) == (WORKSPACE, "revoked", 1)
    assert held["problem"]


async def test_watching_goes_on_until_it_is_interrupted(env: dict[str, str], running: Harness) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "worker", "status", "--watch", "--every", "0.2", "--json",
        env={"PATH": os.environ["PATH"], **env}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    async with asyncio.timeout(30):
        first, second = [json.loads(await process.stdout.readline()) for _ in range(2)]
        assert first["at"] < second["at"]
        process.send_signal(signal.SIGINT)
        _, errors = await process.communicate()
    assert process.returncode == 130
    assert b"Traceback" not in errors


async def test_a_bug_in_the_heartbeat_does_not_end_the_work(
    env: dict[str, str], launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats = 0

    async def broken(*_: object) -> None:
        nonlocal beats
        beats += 1
        raise ValueError("a bug")

    monkeypatch.setattr("worker.store.operations.beat", broken)
    async with launch() as running:
        await running.connect()
        await eventually(lambda: beats >= 3)
        await running.refresh("product", external_number="none")
        # a refresh may be through before the last lane is consumed
        await eventually(lambda: all(running.worker.broker.consumers_attached.values()))
