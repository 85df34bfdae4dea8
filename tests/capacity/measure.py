"""Measures what one event of each kind costs here: ``python -m tests.capacity.measure``.

Refreshes and pushes come all at once, or with ``--rate 60`` so many a second.

One real worker process against real RabbitMQ, a Postgres that waits for its disk, and the local e-conomic, which runs
beside it and is not counted. Prints a line per kind, to be copied into ``tests.capacity.costs`` with the conditions.
"""

import argparse
import asyncio
import json
import math
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import aio_pika
import aiohttp
import asyncpg
from pydantic import SecretStr

from tests.benchmarks.events.stage import cpu_s
from tests.harness import WORKSPACE, environment
from worker.bootstrap import make_client, tools
from worker.clock import SystemClock
from worker.handlers.connect import connect
from worker.sandbox import Sandbox, SeedSize
from worker.servers import provide
from worker.servers.process import free_port
from worker.settings import load
from worker.store import migrate

SIZE = SeedSize(customers=500, products=200, invoices=1000)
_USE = """
select sum(xact_commit)::float8 as commits, (pg_current_wal_lsn() - '0/0'::pg_lsn)::float8 as wal,
       pg_database_size(current_database())::float8 as bytes
from pg_stat_database where datname = current_database()
"""
STATISTICS_S = 1.5
"""Postgres' processes report what they did when they are idle for a second, and a moment later it can be read."""


@dataclass
class Meter:
    """Reads what was used so far."""

    pid: int
    port: int
    plain: asyncpg.Connection

    async def read(self) -> dict[str, float]:
        """Return totals so far: worker's seconds, commits, log and table bytes, calls and their tokens."""
        await asyncio.sleep(STATISTICS_S)
        use = dict(await self.plain.fetchrow(_USE))
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{self.port}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        total = {"calls": 0.0, "tokens": 0.0}
        for line in lines:
            name, _, value = line.rpartition(" ")
            if name.startswith("pike_economic_api_calls_total"):
                total["calls"] += float(value)
            elif name.startswith("pike_economic_api_cost_tokens_total"):
                total["tokens"] += float(value)
        return {"cpu_s": cpu_s(self.pid), **use, **total}


@asynccontextmanager
async def meter(env: dict[str, str], port: int, dsn: str) -> AsyncIterator[Meter]:
    """Run one worker and read its meters."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "worker", "run", env={**os.environ, **env},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    plain = await asyncpg.connect(dsn)
    try:
        await until(plain, "select count(*) >= 1 from economic.workers where consumers ->> 'work' = 'true'")
        yield Meter(process.pid, port, plain)
    finally:
        await plain.close()
        process.terminate()
        await process.wait()


async def until(plain: asyncpg.Connection, sql: str, *args: Any) -> None:
    """Wait until a query is true."""
    async with asyncio.timeout(300):
        while not await plain.fetchval(sql, *args):  # noqa: ASYNC110  # Postgres has no event to wait for
            await asyncio.sleep(0.05)


async def publish(url: str, kind: str, bodies: list[dict[str, Any]], rate: float) -> list[str]:
    """Publish events of one type, so many a second, and return their ids."""
    ids = []
    loop = asyncio.get_running_loop()
    async with await aio_pika.connect(url) as connection:
        exchange = await (await connection.channel()).get_exchange("pike.events", ensure=False)
        start = loop.time()
        for number, data in enumerate(bodies):
            await asyncio.sleep(start + number / rate - loop.time())
            ids.append(str(uuid4()))
            body = {
                "specversion": "1.0", "id": ids[-1], "source": "/capacity", "type": kind, "workspaceid": WORKSPACE,
                "time": "2026-11-30T12:00:00Z", "datacontenttype": "application/json", "data": data,
            }  # fmt: skip
            message = aio_pika.Message(json.dumps(body).encode(), content_type="application/cloudevents+json")
            await exchange.publish(message, kind)
    return ids


async def main(rate: float) -> None:
    """Measure every kind and print its cost per event."""
    port = free_port()
    with provide(announce=print, durable=True) as servers:
        async with Sandbox(seed=1, size=SIZE) as sandbox:
            env = environment(
                servers.amqp_url, servers.database_url, sandbox, http_port=str(port), sync_every_s="86400"
            )
            settings = load(env)
            await migrate.migrate(servers.database_url)
            async with meter(env, port, servers.database_url) as meters:
                async with tools(settings) as made, make_client(settings, SystemClock()) as client:
                    await connect(
                        made.database, client, made.vault, made.clock, workspace_id=WORKSPACE,
                        grant=SecretStr(sandbox.agreements[0].grant_token),
                    )  # fmt: skip
                for name, kind, bodies in kinds(sandbox):
                    before = await meters.read()
                    batches = bodies or [await invoices(meters.plain)]
                    count = 0
                    for batch in batches:
                        ids = await publish(servers.amqp_url, kind, batch, rate)
                        await until(meters.plain, _ENDED, ids, len(ids))
                        await until(meters.plain, _SETTLED)
                        count += len(ids)
                    after = await meters.read()
                    cost = {key: round((after[key] - before[key]) / count, 5) for key in after}
                    sys.stdout.write(f"{name} {cost}\n")


_ENDED = """
select count(*) = $2 from economic.inbox where event_id = any($1) and state in ('done', 'dead')
"""
_SETTLED = """
select not exists (select 1 from economic.imports where state = 'running')
   and not exists (select 1 from economic.inbox where state not in ('done', 'dead'))
"""


def kinds(sandbox: Sandbox) -> list[tuple[str, str, list[list[dict[str, Any]]]]]:
    """Return what is measured, in batches: first a full import, then ones that find nothing changed, one by one."""
    numbers = [product.number for product in sandbox.agreements[0].products if not product.barred]
    everything = {"entities": ["products", "customers", "invoices"]}
    refreshes = [{"entity": "product", "external_number": numbers[n % len(numbers)]} for n in range(400)]
    return [
        ("import", "pike.import.requested", [[everything]]),
        ("round", "pike.import.requested", [[{**everything, "mode": "changes"}] for _ in range(20)]),
        ("refresh", "pike.refresh.requested", [refreshes]),
        ("push", "pike.invoice.created", []),
    ]


async def invoices(plain: asyncpg.Connection, count: int = 200) -> list[dict[str, Any]]:
    """Return invoices of three lines for customers and products that the import has brought."""
    customers = await plain.fetch(
        """select id::text from pike.customers
           where external_number is not null and currency = 'DKK' and not barred limit 50"""
    )
    products = await plain.fetch(
        "select id::text from pike.products where external_number is not null and active limit 3"
    )
    return [_invoice(customers[n % len(customers)]["id"], [each["id"] for each in products]) for n in range(count)]


def _invoice(customer: str, products: list[str]) -> dict[str, Any]:
    lines = [
        {"id": str(uuid4()), "product_id": each, "description": "Work", "quantity": "3.00", "unit_price": "153.44"}
        for each in products
    ]
    return {
        "invoice": {
            "id": str(uuid4()), "title": "Month", "customer_id": customer, "issue_date": "2026-11-30",
            "currency": "DKK", "lines": lines,
        }
    }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.capacity.measure", description=__doc__)
    parser.add_argument("--rate", type=float, default=math.inf, help="events a second; all at once if left out")
    asyncio.run(main(parser.parse_args().rate))
