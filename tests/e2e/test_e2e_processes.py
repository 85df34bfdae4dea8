"""``run --processes N``: several workers on one machine, kept running, ended together."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from harness import Harness, environment
from support import eventually
from test_cli import env  # noqa: F401  # a fixture

from worker.sandbox import Sandbox
from worker.settings import PREFIX


@asynccontextmanager
async def supervised(env: dict[str, str], count: int) -> AsyncIterator[asyncio.subprocess.Process]:  # noqa: F811
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "worker", "run", "--processes", str(count),
        env={"PATH": os.environ["PATH"], **env}, stderr=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await asyncio.wait_for(process.wait(), 40)


async def pids(running: Harness) -> set[int]:
    """Workers that beat and have consumers, without the test's own."""
    rows = await running.rows(
        "select pid from economic.workers where state = 'running' and pid <> $1 and consumers ->> 'work' = 'true'",
        os.getpid(),
    )
    return {row["pid"] for row in rows}


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_worker_that_is_killed_is_replaced_and_a_stop_ends_all(
    running: Harness,
    env: dict[str, str],  # noqa: F811
    sandbox: Sandbox,
) -> None:
    await running.worker.broker.pause()  # all the work is for the supervised
    product = next(p for p in sandbox.agreements[0].products if not p.barred)

    async def refreshed() -> Any:
        return await running.refresh("product", external_number=product.number)

    async with supervised(env, 2) as parent:

        async def two() -> set[int] | None:
            found = {pid for pid in await pids(running) if alive(pid)}
            return found if len(found) == 2 else None

        first = await eventually(two, timeout_s=30, every_s=0.2, message="two workers")
        assert first is not None
        assert (await refreshed()).type == "economic.refresh.completed"
        victim = min(first)
        os.kill(victim, signal.SIGKILL)

        async def replaced() -> set[int] | None:
            found = await two()
            return found if found and victim not in found else None

        second = await eventually(replaced, timeout_s=30, every_s=0.2, message="the killed one replaced")
        assert second is not None
        assert len(second & first) == 1, "the other one went on"
        assert (await refreshed()).type == "economic.refresh.completed"
        parent.terminate()
        assert await asyncio.wait_for(parent.wait(), 30) == 0
        assert not [pid for pid in second if alive(pid)]


async def test_wrong_settings_end_the_supervisor_with_the_workers_sentence(
    amqp_url: str, migrated_database_url: str, sandbox: Sandbox
) -> None:
    values = environment("amqp://guest:guest@127.0.0.1:1/", migrated_database_url, sandbox)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "worker", "run", "--processes", "2",
        env={"PATH": os.environ["PATH"], **values}, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 2
    assert b"RabbitMQ at 127.0.0.1:1" in err
    assert PREFIX.encode() not in err or b"Traceback" not in err
