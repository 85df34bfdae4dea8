"""How long a change in e-conomic takes to be in Pike, with webhooks and without, and what keeping fresh costs.

One worker process against real servers and the local e-conomic, with a company of thousands of records. A change has
arrived when its row is in Postgres *and* ``economic.records.changed`` was heard; the later of the two counts.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import re
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus
from uuid import UUID

import asyncpg
from pydantic import SecretStr

from events.codec import decode
from tests.benchmarks.results_file import Measured, keep
from worker.bootstrap import tools
from worker.broker.following import listening
from worker.demo.stack import environment_of, start_worker, stop_worker, until_ready
from worker.handlers.connect import connect
from worker.handlers.hooks.keeping import HEADER
from worker.sandbox import Agreement, Sandbox, SeedSize
from worker.servers import Servers, provide
from worker.settings import PREFIX, load
from worker.store import migrate

WORKSPACE = "bench"
WITH_HOOKS_S, BEHIND_SCHEDULE_S, ANSWER_MS, IDLE_CALLS = 2.0, 10.0, 50.0, 12


def arguments(options: Sequence[str]) -> argparse.Namespace:
    """Read the section's options."""
    parser = argparse.ArgumentParser(prog="make bench SECTION=freshness ARGS=…", description=__doc__)
    parser.add_argument("--changes", type=int, default=100, help="changes timed with webhooks")
    parser.add_argument("--without", type=int, default=30, help="changes timed without")
    parser.add_argument(
        "--schedule", type=float, default=10.0, help="seconds between rounds while there are no webhooks"
    )
    parser.add_argument("--calls", type=int, default=1000, help="webhook calls in one second")
    parser.add_argument("--invoices", type=int, default=12_000, help="booked invoices of the company")
    return parser.parse_args(options)


@dataclass
class Stage:
    """The running parts."""

    servers: Servers
    sandbox: Sandbox
    environment: dict[str, str]
    plain: asyncpg.Connection
    told: dict[UUID, float] = field(default_factory=dict)
    """Pike's id → when its last change was heard of."""

    @property
    def agreement(self) -> Agreement:
        """The company."""
        return self.sandbox.agreements[0]

    @asynccontextmanager
    async def worker(self, **settings: str) -> AsyncIterator[None]:
        """Run one worker process."""
        values = self.environment | {PREFIX + name.upper(): value for name, value in settings.items()}
        process = await start_worker(values)
        try:
            await until_ready(f"http://127.0.0.1:{values[PREFIX + 'HTTP_PORT']}", process)
            yield
        finally:
            await stop_worker(process)

    async def until(self, sql: str, *args: Any, timeout_s: float = 180.0) -> None:
        """Wait until a query answers true."""
        deadline = time.perf_counter() + timeout_s
        while not await self.plain.fetchval(sql, *args):
            if time.perf_counter() > deadline:
                raise RuntimeError(f"not true within {timeout_s:g} s: {sql}")
            await asyncio.sleep(0.05)

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Note when changes are heard of, while a worker runs."""
        task = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _follow(self) -> None:
        async with listening(self.environment[PREFIX + "AMQP_URL"], ["economic.records.changed"], "bench") as events:
            async for message in events:
                event: Any = decode(message.body, message.headers, message.content_type)
                self.told.update(dict.fromkeys(event.data.ids, time.perf_counter()))


async def time_changes(stage: Stage, numbers: Sequence[int], pause_s: float, patience_s: float) -> list[float]:
    """Rename customers one after the other; return how long each took to be in Pike and announced, in seconds."""
    ids = {
        int(row["external_number"]): row["id"]
        for row in await stage.plain.fetch(
            "select id, external_number from pike.customers where external_number is not null"
        )
    }
    marker = f"Bench {time.time_ns()}"
    begun: dict[int, float] = {}
    seen: dict[int, float] = {}

    async def change() -> None:
        for number in numbers:
            begun[number] = time.perf_counter()
            stage.agreement.rename_customer(number, f"{marker} {number}")
            await asyncio.sleep(random.uniform(0.5, 1.5) * pause_s)

    changing = asyncio.create_task(change())
    deadline = time.perf_counter() + len(numbers) * pause_s * 1.5 + patience_s
    while len(seen) < len(numbers):
        if time.perf_counter() > deadline:
            raise RuntimeError(f"{len(numbers) - len(seen)} of {len(numbers)} changes did not arrive")
        rows = await stage.plain.fetch(
            "select external_number as n from pike.customers where name like $1", f"{marker} %"
        )
        now = time.perf_counter()
        for row in rows:
            seen.setdefault(int(row["n"]), now)
        await asyncio.sleep(0.01)
    await changing
    await asyncio.sleep(0)
    while any(stage.told.get(ids[number], 0.0) < begun[number] for number in numbers):
        if time.perf_counter() > deadline:
            raise RuntimeError("a change was not announced")
        await asyncio.sleep(0.01)
    return sorted(max(seen[n], stage.told[ids[n]]) - begun[n] for n in numbers)


def at(share: float, ordered: Sequence[float]) -> float:
    """Return the value below which this share of the values lies."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def burst(stage: Stage, calls: int, entities: int) -> tuple[list[float], Counter[str], int]:
    """Flood the webhook address; return times to the answers (ms), statuses, and the most reads of one record."""
    hook = stage.agreement.hooks.by_type["CUSTOMER_UPDATED"]
    before = len(stage.sandbox.requests)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.benchmarks.freshness.flood",
        hook.url, dict(hook.headers)[HEADER], str(calls), str(entities),
        stdout=asyncio.subprocess.PIPE, env=dict(os.environ),
    )  # fmt: skip
    out, _ = await process.communicate()
    answer = json.loads(out)
    await stage.until(
        "select not exists (select 1 from economic.hints) "
        "and not exists (select 1 from economic.hook_receivers where reading_id is not null)"
    )
    reads: Counter[str] = Counter()
    for request in stage.sandbox.requests[before:]:
        named = re.search(r"customerNumber\$in:\[([\d,]+)\]", unquote_plus(request.query))
        if request.path == "/legacy/customers" and named:
            reads.update(named[1].split(","))
    return answer["times_ms"], Counter(answer["statuses"]), max(reads.values(), default=0)


async def idle_calls(stage: Stage) -> int:
    """Return the calls of a round in which nothing changed; the most of three."""
    ended = "select last_end_at from economic.schedules"
    counts = []
    for _ in range(4):
        last, before = await stage.plain.fetchval(ended), len(stage.sandbox.requests)
        await stage.until("select last_end_at > $1 and run_id is null from economic.schedules", last)
        counts.append(len(stage.sandbox.requests) - before)
    return max(counts[1:])


async def measure(options: argparse.Namespace) -> list[Measured]:
    """Run every measurement on one stack."""
    size = SeedSize(customers=2000, products=500, invoices=options.invoices, drafts=50)
    loop = asyncio.get_running_loop()
    servers_context = provide(announce=lambda text: print(f"· {text}", flush=True))
    servers = await loop.run_in_executor(None, servers_context.__enter__)
    try:
        async with Sandbox(size=size) as sandbox:
            environment = environment_of(servers, sandbox, "1,2,5,10,30")
            await migrate.migrate(servers.database_url)
            plain = await asyncpg.connect(servers.database_url)
            stage = Stage(servers, sandbox, environment, plain)
            try:
                return await _phases(stage, options)
            finally:
                await plain.close()
    finally:
        await loop.run_in_executor(None, servers_context.__exit__, None, None, None)


async def _phases(stage: Stage, options: argparse.Namespace) -> list[Measured]:
    numbers = [c.number for c in stage.agreement.customers if c.number < 2000][: max(options.changes, options.without)]
    async with stage.worker(), stage.following():
        await _connect_and_import(stage)
        await stage.until("select count(*) = 3 from economic.hooks where state = 'on'")
        with_hooks = await time_changes(stage, numbers[: options.changes], 0.2, 30)
        times, statuses, most = await burst(stage, options.calls, options.calls)
        _, again, most_of_few = await burst(stage, options.calls, options.calls // 20)
    stage.agreement.role = "Sales"  # out of reach for webhooks: only the schedule is left
    stage.agreement.hooks.by_type.clear()
    await stage.plain.execute("update economic.schedules set next_at = now()")
    async with stage.worker(sync_every_s=str(options.schedule)), stage.following():
        without = await time_changes(stage, numbers[: options.without], options.schedule / 7, options.schedule + 60)
        idle = await idle_calls(stage)
    unpaid = sum(invoice.remainder != 0 for invoice in stage.agreement.booked)
    print(
        f"· company: {len(stage.agreement.customers)} customers, {len(stage.agreement.booked)} booked, {unpaid} unpaid"
    )
    refused = options.calls * 2 - statuses["202"] - again["202"]
    limit = options.schedule + BEHIND_SCHEDULE_S
    return [
        _figure("change to row and event, webhooks, median", at(0.5, with_hooks), "s"),
        _figure("change to row and event, webhooks, p95", at(0.95, with_hooks), "s", "< 2", WITH_HOOKS_S),
        _figure(
            f"change to row and event, schedule {options.schedule:g} s, p95",
            at(0.95, without),
            "s",
            f"< {limit:g}",
            limit,
        ),
        _figure(
            f"change to row and event, schedule {options.schedule:g} s, worst", without[-1], "s", f"< {limit:g}", limit
        ),
        _figure(f"{options.calls} calls in a second: not answered 202", refused, "", "0", 0.5),
        _figure(f"{options.calls} calls in a second: answer, p50", at(0.5, times), "ms"),
        _figure(f"{options.calls} calls in a second: answer, p99", at(0.99, times), "ms", "≤ 50", ANSWER_MS),
        _figure("reads of one record in such a burst, at most", max(most, most_of_few), "", "≤ 1", 1.5),
        _figure("calls of an idle round", idle, "", "≤ 12", IDLE_CALLS + 0.5),
    ]


async def _connect_and_import(stage: Stage) -> None:
    async with tools(load(stage.environment)) as kit:
        await connect(
            kit.database, kit.client, kit.vault, kit.clock,
            workspace_id=WORKSPACE, grant=SecretStr(stage.agreement.grant_token),
        )  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "worker", "import", "--workspace", WORKSPACE, "--json",
        env={**os.environ, **stage.environment}, stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    if await process.wait() != 0:
        raise RuntimeError("the import failed")


def _figure(measure: str, value: float, unit: str, target: str = "", bound: float | None = None) -> Measured:
    return Measured(measure, round(value, 3), unit, target=target, met=None if bound is None else value < bound)


def main(options: Sequence[str]) -> None:
    """Measure and keep the figures."""
    keep("freshness", asyncio.run(measure(arguments(options))))
