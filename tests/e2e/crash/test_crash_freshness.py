"""Killed while a webhook is taken, while what it named is read, or while a round is begun: nothing answered is lost."""

from typing import Any

import aiohttp
import pytest
from crash_kit import CrashStage, WorkerProcess
from support import eventually

from worker.handlers.hooks.keeping import HEADER
from worker.servers.process import free_port
from worker.store import connections, hooks

NEW_NAME = "Nyt Navn ApS"
NAMED = "select name = $1 from pike.customers where external_number = '2'"
HOOK_POINTS = ("hook.before_commit", "hook.committed", "hints.read", "finish.before_commit", "finish.committed")
ROUND_POINTS = ("schedule.before_commit", "schedule.committed")


class Caller:
    """e-conomic, calling the worker that runs just now."""

    def __init__(self, stage: CrashStage) -> None:
        self._stage = stage
        self._port = free_port()

    def start(self, dies_at: str | None = None) -> WorkerProcess:
        """Start a worker that can be called. Its own hooks are not kept: only what is called here counts."""
        return self._stage.start(dies_at=dies_at, PIKE_ECONOMIC_HTTP_PORT=str(self._port))

    async def call(self) -> int | None:
        """Say that customer 2 changed; returns the status, ``None`` when there was no answer."""
        dispatcher = self._stage.harness.worker.dispatcher
        async with dispatcher.database.connection("test") as connection:
            found = (await connections.find_all(connection))[0]
            secret = await hooks.secret_of(connection, dispatcher.vault, found.id)
        url = f"http://127.0.0.1:{self._port}/webhooks/economic/{found.id}"
        headers = {HEADER: secret.get_secret_value()}
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.post(url, data=b"event=CUSTOMER_UPDATED\nold=2\nnew=2", headers=headers) as answer,
            ):
                return answer.status
        except aiohttp.ClientError:
            return None

    async def listens(self) -> None:
        """Wait until the worker answers."""

        async def answers() -> bool:
            try:
                url = f"http://127.0.0.1:{self._port}/health/live"
                async with aiohttp.ClientSession() as session, session.get(url) as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

        await eventually(answers, timeout_s=30, message="the worker answers")


async def imported(stage: CrashStage) -> None:
    """A connected workspace whose customers were imported, and nobody who works."""
    await stage.connect("draft")
    worker = stage.start()
    await stage.harness.import_all("customers")
    await stage.quiet()
    await stage.stops(worker)


@pytest.mark.requirement("B10", "B16")
@pytest.mark.parametrize("point", HOOK_POINTS)
async def test_killed_at_any_step_what_a_hook_named_is_read_once_it_was_answered(stage: CrashStage, point: str) -> None:
    await imported(stage)
    stage.harness.agreement.rename_customer(2, NEW_NAME)
    caller = Caller(stage)
    dying = caller.start(dies_at=point)
    await caller.listens()
    status = await caller.call()
    await stage.dies(dying)
    assert status in ((None,) if point.startswith("hook.") else (202, None))
    assert await _left(stage) == (point not in ("hook.before_commit", "finish.committed"))
    await stage.later()
    fresh = caller.start()
    await caller.listens()
    if point == "hook.before_commit":  # it was not answered: e-conomic calls again
        assert await caller.call() == 202
    await eventually(lambda: stage.harness.value(NAMED, NEW_NAME), timeout_s=30)
    await eventually(lambda: _all_read(stage), timeout_s=30)
    await stage.quiet()
    await stage.stops(fresh)
    audit = await stage.harness.rows("select entity from economic.audit where actor like 'hook:%'")
    assert audit == [{"entity": "customer"}]
    changed = [e for e in stage.harness.heard if e.type == "economic.records.changed" and len(e.data.ids) == 1]
    assert len({event.id for event in changed}) == 1


async def _left(stage: CrashStage) -> bool:
    return bool(await stage.harness.value("select exists (select 1 from economic.hints)"))


async def _all_read(stage: CrashStage) -> Any:
    return await stage.harness.value(
        """select not exists (select 1 from economic.hints)
           and not exists (select 1 from economic.hook_receivers where reading_id is not null)"""
    )


@pytest.mark.requirement("B10", "B16")
@pytest.mark.parametrize("point", ROUND_POINTS)
async def test_killed_while_a_round_is_begun_it_takes_place_once(stage: CrashStage, point: str) -> None:
    await imported(stage)
    stage.harness.agreement.rename_customer(2, NEW_NAME)
    await stage.harness.worker.schedule.look()  # the row of a new connection
    await stage.harness.rows("update economic.schedules set next_at = now(), sweep_at = now() + interval '1 day'")
    await stage.dies(stage.start(dies_at=point))
    await stage.later()
    fresh = stage.start()
    ended = "select count(*) from economic.imports where scheduled and state = 'completed'"
    await eventually(lambda: stage.harness.value(ended), timeout_s=45)
    await stage.quiet()
    await stage.stops(fresh)
    assert await stage.harness.value("select count(*) from economic.imports where scheduled") == 1
    assert await stage.harness.value(NAMED, NEW_NAME) is True
    assert await stage.harness.value("select run_id is null from economic.schedules") is True
