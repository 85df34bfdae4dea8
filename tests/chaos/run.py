"""One run: stack, workspaces, faults, kills, restarts; then everything is allowed to settle and is counted."""

import asyncio
import base64
import contextlib
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from pydantic import SecretStr

from tests.chaos.answers import Answers
from tests.chaos.plan import Mix, Plan, Planned
from worker.bootstrap import make_broker, tools
from worker.broker.publisher import Outgoing
from worker.clock import SystemClock
from worker.errors import BrokerError
from worker.handlers.connect import connect
from worker.sandbox import Agreement, Sandbox, SeedSize
from worker.servers import Servers, provide
from worker.settings import PREFIX, Settings, load
from worker.store import migrate

Say = Callable[[str], None]

SMALL = SeedSize(customers=6, products=6, invoices=4, drafts=1)


@dataclass
class Run:
    """State of one run."""

    plan: Plan
    say: Say
    servers: Servers
    sandbox: Sandbox
    environment: dict[str, str]
    settings: Settings
    answers: Answers
    workers: list[asyncio.subprocess.Process] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    sent: dict[str, Planned] = field(default_factory=dict)
    stopped: bool = False

    async def start_worker(self) -> None:
        """Start one more worker process."""
        self.workers.append(
            await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "worker",
                "run",
                env={**os.environ, **self.environment},
                stdin=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
        )


@asynccontextmanager
async def stage(plan: Plan, say: Say) -> AsyncIterator[Run]:
    """Servers that survive their own restart, the local e-conomic, and connected workspaces with data."""
    loop = asyncio.get_running_loop()
    context = provide(announce=say, durable=True)
    servers = await loop.run_in_executor(None, context.__enter__)
    try:
        async with Sandbox(seed=plan.seed, size=SMALL) as sandbox:
            environment = _environment(plan, servers, sandbox)
            settings = load(environment)
            await migrate.migrate(servers.database_url)
            broker = make_broker(settings, SystemClock())
            await broker.start()
            await broker.stop(0.0)
            answers = Answers(servers.amqp_url)
            await answers.declare()
            run = Run(plan, say, servers, sandbox, environment, settings, answers)
            try:
                yield run
            finally:
                await _stop_workers(run)
    finally:
        await loop.run_in_executor(None, context.__exit__, None, None, None)


def _environment(plan: Plan, servers: Servers, sandbox: Sandbox) -> dict[str, str]:
    values = {
        "AMQP_URL": servers.amqp_url,
        "DATABASE_URL": servers.database_url,
        "LEGACY_URL": sandbox.legacy_url,
        "OPENAPI_URL": sandbox.openapi_url,
        "APP_SECRET_TOKEN": sandbox.app_secret_token,
        "ENCRYPTION_KEYS": "chaos:" + base64.b64encode(b"c" * 32).decode(),
        "WAIT_LADDER_S": plan.ladder_s,
        "HTTP_PORT": "0",
        "MAX_ATTEMPTS": "12",
        "LOG_LEVEL": "ERROR",
    }
    return {PREFIX + name: value for name, value in values.items()}


async def _stop_workers(run: Run) -> None:
    for process in run.workers:
        if process.returncode is None:
            process.terminate()
    for process in run.workers:
        try:
            await asyncio.wait_for(process.wait(), 20)
        except TimeoutError:
            process.kill()
            await process.wait()


async def prepare(run: Run) -> dict[str, dict[str, list[Any]]]:
    """Connect the workspaces and write the linked records that events refer to; returns them by workspace."""
    known: dict[str, dict[str, list[Any]]] = {}
    async with tools(run.settings) as kit:
        database = await asyncpg.connect(run.servers.database_url, server_settings={"pike_economic.writer": "worker"})
        for index in range(run.plan.workspaces):
            workspace = f"ws{index:02}"
            agreement = run.sandbox.agreements[0] if index == 0 else _another(run, index)
            await connect(
                kit.database, kit.client, kit.vault, kit.clock,
                workspace_id=workspace, grant=SecretStr(agreement.grant_token),
            )  # fmt: skip
            products = [p.number for p in agreement.products if not p.barred]
            customers = [str(c.number) for c in agreement.customers if not c.barred]
            known[workspace] = {
                "product": products,
                "customer": customers,
                "invoice": [str(i.number) for i in agreement.booked],
                "product_id": await _link(database, "products", workspace, agreement.number, products),
                "customer_id": await _link(database, "customers", workspace, agreement.number, customers),
            }
        await database.close()
    return known


def _another(run: Run, index: int) -> Agreement:
    return run.sandbox.add_agreement(size=SMALL, seed=run.plan.seed + index)


async def _link(
    database: asyncpg.Connection, table: str, workspace: str, agreement: int, numbers: list[str]
) -> list[str]:
    rows = await database.fetch(
        f"""insert into pike.{table} (workspace_id, agreement_number, external_number, name)
            select $1, $2, n, n from unnest($3::text[]) as n returning id""",
        workspace,
        agreement,
        numbers,
    )
    return [str(row["id"]) for row in rows]


async def publish_all(run: Run, known: dict[str, dict[str, list[Any]]]) -> None:
    """Publish the planned events over the sending time; one that was not confirmed is published again."""
    mix = Mix(run.plan, known)
    broker = make_broker(run.settings, SystemClock())
    await broker.start()
    begun = time.monotonic()
    try:
        for number in range(run.plan.events):
            event = mix.draw()
            run.sent[event.id] = event
            for _ in range(event.copies):
                await _publish(broker, event)
            ahead = begun + run.plan.sending_s * (number + 1) / run.plan.events - time.monotonic()
            if ahead > 0:
                await asyncio.sleep(ahead)
    finally:
        await broker.stop(0.0)


async def _publish(broker: Any, event: Planned) -> None:
    body = {
        "specversion": "1.0", "id": event.id, "source": "/chaos", "type": event.type, "workspaceid": event.workspace,
        "data": event.data,
    }  # fmt: skip
    while True:
        try:
            await broker.publisher.publish(
                Outgoing("pike.events", event.type, json.dumps(body).encode(), event.id, {}), timeout_s=10
            )
            return
        except BrokerError:
            await asyncio.sleep(0.5)


async def torment(run: Run) -> None:
    """Kill workers, restart broker and database once each, revoke a grant and restore it, while events come in."""
    dice = random.Random(f"torment:{run.plan.seed}")  # repeatable, not secret
    begun = time.monotonic()
    schedule = [
        (0.15, "revoke", _revoke),
        (0.35, "broker restart", _restart_broker),
        (0.55, "restore", _restore),
        (0.65, "postgres restart", _restart_postgres),
    ]
    next_kill = begun + dice.uniform(*run.plan.kill_every_s)
    while not run.stopped:
        now = time.monotonic()
        if schedule and now - begun >= schedule[0][0] * run.plan.sending_s:
            _, name, act = schedule.pop(0)
            run.say(name)
            await act(run)
            run.faults[name] += 1
        if now >= next_kill:
            await _kill_one(run, dice)
            next_kill = now + dice.uniform(*run.plan.kill_every_s)
        await asyncio.sleep(0.1)
    for _, name, act in schedule:  # a short run may end before its turn came
        await act(run)
        run.faults[name] += 1


async def _kill_one(run: Run, dice: random.Random) -> None:
    alive = [process for process in run.workers if process.returncode is None]
    if alive:
        victim = dice.choice(alive)
        victim.send_signal(signal.SIGKILL)
        await victim.wait()
        run.faults["worker SIGKILL"] += 1
    await revive(run)


async def revive(run: Run) -> None:
    """Bring the number of workers back up; a supervisor would do the same."""
    run.workers = [process for process in run.workers if process.returncode is None]
    while len(run.workers) < run.plan.workers:
        await run.start_worker()


async def lapse(run: Run) -> None:
    """Let every lease run out early: those of killed workers, and by surprise those of living ones."""
    if not run.plan.lapse_s:
        return
    database = await asyncpg.connect(run.servers.database_url)
    try:
        await database.execute(
            "update economic.inbox set lease_until = lease_until - make_interval(secs => $1) where state = 'running'",
            run.plan.lapse_s,
        )
    finally:
        await database.close()
    run.faults["lease lapse"] += 1


async def _restart_broker(run: Run) -> None:
    if run.servers.rabbitmq is not None:
        await asyncio.get_running_loop().run_in_executor(None, run.servers.rabbitmq.restart)


async def _restart_postgres(run: Run) -> None:
    if run.servers.postgres is not None:
        await asyncio.get_running_loop().run_in_executor(None, run.servers.postgres.restart)


async def _revoke(run: Run) -> None:
    run.sandbox.agreements[1 % len(run.sandbox.agreements)].revoke()


async def _restore(run: Run) -> None:
    """Restore the grant and reconnect, which releases what was parked; tried until e-conomic lets it through."""
    index = 1 % len(run.sandbox.agreements)
    agreement = run.sandbox.agreements[index]
    agreement.restore()
    while True:
        with contextlib.suppress(Exception):
            async with tools(run.settings) as kit:
                await connect(
                    kit.database, kit.client, kit.vault, kit.clock,
                    workspace_id=f"ws{index:02}", grant=SecretStr(agreement.grant_token),
                )  # fmt: skip
                return
        await asyncio.sleep(1)
