"""Disaster recovery as in the runbook: dump, restore into an empty database, start a worker; the proof is clean."""

import asyncio
import os
import shutil
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from harness import WORKSPACE, Harness, environment, harness
from support import Databases
from test_cli import call
from test_push_walk import CREATED, FAILED, SYNCED, drafts, linked

from worker.runtime.reconcile import reconcile
from worker.sandbox import Sandbox
from worker.servers.install import install_missing
from worker.servers.postgres import PrivatePostgres


def tools() -> Path:
    """Return the folder of pg_dump and pg_restore, installed with Postgres when they are missing."""
    found = shutil.which("pg_dump")
    if found:
        return Path(found).parent
    install_missing(lambda: [] if PrivatePostgres.binaries() else ["postgresql"], print)
    folder = PrivatePostgres.binaries()
    assert folder is not None
    return folder


async def run(tool: str, *arguments: str, url: str) -> str:
    """Run one of Postgres' tools; the password goes by the environment."""
    parts = urlsplit(url)
    address = urlunsplit(parts._replace(netloc=f"{parts.username}@{parts.hostname}:{parts.port}"))
    process = await asyncio.create_subprocess_exec(
        str(tools() / tool), *(each.replace("URL", address) for each in arguments),
        env={"PATH": os.environ["PATH"], "PGPASSWORD": parts.password or ""},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, out.decode()
    return out.decode()


@pytest.mark.requirement("B1", "B2")
async def test_a_dump_is_restored_and_work_goes_on_where_it_was(
    running: Harness, databases: Databases, sandbox: Sandbox, amqp_url: str, tmp_path: Path
) -> None:
    await running.import_all()
    sent = await linked(running)
    event_id = await running.publish(CREATED, {"invoice": sent})
    assert (await running.answer(event_id, SYNCED, FAILED)).type == SYNCED
    before = await running.rows("select * from pike.invoices order by id")
    dump = str(tmp_path / "pike-economic.dump")
    await run("pg_dump", "--format=custom", f"--file={dump}", "URL", url=running.database_url)
    running.worker.stop()

    restored = databases.create(migrated=False)
    try:
        await run("pg_restore", "--dbname=URL", "--jobs=2", "--no-owner", "--exit-on-error", dump, url=restored)
        env = environment(amqp_url, restored, sandbox)
        async with harness(amqp_url, restored, sandbox) as again:
            well = await call(env, "doctor", "--json")
            assert well.json["ok"], [check for check in well.json["checks"] if not check["ok"]]
            assert await again.rows("select * from pike.invoices order by id") == before
            await again.publish(CREATED, {"invoice": sent}, event_id=event_id)
            other = await linked(again)
            assert (await again.request(CREATED, {"invoice": other}, SYNCED, FAILED)).type == SYNCED
            assert (await again.import_all(workspace=WORKSPACE)).type == "economic.import.completed"
            dispatcher = again.worker.dispatcher
            proof = await reconcile(dispatcher.database, dispatcher.client, dispatcher.vault)
            assert (proof.lost, proof.double) == (0, 0)
            assert [len(drafts(again.agreement, each)) for each in (sent, other)] == [1, 1]
            assert again.answers(event_id, SYNCED) == [], "the event is remembered from before the dump"
    finally:
        databases.drop(restored)
