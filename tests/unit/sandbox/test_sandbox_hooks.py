"""The local e-conomic's webhooks: one per event type, limits, roles, merge fields, retries, and switching off."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from support import eventually

from worker.sandbox import Sandbox, SeedSize
from worker.sandbox.hooks import FAILURES_UNTIL_DISABLED


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(size=SeedSize(customers=3, products=2, invoices=2, drafts=0)) as sandbox:
        sandbox.hook_sender._pause_s = 0.01
        yield sandbox


class Receiver:
    """A server that takes calls and answers what it is told to."""

    def __init__(self) -> None:
        self.status = 200
        self.bodies: list[str] = []
        self.headers: list[Any] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.text())
        self.headers.append(request.headers)
        return web.Response(status=self.status)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/here", receiver.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/here"
    yield receiver
    await runner.cleanup()


async def ask(sandbox: Sandbox, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    headers = {
        "X-AppSecretToken": sandbox.app_secret_token,
        "X-AgreementGrantToken": sandbox.agreements[0].grant_token,
        "Content-Type": "application/json",
    }
    url = f"{sandbox.openapi_url}/webhooksapi/v1.0.0/{path}"
    data = None if body is None else json.dumps(body)
    async with aiohttp.ClientSession() as session, session.request(method, url, data=data, headers=headers) as answer:
        text = await answer.text()
        return answer.status, json.loads(text) if text else None


def hook(url: str, **fields: Any) -> dict[str, Any]:
    return {
        "eventType": "CUSTOMER_UPDATED", "name": "Test", "url": url, "contentType": "text/plain",
        "postData": "[OLDNUMBER]>[NEWNUMBER]", "customHeaders": [{"key": "X-Mine", "value": "yes"}], **fields,
    }  # fmt: skip


async def test_an_event_type_has_one_hook_and_a_replacement_names_the_version(sandbox: Sandbox) -> None:
    assert (await ask(sandbox, "POST", "webhooks", hook("https://a.example/")))[0] == 201
    status, problem = await ask(sandbox, "POST", "webhooks", hook("https://b.example/"))
    assert (status, problem["errorCode"]) == (400, "WebhookAlreadyExistsForEventType")
    assert (await ask(sandbox, "PUT", "webhooks", hook("https://b.example/")))[0] == 409
    _, listed = await ask(sandbox, "GET", "webhooks")
    version = listed["items"][0]["objectVersion"]
    assert (await ask(sandbox, "PUT", "webhooks", hook("https://b.example/", objectVersion=version)))[0] == 204
    assert (await ask(sandbox, "DELETE", "webhooks/CUSTOMER_UPDATED"))[0] == 204
    assert (await ask(sandbox, "DELETE", "webhooks/CUSTOMER_UPDATED"))[0] == 404


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"url": "http://a.example/"}, "WebhookInvalidUrlScheme"),
        ({"url": "nonsense"}, "WebhookInvalidUrl"),
        ({"eventType": "MOON_RISEN"}, "WebhookInvalidType"),
        ({"customHeaders": [{"key": f"k{n}", "value": "v"} for n in range(6)]}, "WebhookCustomHeadersTooMany"),
        ({"customHeaders": [{"key": "k", "value": "v" * 1000}]}, "WebhookCustomHeadersTooLong"),
    ],
)
async def test_what_the_service_refuses(sandbox: Sandbox, fields: dict[str, Any], code: str) -> None:
    status, problem = await ask(sandbox, "POST", "webhooks", hook(**({"url": "https://a.example/"} | fields)))
    assert (status, problem["errorCode"]) == (400, code)


async def test_only_a_superuser_reaches_webhooks(sandbox: Sandbox) -> None:
    sandbox.agreements[0].role = "Sales"
    assert (await ask(sandbox, "GET", "webhooks"))[0] == 403
    assert (await ask(sandbox, "GET", "EventTypes"))[0] == 403


async def test_each_change_calls_with_its_numbers_and_our_headers(sandbox: Sandbox, receiver: Receiver) -> None:
    await ask(sandbox, "POST", "webhooks", hook(receiver.url))
    agreement = sandbox.agreements[0]
    agreement.rename_customer(1, "A")
    agreement.renumber_customer(1, 77)
    agreement.remove_customer(77)
    await eventually(lambda: len(receiver.bodies) == 3)
    assert sorted(receiver.bodies) == ["1>1", "1>77", "77>"]
    assert {headers["X-Mine"] for headers in receiver.headers} == {"yes"}


async def test_a_failing_call_is_tried_again_and_too_many_failures_switch_the_hook_off(
    sandbox: Sandbox, receiver: Receiver
) -> None:
    await ask(sandbox, "POST", "webhooks", hook(receiver.url))
    agreement = sandbox.agreements[0]
    receiver.status = 500
    for index in range(FAILURES_UNTIL_DISABLED):
        agreement.rename_customer(1, f"Name {index}")
    await eventually(lambda: agreement.hooks.by_type["CUSTOMER_UPDATED"].disabled)
    assert len(receiver.bodies) > FAILURES_UNTIL_DISABLED
    sent = len(receiver.bodies)
    agreement.rename_customer(1, "Nobody hears of this")
    _, shown = await ask(sandbox, "GET", "webhooks/CUSTOMER_UPDATED")
    assert shown["isDisabled"] is True
    assert shown["lastDisabledDate"]
    assert len(receiver.bodies) == sent
