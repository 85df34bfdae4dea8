"""Upgrading in place: the worker of the version before runs and works while the new version migrates and takes over."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import tarfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import aio_pika
import asyncpg
import pytest
from harness import PIKE, WORKSPACE, environment, harness
from support import eventually
from test_push_walk import CREATED, FAILED, SYNCED, drafts, invoice

from worker.broker.following import listening
from worker.loop import end_tasks
from worker.runtime.reconcile import reconcile
from worker.sandbox import Agreement, Sandbox
from worker.settings import load
from worker.store.migrate import load as migrations
from worker.store.migrate import migrate

PREVIOUS = Path(__file__).parents[1] / "data" / "upgrade" / "previous.tar.xz"
THEIRS = 12
"""The newest migration that the version before knows."""

_ROWS = """
select (select md5(string_agg(p::text, '|' order by id)) from (
            select id, workspace_id, external_number, name, price, active from pike.products) p) as products,
       (select md5(string_agg(c::text, '|' order by id)) from (
            select id, workspace_id, external_number, name, primary_contact_email from pike.customers) c) as customers,
       (select count(*) from pike.invoices where booked_number is not null) as booked
"""


class Previous:
    """The version before, unpacked, with the settings of this stack."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self.folder, self.env = folder, {"PATH": os.environ["PATH"], "HOME": str(folder), **env}

    async def start(self, *command: str) -> asyncio.subprocess.Process:
        """Begin a command of that version."""
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "worker", *command, cwd=self.folder, env=self.env,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip

    async def call(self, *command: str, stdin: str = "") -> tuple[int, str]:
        """Run a command of that version to its end."""
        process = await self.start(*command)
        out, _ = await asyncio.wait_for(process.communicate(stdin.encode()), 90)
        return process.returncode or 0, out.decode()

    @asynccontextmanager
    async def running(self, log: list[str]) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run a worker of that version; its log lines are collected."""
        process = await self.start("run")
        assert process.stdout is not None

        async def read(lines: asyncio.StreamReader) -> None:
            async for line in lines:
                log.append(line.decode())

        reading = asyncio.create_task(read(process.stdout))
        try:
            await eventually(lambda: any("worker.started" in line for line in log), timeout_s=30, message="".join(log))
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            await reading


@pytest.fixture
def env(amqp_url: str, database_url: str, sandbox: Sandbox) -> dict[str, str]:
    return environment(amqp_url, database_url, sandbox)


@pytest.fixture
def previous(tmp_path: Path, env: dict[str, str]) -> Previous:
    with tarfile.open(PREVIOUS) as archive:
        # Debian 12's Python 3.11.2 has no argument for it, and later ones warn when nothing is said
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(tmp_path)
    return Previous(tmp_path, env)


async def publish(amqp_url: str, data: dict[str, Any]) -> str:
    """Publish an invoice as Pike would."""
    event_id = str(uuid4())
    body = {
        "specversion": "1.0", "id": event_id, "source": PIKE, "type": CREATED, "workspaceid": WORKSPACE,
        "time": "2026-11-23T12:00:00Z", "datacontenttype": "application/json", "data": data,
    }  # fmt: skip
    async with await aio_pika.connect(amqp_url) as connection, connection.channel() as channel:
        exchange = await channel.get_exchange("pike.events")
        message = aio_pika.Message(
            json.dumps(body).encode(), content_type="application/cloudevents+json", message_id=event_id,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )  # fmt: skip
        await exchange.publish(message, CREATED)
    return event_id


async def fetchrow(url: str, sql: str, *args: Any) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchrow(sql, *args)
    finally:
        await connection.close()


async def request_for(database_url: str) -> dict[str, Any]:
    """Return an invoice for a customer and product that the import brought."""
    row = await fetchrow(
        database_url,
        """select c.id as c, p.id as p from pike.customers c cross join pike.products p
           where c.active and not c.barred and c.currency = 'DKK' and p.locked and not p.barred order by 1, 2
           limit 1""",
    )
    return invoice(row["c"], row["p"])


@asynccontextmanager
async def answers_about_invoices(amqp_url: str) -> AsyncIterator[list[str]]:
    """Hear every answer about an invoice while the block runs: ``type correlation-id``."""
    heard: list[str] = []
    ready = asyncio.Event()

    async def listen() -> None:
        async with listening(amqp_url, ["economic.invoice.*"], "upgrade") as events:
            ready.set()
            async for message in events:
                event = json.loads(message.body)
                heard.append(f"{event['type']} {event.get('correlationid')}")

    listener = asyncio.create_task(listen())
    try:
        await asyncio.wait_for(ready.wait(), 20)
        yield heard
    finally:
        await end_tasks(listener)


@asynccontextmanager
async def invoices_coming_in(amqp_url: str, database_url: str) -> AsyncIterator[dict[str, dict[str, Any]]]:
    """Publish one invoice after the other while the block runs: event id → invoice."""
    sent: dict[str, dict[str, Any]] = {}
    enough = asyncio.Event()

    async def publish_them() -> None:
        while not enough.is_set():
            wanted = await request_for(database_url)
            sent[await publish(amqp_url, {"invoice": wanted})] = wanted

    publishing = asyncio.create_task(publish_them())
    try:
        yield sent
    finally:
        enough.set()
        await publishing


async def applied_up_to(database_url: str) -> int:
    """Return the newest migration that the database has."""
    row = await fetchrow(database_url, "select max(version) as n from public.pike_economic_migrations")
    return int(row["n"])


@pytest.mark.requirement("B1")
async def test_an_upgrade_in_place_loses_and_doubles_nothing_while_the_version_before_runs(
    previous: Previous, env: dict[str, str], amqp_url: str, database_url: str, sandbox: Sandbox, agreement: Agreement
) -> None:
    assert (await previous.call("migrate"))[0] == 0
    assert await applied_up_to(database_url) == THEIRS
    log: list[str] = []
    async with previous.running(log) as old, answers_about_invoices(load(env).amqp_url) as heard:
        for words, stdin in (("connect", "--grant-token", "-"), agreement.grant_token), (("import",), ""):
            code, said = await previous.call(words[0], "-w", WORKSPACE, *words[1:], stdin=stdin)
            assert code == 0, said
        before = dict(await fetchrow(database_url, _ROWS))

        async with invoices_coming_in(amqp_url, database_url) as sent:
            await eventually(lambda: len(sent) >= 3)
            applied = await migrate(database_url)
            assert [name[:4] for name in applied] == [f"{n:04}" for n in range(THEIRS + 1, len(migrations()) + 1)]
            so_far = len(sent)
            await eventually(lambda: len(sent) >= so_far + 3, timeout_s=30)
        await eventually(
            lambda: all(f"{SYNCED} {each}" in heard for each in sent), timeout_s=60, message="".join(log[-20:])
        )
        assert old.returncode is None
        assert not [line for line in log if "Traceback" in line or "exception" in line]
        assert dict(await fetchrow(database_url, _ROWS)) == before

        async with harness(amqp_url, database_url, sandbox) as new:
            old.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(old.wait(), 25) == 0
            mine = await request_for(database_url)
            assert (await new.request(CREATED, {"invoice": mine}, SYNCED, FAILED)).type == SYNCED
            assert (await new.import_all()).type == "economic.import.completed"
            dispatcher = new.worker.dispatcher
            proof = await reconcile(dispatcher.database, dispatcher.client, dispatcher.vault)
    assert (proof.lost, proof.double) == (0, 0)
    assert all(len(drafts(agreement, wanted)) == 1 for wanted in [*sent.values(), mine])
    assert all(heard.count(f"{SYNCED} {each}") == 1 for each in sent)


async def test_the_version_before_does_not_start_on_the_database_of_this_one(
    previous: Previous, database_url: str
) -> None:
    await migrate(database_url)
    code, said = await previous.call("run")
    assert code == 2
    assert (
        f"The database is at migration {len(migrations())}, this version knows {THEIRS}: start a newer version" in said
    )


async def test_the_new_version_does_not_start_on_the_database_of_the_version_before(
    previous: Previous, env: dict[str, str]
) -> None:
    assert (await previous.call("migrate"))[0] == 0
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "worker", "run", env={"PATH": os.environ["PATH"], **env},
        stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    _, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 2
    assert "type pike-economic migrate first" in err.decode()
