"""The examples for Python services, run as a service would run them: on their own, beside a whole worker."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from e2e_kit import Launch
from harness import WORKSPACE, Harness

from events import Envelope, ImportRequested, Incoming
from events.publisher import NoListener, Publisher, new_event

pytestmark = pytest.mark.requirement("B18")

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "deploy" / "examples" / "python"


async def publish_invoice(running: Harness, *options: str) -> tuple[int, str, str]:
    """Run the example in a process of its own; return exit code, stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLES / "publish_invoice.py"), *options,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PIKE_AMQP_URL": running.settings.amqp_url.get_secret_value()},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 90)
    return process.returncode or 0, out.decode(), err.decode()


async def test_script_publishes_an_invoice_and_receives_its_completion(running: Harness) -> None:
    await running.import_all("products")
    product = await running.value("select id::text from pike.products where active order by external_number limit 1")
    drafts = len(running.agreement.drafts)
    code, out, err = await publish_invoice(running, "--workspace", WORKSPACE, "--product", product)
    assert code == 0, err
    answer = json.loads(out)
    assert answer["type"] == "economic.invoice.synced"
    assert (answer["data"]["status"], answer["data"]["net"]) == ("draft", "7125.00")
    assert len(running.agreement.drafts) == drafts + 1


async def test_script_of_an_unconnected_workspace_gets_the_reason(running: Harness) -> None:
    code, out, _ = await publish_invoice(running, "--workspace", "ws-nobody", "--product", str(uuid4()))
    assert code == 1
    assert json.loads(out)["data"]["problem"]["cause"] == "not_connected"


async def test_outbox_publishes_what_was_committed_and_nothing_else(
    launch: Launch, amqp_url: str, migrated_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import outbox

    async with (
        asyncpg.create_pool(migrated_database_url, min_size=1, max_size=2) as pool,
        Publisher(amqp_url, source="/pike/tests") as pike,
    ):
        await pool.execute(outbox.TABLE)
        committed, undone = request("kept"), request("undone")
        async with pool.acquire() as connection:
            async with connection.transaction():
                await outbox.append(connection, committed)
            undoing = connection.transaction()
            await undoing.start()
            await outbox.append(connection, undone)
            await undoing.rollback()
        with pytest.raises(NoListener):
            await outbox.drain(pool, pike)
        async with launch() as running:
            await running.connect()
            assert await outbox.drain(pool, pike) == 1
            await running.answer("kept", "economic.import.completed")
            assert await outbox.drain(pool, pike) == 0
            assert not running.answers("undone")
        await pool.execute("drop table outbox")


def request(event_id: str) -> Envelope[Incoming]:
    data: Any = ImportRequested(entities=("products",))
    return new_event(data, source="/pike/tests", workspace_id=WORKSPACE, event_id=event_id)
