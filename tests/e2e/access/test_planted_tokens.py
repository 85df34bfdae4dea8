"""Everything the product writes is searched for the secrets it was given: on a good day, and while things go wrong."""

import io
import json
import sys
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import aio_pika
import pytest
import structlog
from access_kit import OPERATOR_TOKEN, OPERATORS, Browser, Site
from e2e_kit import Launch
from harness import WORKSPACE, Harness, environment
from meddler import Meddler
from support import eventually
from test_cli import call
from test_push_walk import CREATED, FAILED, SYNCED, linked

from worker.bootstrap import make_front, make_topology
from worker.ops.app import serving
from worker.sandbox import Sandbox
from worker.servers.process import free_port
from worker.telemetry.logging import configure

LINK_KEY = "planted-link-key-" + "p" * 30


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the worker logs, at its most talkative."""
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    before = structlog.get_config()
    configure(level="DEBUG", json=True)
    yield written
    structlog.configure(**before)


@pytest.fixture
async def site(launch: Launch, meddler: Meddler, sandbox: Sandbox, log: Any) -> AsyncIterator[Site]:
    """A worker with pages, whose e-conomic may say anything."""
    port = free_port()
    settings = {
        "public_url": f"http://127.0.0.1:{port}", "link_key": LINK_KEY, "consent_url": sandbox.consent_url,
        "app_public_token": sandbox.app_public_token, "operator_tokens": OPERATORS, "legacy_url": meddler.url,
        "max_attempts": "2", "log_level": "DEBUG",
    }  # fmt: skip
    async with (
        launch(**settings) as running,
        serving(running.worker, "127.0.0.1", port, make_front(running.settings, running.worker)) as address,
    ):
        yield Site(running, address)


async def dump(running: Harness) -> str:
    """Return every row of every table as text; bytes as what they say."""
    tables = await running.rows(
        "select schemaname || '.' || tablename as name from pg_tables where schemaname in ('economic', 'pike')"
    )
    texts = []
    for table in tables:
        for row in await running.rows(f"select * from {table['name']}"):
            texts += [
                value.decode(errors="replace") if isinstance(value, bytes) else str(value) for value in row.values()
            ]
    return "\n".join(texts)


async def queues(running: Harness) -> str:
    """Return every message that lies in a queue of ours, the broker's dead ones too; they are put back."""
    texts = []
    connection = await aio_pika.connect(running.settings.amqp_url.get_secret_value())
    async with connection:
        channel = await connection.channel()
        for queue in make_topology(running.settings).queues:
            found = await channel.get_queue(queue.name, ensure=False)
            while (message := await found.get(fail=False)) is not None:
                texts += [message.body.decode(errors="replace"), json.dumps(message.headers, default=str)]
    return "\n".join(texts)


async def everything(site: Site, log: Any, pages: list[str]) -> dict[str, str]:
    """Return all that was written, by where."""
    running = site.running
    env = environment(
        running.settings.amqp_url.get_secret_value(), running.database_url, running.sandbox,
        operator_tokens=OPERATORS, link_key=LINK_KEY, public_url=site.address,
    )  # fmt: skip
    doctor = await call(env, "doctor")
    letters = await call(env, "dead", "list", "--json")
    return {
        "log": log.getvalue(),
        "database": await dump(running),
        "queues": await queues(running),
        "events": "\n".join(repr(event) for event in running.heard),
        "pages": "\n".join(pages),
        "doctor": doctor.out + doctor.err,
        "dead letters": letters.out + letters.err,
    }


def planted(site: Site) -> dict[str, str]:
    """Return the secrets by name; the grant is the one that e-conomic gave."""
    settings, running = site.running.settings, site.running
    return {
        "grant": running.agreement.grant_token,
        "app secret": running.sandbox.app_secret_token,
        "encryption key": settings.encryption_keys.get_secret_value().partition(":")[2],
        "link key": LINK_KEY,
        "operator token": OPERATOR_TOKEN,
    }


def leaks(written: dict[str, str], secrets: dict[str, str]) -> list[tuple[str, str]]:
    """Return where which secret was found."""
    assert all(written[name] for name in ("log", "database", "events", "pages", "doctor", "dead letters"))
    return [(place, name) for place, text in written.items() for name, value in secrets.items() if value in text]


@pytest.mark.requirement("R8")
async def test_no_secret_is_written_anywhere_on_a_good_day_and_under_faults(
    site: Site, meddler: Meddler, sandbox: Sandbox, log: Any
) -> None:
    running = site.running
    secrets = planted(site)
    pages: list[str] = []
    async with Browser(site) as browser:
        came_back = await browser.consent()
        done = await browser.confirm(came_back)
        login = await browser.get("/console/login")
        signed_in = await browser.post("/console/login", {**login.fields, "token": OPERATOR_TOKEN})
        again = await browser.get(f"/connect/callback?state=x&token={secrets['grant']}")
        metrics = await browser.get("/metrics")
        pages += [f"{a.headers} {a.text}" for a in (came_back, done, signed_in, again, metrics)]
    await running.import_all()
    request = await linked(running)
    assert (await running.request(CREATED, {"invoice": request}, SYNCED, FAILED)).type == SYNCED

    def echo(document: dict[str, Any], _query: str) -> None:
        """Say everything back that came in the request's headers, in every field of an error."""
        said = f"{secrets['grant']} {secrets['app secret']}"
        document.clear()
        document.update(
            httpStatusCode=400, errorCode=secrets["grant"], message=said, logId=secrets["app secret"],
            errors={"name": {"errors": [{"propertyName": said, "errorCode": said, "errorMessage": said}]}},
        )  # fmt: skip

    meddler.on("/products/", echo)
    product = await running.value("select external_number from pike.products where external_number is not null limit 1")
    assert (await running.refresh("product", external_number=product)).type == "economic.refresh.failed"
    for kind in ("drop_after", "html", "truncated_json"):
        sandbox.add_fault(kind, path="/customers/", times=2)
        await running.refresh("customer", external_number="1")
    sandbox.faults.clear()
    await running.publish_raw(b"{not json", routing_key=CREATED, message_id=str(uuid4()))
    running.agreement.revoke()
    await running.publish("pike.refresh.requested", {"entity": "customer", "external_number": "1"})

    async def revoked() -> bool:
        return any(event.type == "economic.connection.revoked" for event in running.heard)

    await eventually(revoked)
    written = await everything(site, log, pages)
    assert WORKSPACE in written["database"]
    assert leaks(written, secrets) == []
