"""Faults on purpose: each kind does what it says, rules match what they say, and all of it is counted."""

import asyncio
import contextlib
import json
import time

import aiohttp
import pytest

from worker.sandbox.faults import KINDS, Faults

pytestmark = pytest.mark.requirement("B16")

PRODUCT = {"productNumber": "NY", "name": "Ny vare", "productGroup": {"productGroupNumber": 1}}


async def until(condition) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the server gives no event to wait for
            await asyncio.sleep(0.005)


async def lost(api, product=PRODUCT) -> None:
    with pytest.raises((aiohttp.ClientError, asyncio.TimeoutError)):
        await asyncio.wait_for(api.post("/products", product), 2)


@pytest.mark.parametrize("status", [500, 502, 503, 429])
async def test_a_status_fault_answers_it_and_does_not_act(api, status) -> None:
    api.sandbox.add_fault("status", status=status, retry_after=7, times=1)
    reply = await api.post("/products", PRODUCT)
    assert (reply.status, reply.headers["Retry-After"]) == (status, "7")
    assert reply.json["httpStatusCode"] == status
    assert "NY" not in api.agreement.products
    assert (await api.post("/products", PRODUCT)).status == 201


async def test_a_status_fault_may_come_without_retry_after_and_as_a_problem(api) -> None:
    api.sandbox.add_fault("status", status=429)
    reply = await api.open("/customersapi/v3.1.0/Contacts")
    assert "Retry-After" not in reply.headers
    assert reply.headers["Content-Type"].startswith("application/problem+json")


async def test_a_connection_dropped_before_the_action_leaves_nothing_behind(api) -> None:
    api.sandbox.add_fault("drop_before", times=1)
    await lost(api)
    assert "NY" not in api.agreement.products


async def test_a_connection_dropped_after_the_action_leaves_the_action_done(api) -> None:
    api.sandbox.add_fault("drop_after", times=1)
    await lost(api)
    assert "NY" in api.agreement.products
    assert [row.status for row in api.sandbox.requests] == [None]


async def test_a_lost_answer_is_replayed_for_its_idempotency_key(api) -> None:
    api.sandbox.add_fault("drop_after", times=1)
    with pytest.raises(aiohttp.ClientError):
        await api.post("/products", PRODUCT, Idempotency_Key="k")
    again = await api.post("/products", PRODUCT, Idempotency_Key="k")
    assert (again.status, again.headers["X-ResultFromCache"]) == (201, "true")


@pytest.mark.parametrize(("kind", "acted"), [("hang", False), ("hang_after", True)])
async def test_a_hang_outlives_the_callers_patience(api, kind, acted) -> None:
    api.sandbox.add_fault(kind, seconds=60)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(api.post("/products", PRODUCT), 0.2)
    assert ("NY" in api.agreement.products) is acted


async def test_a_short_hang_ends_without_an_answer(api) -> None:
    api.sandbox.add_fault("hang", seconds=0.01)
    await lost(api)
    assert "NY" not in api.agreement.products


async def test_stopping_does_not_wait_for_a_hang(api) -> None:
    api.sandbox.add_fault("hang", seconds=600)
    waiting = asyncio.create_task(api.get("/self"))
    await until(lambda: api.sandbox.faults.counts["hang"])
    started = time.monotonic()
    await api.sandbox.stop()
    assert time.monotonic() - started < 5
    with pytest.raises(aiohttp.ClientError):
        await waiting


@pytest.mark.parametrize("status", [200, 503])
async def test_an_html_page_instead_of_json(api, status) -> None:
    api.sandbox.add_fault("html", status=status)
    reply = await api.post("/products", PRODUCT)
    assert (reply.status, reply.headers["Content-Type"]) == (status, "text/html; charset=utf-8")
    assert "NY" not in api.agreement.products


async def test_truncated_json_is_a_whole_answer_that_cannot_be_read(api) -> None:
    api.sandbox.add_fault("truncated_json")
    reply = await api.post("/products", PRODUCT)
    assert reply.status == 201
    assert "NY" in api.agreement.products
    with pytest.raises(json.JSONDecodeError):
        _ = reply.json


async def test_a_body_cut_on_the_way_breaks_the_connection(api) -> None:
    api.sandbox.add_fault("cut_body")
    await lost(api)
    assert "NY" in api.agreement.products


async def test_a_trickle_arrives_whole_but_late(api) -> None:
    api.sandbox.add_fault("trickle", seconds=0.2)
    started = time.monotonic()
    assert (await api.get("/self")).json["agreementNumber"] == api.agreement.number
    assert time.monotonic() - started >= 0.15


async def test_an_error_body_can_come_with_200(api) -> None:
    api.sandbox.add_fault("error_in_200")
    reply = await api.get("/customers")
    assert (reply.status, reply.json["httpStatusCode"]) == (200, 500)


async def test_latency_and_delay_only_cost_time(api) -> None:
    api.sandbox.faults.latency_s = 0.05
    api.sandbox.add_fault("delay", seconds=0.05, path="self")
    started = time.monotonic()
    assert (await api.get("/self")).status == 200
    assert time.monotonic() - started >= 0.09


async def test_a_rule_strikes_only_what_it_names(api) -> None:
    other = api.sandbox.add_agreement()
    api.sandbox.add_fault("status", method="post", path=r"^/legacy/products$", agreement=other.number)
    assert (await api.post("/products", PRODUCT)).status == 201
    api.headers["X-AgreementGrantToken"] = other.grant_token
    assert (await api.get("/products")).status == 200
    assert (await api.post("/customers/1/contacts", {"name": "x"})).status == 201
    assert (await api.post("/products", PRODUCT)).status == 503


def struck(seed: int) -> list[bool]:
    faults = Faults(seed)
    faults.add("status", probability=0.5)
    return [faults.pick("GET", "/legacy/self", None) is not None for _ in range(200)]


def test_chance_is_seeded() -> None:
    assert struck(1) == struck(1)
    assert struck(1) != struck(2)
    assert 60 < sum(struck(1)) < 140


def test_the_first_rule_that_is_not_used_up_strikes_and_is_counted() -> None:
    faults = Faults()
    faults.add("drop_before", times=1)
    faults.add("html", times=2)
    kinds = [rule.kind if (rule := faults.pick("GET", "/x", None)) else None for _ in range(4)]
    assert kinds == ["drop_before", "html", "html", None]
    assert faults.counts == {"drop_before": 1, "html": 2}


@pytest.mark.parametrize(
    "options", [{"kind": "nope"}, {"kind": "html", "colour": 1}, {}, {"kind": "html", "path": "("}]
)
def test_a_rule_that_means_nothing_is_refused(options) -> None:
    with pytest.raises(ValueError):
        Faults().add_from(options)


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_is_logged_with_its_request(api, kind) -> None:
    api.sandbox.add_fault(kind, seconds=0.01)
    with contextlib.suppress(aiohttp.ClientError):
        await api.post("/products", PRODUCT)  # aiohttp itself repeats a GET once, so a POST
    assert [row.fault for row in api.sandbox.requests] == [kind]
