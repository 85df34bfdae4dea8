"""One call: what is sent, what a failing network or server turns into, and what is tried again."""

import asyncio
import gc
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
import structlog
from economic_stub import APP_SECRET, GRANT, Stub, answer, cut_body, drop, garbage, hang, html, page, trickle
from pydantic import SecretStr
from support import eventually

from schemas.problem import Cause
from schemas.webhook import HookHeaderOut, HookOut
from worker.economic.call import Addresses, Call, WrongOrigin
from worker.economic.client import EconomicClient
from worker.economic.endpoints import EconomicApi
from worker.economic.limiter import LocalLimiter
from worker.errors import (
    GrantRevoked,
    OutcomeUnknown,
    RateLimited,
    Refused,
    Transient,
    Unavailable,
)

SELF = {"agreementNumber": 123456, "company": {"name": "Prøve A/S"}, "settings": {"baseCurrency": "DKK"}}
DRAFT = {
    "draftInvoiceNumber": 7,
    "date": "2026-11-20",
    "currency": "DKK",
    "netAmount": 10.00,
    "grossAmount": 12.50,
    "vatAmount": 2.50,
}
NOT_FOUND = {"message": "Resource not found.", "logId": "1-CPH", "httpStatusCode": 404}

MakeClient = Callable[..., EconomicClient]


async def api_of(client: EconomicClient) -> EconomicApi:
    await client.start()
    return client.for_grant(SecretStr(GRANT), agreement_number=123456)


async def closed_port() -> int:
    server = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


# --- what is sent ----------------------------------------------------------------------------------------


async def test_a_read_carries_both_tokens_and_no_body(stub: Stub, api: EconomicApi) -> None:
    stub.script = [answer(SELF)]
    agreement = await api.get_self()
    (seen,) = stub.seen
    assert (seen.method, seen.target, seen.body) == ("GET", "/legacy/self", b"")
    assert seen.headers["x-appsecrettoken"] == APP_SECRET
    assert seen.headers["x-agreementgranttoken"] == GRANT
    assert seen.headers["accept"] == "application/json"
    assert seen.headers["user-agent"].startswith("pike-economic")
    assert "idempotency-key" not in seen.headers
    assert agreement.agreement_number == 123456
    assert agreement.company.name == "Prøve A/S"


@pytest.mark.requirement("B1")
async def test_a_write_sends_the_given_bytes_under_the_given_key(stub: Stub, api: EconomicApi) -> None:
    stub.script = [answer(DRAFT, 201)]
    made = await api.create_draft(b'{"date":"2026-11-20"}', "key-1")
    (seen,) = stub.seen
    assert (seen.method, seen.target, seen.body) == ("POST", "/legacy/invoices/drafts", b'{"date":"2026-11-20"}')
    assert seen.headers["idempotency-key"] == "key-1"
    assert seen.headers["content-type"] == "application/json"
    assert made.number == 7


# --- reads: what goes wrong and is tried again ----------------------------------------------------------------


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(answer({"message": "x", "httpStatusCode": 500}, 500), id="500"),
        pytest.param(html(503), id="503 html"),
        pytest.param(drop(), id="dropped"),
        pytest.param(cut_body(b'{"agreementNumber"'), id="cut body"),
        pytest.param(garbage(), id="not HTTP"),
        pytest.param(answer({"message": "x", "errorCode": "E1", "httpStatusCode": 500}), id="an error in a 200"),
        pytest.param(answer({"message": "slow down"}, 429, {"Retry-After": "1"}), id="429 for a second"),
    ],
)
async def test_a_read_that_fails_once_is_tried_again_within_seconds(
    stub: Stub, api: EconomicApi, clock: Any, trouble: Any
) -> None:
    stub.script = [trouble, answer(SELF)]
    assert (await api.get_self()).agreement_number == 123456
    assert len(stub.seen) == 2
    assert len(clock.sleeps) <= 1  # aiohttp itself repeats a GET at once when the connection is closed under it
    assert all(0 <= delay <= 2 for delay in clock.sleeps)


async def test_a_read_is_tried_three_times_at_most(stub: Stub, api: EconomicApi, clock: Any) -> None:
    stub.always = lambda _: html(502)
    with pytest.raises(Unavailable) as caught:
        await api.get_self()
    assert len(stub.seen) == 3
    assert len(clock.sleeps) == 2
    assert caught.value.problem.cause is Cause.ECONOMIC_UNAVAILABLE
    assert not caught.value.problem.final
    assert "502" in str(caught.value)


async def test_a_service_that_refuses_connections_is_unavailable(make_client: MakeClient) -> None:
    client = make_client(legacy_url=f"http://127.0.0.1:{await closed_port()}")
    api = await api_of(client)
    with pytest.raises(Unavailable):
        await api.get_self()


async def test_an_unknown_host_is_unavailable_for_reads_and_writes(make_client: MakeClient) -> None:
    api = await api_of(make_client(legacy_url="http://no-such-host.invalid"))
    with pytest.raises(Unavailable):
        await api.get_self()
    with pytest.raises(Unavailable):
        await api.create_draft(b"{}", "key")


async def test_a_hanging_service_ends_at_the_deadline(stub: Stub, make_client: MakeClient) -> None:
    stub.always = lambda _: hang()
    api = await api_of(make_client(request_deadline_s=0.3, attempt_timeout_s=0.1))
    started = time.monotonic()
    with pytest.raises(Unavailable):
        await api.get_self()
    assert time.monotonic() - started < 3
    assert len(stub.seen) >= 2


async def test_a_trickling_body_ends_at_the_deadline(stub: Stub, make_client: MakeClient) -> None:
    stub.always = lambda _: trickle(b"x" * 10_000, 0.02)
    api = await api_of(make_client(request_deadline_s=0.3, attempt_timeout_s=30.0))
    started = time.monotonic()
    with pytest.raises(Unavailable, match=r"within 0\.3 s"):
        await api.get_self()
    assert time.monotonic() - started < 3


@pytest.mark.parametrize(("size", "allowed"), [(200_000, 100_000), (2_000, 1_000)], ids=["in pieces", "in one go"])
async def test_an_answer_larger_than_allowed_is_unavailable_and_not_fetched_again(
    stub: Stub, make_client: MakeClient, size: int, allowed: int
) -> None:
    stub.always = lambda _: answer(b'{"agreementNumber": 1, "x": "' + b"x" * size + b'"}')
    api = await api_of(make_client(max_body_bytes=allowed))
    with pytest.raises(Unavailable, match=f"larger than {allowed}"):
        await api.get_self()
    assert len(stub.seen) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_errors_and_never_followed(stub: Stub, api: EconomicApi, status: int) -> None:
    async with Stub() as other:
        stub.always = lambda _: answer(b"", status, {"Location": f"{other.url}/self"})
        with pytest.raises(Unavailable):
            await api.get_self()
        assert not other.seen
    with pytest.raises(OutcomeUnknown):  # "303 see other" may follow a success
        await api.create_draft(b"{}", "key")


# --- the rate limit ------------------------------------------------------------------------------------------


@pytest.mark.requirement("F12")
@pytest.mark.parametrize(("header", "asked"), [({"Retry-After": "30"}, 30.0), ({}, None), ({"Retry-After": "x"}, None)])
async def test_a_429_that_asks_for_long_or_for_nothing_is_handed_up_at_once(
    stub: Stub, api: EconomicApi, clock: Any, header: dict[str, str], asked: float | None
) -> None:
    stub.script = [answer({"message": "too many"}, 429, header)]
    with pytest.raises(RateLimited) as caught:
        await api.get_self()
    assert caught.value.retry_after_s == asked
    assert caught.value.problem.cause is Cause.RATE_LIMITED
    resumes = "resumes at about 12:17 UTC" if asked else "Paused for a moment"  # the clock stands at 12:16:40
    assert resumes in caught.value.problem.user_message
    assert len(stub.seen) == 1
    assert clock.sleeps == []


async def test_a_503_that_asks_for_long_is_handed_up_with_what_it_asked(stub: Stub, api: EconomicApi) -> None:
    stub.script = [answer({"message": "maintenance"}, 503, {"Retry-After": "120"})]
    with pytest.raises(Unavailable) as caught:
        await api.get_self()
    assert caught.value.retry_after_s == 120
    assert len(stub.seen) == 1


async def test_a_write_that_meets_the_rate_limit_was_not_done(stub: Stub, api: EconomicApi) -> None:
    stub.script = [answer({"message": "too many"}, 429, {"Retry-After": "1"})]
    with pytest.raises(RateLimited) as caught:
        await api.create_draft(b"{}", "key")
    assert caught.value.retry_after_s == 1
    assert len(stub.seen) == 1


@pytest.mark.requirement("B8")
async def test_calls_slow_down_when_the_budget_runs_low(stub: Stub, api: EconomicApi, clock: Any) -> None:
    low = {"X-CallCost": "3", "X-RateLimiting": "token-limit-10000-per-60-seconds: 147/10000"}
    high = {"X-CallCost": "L", "X-RateLimiting": "token-limit-10000-per-60-seconds: 9500/10000"}
    stub.script = [answer(SELF, headers=low), answer(SELF, headers=high), answer(SELF, headers={"X-CallCost": "4"})]
    await api.get_self()
    await api.get_self()
    assert clock.sleeps == []
    await api.get_self()
    assert len(clock.sleeps) == 1
    assert 0 < clock.sleeps[0] <= 5
    usage = api.usage
    assert (usage.calls, usage.cost, usage.used, usage.limit, usage.window_s) == (3, 7, 9500, 10000, 60.0)


async def test_the_budget_is_the_agreements_not_the_objects(stub: Stub, client: EconomicClient, clock: Any) -> None:
    high = {"X-RateLimiting": "token-limit-100-per-60-seconds: 100/100"}
    stub.always = lambda _: answer(SELF, headers=high)
    await client.for_grant(SecretStr(GRANT), agreement_number=1).get_self()
    await client.for_grant(SecretStr("another-grant"), agreement_number=2).get_self()
    assert clock.sleeps == []
    await client.for_grant(SecretStr(GRANT), agreement_number=1).get_self()
    assert len(clock.sleeps) == 1


# --- writes: at most once ---------------------------------------------------------------------------------------


@pytest.mark.requirement("B1", "F13")
@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(drop(), id="dropped after sending"),
        pytest.param(answer({"message": "x", "httpStatusCode": 500}, 500), id="500"),
        pytest.param(html(502), id="502 html"),
        pytest.param(html(400), id="400 html"),
        pytest.param(answer(b"<html>", 201), id="unreadable 201"),
        pytest.param(answer(b'{"draftInvoiceNumber": 7', 201), id="truncated 201"),
        pytest.param(answer({"date": "2026-11-20"}, 201), id="201 without a number"),
        pytest.param(answer(b"", 204), id="204"),
        pytest.param(cut_body(b'{"draftInvoiceNumber": 7,'), id="cut body"),
        pytest.param(garbage(), id="not HTTP"),
        pytest.param(answer({"message": "x", "errorCode": "E1", "httpStatusCode": 503}), id="a 503 in a 200"),
    ],
)
async def test_a_write_whose_answer_was_lost_is_unknown_and_sent_once(
    stub: Stub, api: EconomicApi, trouble: Any
) -> None:
    stub.script = [trouble]
    with pytest.raises(OutcomeUnknown) as caught:
        await api.create_draft(b"{}", "key")
    assert len(stub.seen) == 1
    assert caught.value.problem.cause is Cause.OUTCOME_UNKNOWN
    assert caught.value.problem.final is False


@pytest.mark.requirement("B1", "F13")
@pytest.mark.parametrize("limits", [{"request_deadline_s": 0.2}, {"attempt_timeout_s": 0.2}])
async def test_a_write_that_gets_no_answer_in_time_is_unknown(
    stub: Stub, make_client: MakeClient, limits: dict[str, float]
) -> None:
    stub.always = lambda _: hang()
    api = await api_of(make_client(**limits))
    with pytest.raises(OutcomeUnknown):
        await api.book_draft(b"{}", "key")
    assert len(stub.seen) == 1


async def test_a_write_with_a_trickling_answer_is_unknown(stub: Stub, make_client: MakeClient) -> None:
    stub.always = lambda _: trickle(b"x" * 10_000, 0.02)
    api = await api_of(make_client(request_deadline_s=0.3))
    with pytest.raises(OutcomeUnknown):
        await api.create_customer(b"{}", "key")


async def test_a_write_with_an_answer_too_large_is_unknown(stub: Stub, make_client: MakeClient) -> None:
    stub.always = lambda _: answer(b"x" * 200_000, 201)
    api = await api_of(make_client(max_body_bytes=100_000))
    with pytest.raises(OutcomeUnknown):
        await api.create_draft(b"{}", "key")


async def test_a_write_that_never_left_is_unavailable(make_client: MakeClient) -> None:
    api = await api_of(make_client(legacy_url=f"http://127.0.0.1:{await closed_port()}"))
    with pytest.raises(Unavailable, match="nothing was sent"):
        await api.create_draft(b"{}", "key")


@pytest.mark.requirement("B1")
async def test_a_write_of_a_process_that_was_stopped_on_the_way_is_not_sent(
    stub: Stub, make_client: MakeClient, clock: Any
) -> None:
    class Stopping(LocalLimiter):
        """The process stops while the call waits for its turn; no timer runs meanwhile."""

        async def wait_s(self, agreement: str, *, bulk: bool = False) -> float:
            clock.at += 61
            return 0.0

    api = await api_of(make_client(limiter=Stopping(clock)))
    with pytest.raises(Unavailable, match="nothing was sent"):
        await api.create_draft(b"{}", "key")
    assert not stub.seen


async def test_a_write_that_found_no_free_connection_is_unavailable(stub: Stub, make_client: MakeClient) -> None:
    stub.always = lambda _: hang()
    client = make_client(max_connections=1, request_deadline_s=0.3)
    api = await api_of(client)
    assert client._sessions is not None
    taken = asyncio.create_task(
        client._sessions.writing.get(
            f"{stub.url}/taken",
            timeout=aiohttp.ClientTimeout(),
            trace_request_ctx=SimpleNamespace(set_out=lambda: None),
        )
    )
    await eventually(lambda: stub.seen)
    with pytest.raises(Unavailable, match="nothing was sent"):
        await api.create_draft(b"{}", "key")
    taken.cancel()
    await asyncio.gather(taken, return_exceptions=True)
    assert [seen.path for seen in stub.seen] == ["/taken"]


async def test_a_write_that_met_a_version_conflict_may_be_repeated(stub: Stub, api: EconomicApi) -> None:
    stub.script = [answer({"title": "Conflict", "status": 409, "errorCode": "UpdateConflict"}, 409)]
    with pytest.raises(Unavailable):
        await api.create_draft(b"{}", "key")


async def test_cancelling_a_call_is_not_swallowed(stub: Stub, api: EconomicApi) -> None:
    stub.always = lambda _: hang()
    task = asyncio.create_task(api.get_self())
    await eventually(lambda: stub.seen)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


# --- access --------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("F11")
@pytest.mark.parametrize("body", [b"", b"<html>", b'{"message":"x","errorCode":"E0","httpStatusCode":401}'])
async def test_401_means_the_grant_was_revoked_whatever_the_body(stub: Stub, api: EconomicApi, body: bytes) -> None:
    stub.always = lambda _: answer(body, 401)
    for call in (api.get_self(), api.create_draft(b"{}", "key")):
        with pytest.raises(GrantRevoked) as caught:
            await call
        assert caught.value.problem.cause is Cause.GRANT_REVOKED
        assert "reconnect" in caught.value.problem.remedy
    assert len(stub.seen) == 2


async def test_what_does_not_exist_is_refused_by_get_and_none_by_find(stub: Stub, api: EconomicApi) -> None:
    stub.always = lambda _: answer(NOT_FOUND, 404)
    with pytest.raises(Refused) as caught:
        await api.get_customer(7)
    assert caught.value.problem.cause is Cause.NOT_FOUND
    assert "Customer 7" in caught.value.problem.user_message
    assert caught.value.problem.economic is not None
    assert caught.value.problem.economic.log_id == "1-CPH"
    assert await api.find_customer(7) is None
    assert await api.find_product("X") is None
    assert await api.find_draft(7) is None
    assert await api.find_booked(7) is None


async def test_a_404_that_e_conomic_did_not_write_does_not_mean_that_nothing_is_there(
    stub: Stub, api: EconomicApi
) -> None:
    stub.always = lambda _: html(404)
    with pytest.raises(Unavailable):
        await api.find_customer(7)


# --- where tokens go --------------------------------------------------------------------------------------------


def test_addresses_outside_the_two_origins_are_refused(client: EconomicClient, stub: Stub) -> None:
    client.addresses.check(f"{stub.url}/legacy/customers?skippages=1")
    for url in (
        "https://evil.example/customers",
        stub.url.replace("http:", "https:"),
        f"{stub.url}1/customers",
        f"{stub.url}@evil.example/customers",
        "//evil.example/customers",
        "file:///etc/passwd",
        "http://[broken",
        "",
    ):
        with pytest.raises(WrongOrigin):
            client.addresses.check(url)


def test_no_path_leads_out_of_the_origin_it_is_put_behind() -> None:
    addresses = Addresses("https://restapi.e-conomic.com", "https://apis.e-conomic.com/")
    assert addresses.url_of(Call("GET", "openapi", "/x", "x", "x", query={"filter": "a$eq:b&c d"})) == (
        "https://apis.e-conomic.com/x?filter=a%24eq%3Ab%26c%20d"
    )
    for path in ("@evil.example/", ".evil.example/", ":444/"):
        with pytest.raises(WrongOrigin):
            addresses.url_of(Call("GET", "legacy", path, "x", "x"))


async def test_links_in_answers_are_not_followed(stub: Stub, api: EconomicApi) -> None:
    async with Stub() as other:
        first = page([{"customerNumber": 1}], size=1, results=2, nextPage=f"{other.url}/customers?skippages=1")
        second = page([{"customerNumber": 2}], number=1, size=1, results=2)
        stub.script = [answer(first), answer(second)]
        numbers = [c.customer_number async for p in api.customer_pages(page_size=1) for c in p.items]
        assert numbers == [1, 2]
        assert other.seen == []


# --- logs and secrets -------------------------------------------------------------------------------------------


async def test_each_call_leaves_one_debug_line_without_numbers_of_records(stub: Stub, api: EconomicApi) -> None:
    stub.script = [
        answer({"collection": []}, headers={"X-CallCost": "3"}),
        answer(NOT_FOUND, 404),
        answer({"collection": []}),
        garbage(),
        answer(NOT_FOUND, 404),
    ]
    with structlog.testing.capture_logs() as logs:
        await api.sales_accounts(471147)
        await api.find_product("SECRET-471147")
        await api.list_contacts(471147)
        await api.find_draft(471147)
    assert [line["event"] for line in logs] == ["economic.call"] * 5
    assert [line["status"] for line in logs] == [200, 404, 200, None, 404]
    assert all(line["log_level"] == "debug" for line in logs)
    assert logs[0] == {
        "event": "economic.call",
        "log_level": "debug",
        "family": "sales accounts",
        "method": "GET",
        "status": 200,
        "cost": 3,
        "duration_ms": 0.0,
    }
    assert "471147" not in repr(logs)


async def test_tokens_show_in_no_text_log_or_chained_error(stub: Stub, make_client: MakeClient) -> None:
    client = make_client(request_deadline_s=0.5, attempt_timeout_s=0.2)
    api = await api_of(client)
    echoing = {"message": f"bad token {GRANT} {APP_SECRET}", "httpStatusCode": 401, "errorCode": "E0"}
    shown = [repr(client), repr(api), repr(client.__dict__), repr(api.__dict__)]
    troubles = [
        answer(echoing, 401), answer(echoing, 403), answer(echoing, 404), answer(echoing, 429), answer(echoing, 500),
        answer(echoing, 302, {"Location": f"https://evil.example/?t={GRANT}"}),
        garbage(), garbage(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"), drop(), hang(), html(200), cut_body(b"{"),
    ]  # fmt: skip
    with structlog.testing.capture_logs() as logs:
        for trouble in troubles:
            for call in (api.get_self(), api.create_draft(b"{}", "key")):
                stub.script = [trouble] * 3
                with pytest.raises((Transient, GrantRevoked, Refused, OutcomeUnknown)) as caught:
                    await call
                shown += _texts_of(caught.value)
    shown += [repr(line) for line in logs]
    assert len(logs) >= len(troubles)
    assert len(shown) > 3 * len(troubles)
    everything = "\n".join(shown)
    assert GRANT not in everything
    assert APP_SECRET not in everything


async def test_the_secret_that_a_webhook_is_made_with_does_not_come_back_with_a_refusal(
    stub: Stub, make_client: MakeClient
) -> None:
    """e-conomic quotes what it refuses, and a refusal is shown to people."""
    secret = "hook-secret-" + "z" * 40
    hook = HookOut(
        event_type="PRODUCT_UPDATED", name="Pike", url="https://pike.example/hook", content_type="text/plain",
        post_data="x", custom_headers=(HookHeaderOut(key="X-Secret", value=secret),),
    )  # fmt: skip
    api = await api_of(make_client())
    said = f"customHeaders[0].value: {secret} is not allowed"
    quoting = {
        "message": said, "logId": said, "errorCode": secret,
        "errors": [{"property": said, "code": secret, "message": said, "inputValue": secret}],
    }  # fmt: skip
    shown = []
    for send in (api.make_hook, api.replace_hook):
        stub.script = [answer(quoting, 400, {"X-Quoted": secret})]
        with pytest.raises(Refused) as caught:
            await send(hook)
        shown += [*_texts_of(caught.value), caught.value.problem.model_dump_json()]
    assert "is not allowed" in "\n".join(shown), "the words of the refusal are kept"
    assert secret not in "\n".join(shown)
    assert secret not in repr(hook)


def _texts_of(error: BaseException | None) -> list[str]:
    """Return everything that a log or an error tracker would print of an error and of those it is chained to."""
    texts: list[str] = []
    while error is not None:
        texts += [str(error), repr(error), repr(error.args), repr(vars(error))]
        error = error.__cause__ or error.__context__
    return texts


async def test_closing_leaves_no_open_connection(stub: Stub, make_client: MakeClient) -> None:
    stub.always = lambda _: answer(SELF)
    async with make_client() as client:
        await client.start()  # a second start changes nothing
        await client.for_grant(SecretStr(GRANT), agreement_number=1).get_self()
    gc.collect()  # a forgotten session warns when it goes, and warnings are errors
    with pytest.raises(RuntimeError, match="not started"):
        await client.for_grant(SecretStr(GRANT), agreement_number=1).get_self()
