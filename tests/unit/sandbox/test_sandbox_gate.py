"""Tokens, roles, rate limit, idempotency and the headers of every answer."""

import pytest

pytestmark = pytest.mark.requirement("B15")


async def test_every_answer_carries_cost_limit_and_request_id(api) -> None:
    listed, single, missing = [await api.get(path) for path in ("/customers", "/customers/1", "/nope")]
    costs = [reply.headers["X-CallCost"] for reply in (listed, single, missing)]
    assert costs == ["3", "1", "1"]
    limits = [reply.headers["X-RateLimiting"] for reply in (listed, single, missing)]
    assert limits == [f"token-limit-10000-per-60-seconds: {used}/10000" for used in (3, 4, 5)]
    assert len({reply.headers["X-RequestId"] for reply in (listed, single, missing)}) == 3


@pytest.mark.requirement("F11")
@pytest.mark.parametrize("broken", ["X-AppSecretToken", "X-AgreementGrantToken"])
@pytest.mark.parametrize("value", ["", "wrong"])
async def test_a_wrong_or_missing_token_is_401_on_both_surfaces(api, broken, value) -> None:
    api.headers[broken] = value
    legacy, modern = await api.get("/self"), await api.open("/customersapi/v3.1.0/Contacts")
    assert (legacy.status, legacy.json["httpStatusCode"]) == (401, 401)
    assert modern.status == 401
    assert modern.headers["Content-Type"].startswith("application/problem+json")


@pytest.mark.requirement("F11")
async def test_a_revoked_grant_is_401_until_restored_or_granted_anew(api) -> None:
    api.agreement.revoke()
    assert (await api.get("/self")).status == 401
    api.agreement.restore()
    assert (await api.get("/self")).status == 200
    api.agreement.revoke()
    old = api.headers["X-AgreementGrantToken"]
    assert api.agreement.grant() != old
    assert (await api.get("/self")).status == 401
    api.headers["X-AgreementGrantToken"] = api.agreement.grant_token
    assert (await api.get("/self")).status == 200


@pytest.mark.requirement("F11")
@pytest.mark.parametrize(
    ("role", "refused", "allowed"),
    [
        ("Sales", ["/accounts", "/accounting-years"], ["/customers", "/invoices/drafts", "/self", "/currencies"]),
        ("Bookkeeping", ["/customers", "/invoices/booked", "/self", "/products"], ["/accounts", "/currencies"]),
        ("SuperUser", [], ["/accounts", "/customers", "/invoices/booked"]),
        ("ProjectEmployee", ["/customers", "/accounts", "/self"], ["/vat-zones"]),
    ],
)
async def test_the_role_map_decides_403(api, role, refused, allowed) -> None:
    api.agreement.role = role
    assert [(await api.get(path)).status for path in refused] == [403] * len(refused)
    assert [(await api.get(path)).status for path in allowed] == [200] * len(allowed)


async def test_the_demo_tokens_read_and_never_write(api) -> None:
    api.headers = {"X-AppSecretToken": "demo", "X-AgreementGrantToken": "demo"}
    assert (await api.get("/customers")).status == 200
    assert (await api.post("/customers/1/contacts", {"name": "x"})).status == 403
    api.headers = {}
    doc = (await api.get("/customers?demo=true")).json
    assert doc["collection"][0]["self"].endswith("?demo=true")


@pytest.mark.requirement("F12")
async def test_spent_tokens_are_429_with_retry_after_until_the_window_ends(api, clock) -> None:
    api.sandbox.set_limits(6, 60)
    assert [(await api.get("/customers")).status for _ in range(2)] == [200, 200]
    clock.advance(seconds=45)
    reply = await api.get("/customers")
    assert (reply.status, reply.headers["Retry-After"]) == (429, "15")
    assert reply.headers["X-RateLimiting"] == "token-limit-6-per-60-seconds: 6/6"
    clock.advance(seconds=15)
    assert (await api.get("/customers")).status == 200


async def test_each_agreement_has_its_own_limit(api) -> None:
    other = api.sandbox.add_agreement()
    api.sandbox.set_limits(1, 60, api.agreement)
    assert [(await api.get("/self")).status for _ in range(2)] == [200, 429]
    api.headers["X-AgreementGrantToken"] = other.grant_token
    assert [(await api.get("/self")).status for _ in range(2)] == [200, 200]


async def test_a_repeated_key_replays_the_first_answer_without_acting(api, draft_doc, line) -> None:
    body = draft_doc(line())
    before = len(api.agreement.drafts)
    first = await api.post("/invoices/drafts", body, Idempotency_Key="k-1")
    second = await api.post("/invoices/drafts", body, Idempotency_Key="k-1")
    assert (second.status, second.body) == (201, first.body)
    assert second.headers["X-ResultFromCache"] == "true"
    assert second.headers["Location"] == first.headers["Location"]
    assert "X-ResultFromCache" not in first.headers
    assert len(api.agreement.drafts) == before + 1
    assert [row.replayed for row in api.sandbox.requests] == [False, True]


async def test_a_key_is_forgotten_after_an_hour_and_acts_again(api, clock, draft_doc, line) -> None:
    body = draft_doc(line())
    first = await api.post("/invoices/drafts", body, Idempotency_Key="k-1")
    clock.advance(minutes=54)
    assert (await api.post("/invoices/drafts", body, Idempotency_Key="k-1")).body == first.body
    clock.advance(minutes=6)
    assert (await api.post("/invoices/drafts", body, Idempotency_Key="k-1")).json != first.json


@pytest.mark.parametrize(
    ("url", "change", "code"), [("/customers", {}, "URLChanged"), ("/products", {"name": "b"}, "PayloadChanged")]
)
async def test_a_key_used_otherwise_is_refused(api, url, change, code) -> None:
    body = {"productNumber": "N", "name": "a", "productGroup": {"productGroupNumber": 1}}
    assert (await api.post("/products", body, Idempotency_Key="k")).status == 201
    reply = await api.post(url, body | change, Idempotency_Key="k")
    assert (reply.status, reply.json["errorCode"]) == (400, code)


async def test_keys_of_two_grants_do_not_meet(api, line) -> None:
    body = {"productNumber": "N", "name": "a", "productGroup": {"productGroupNumber": 1}}
    other = api.sandbox.add_agreement()
    await api.post("/products", body, Idempotency_Key="k")
    api.headers["X-AgreementGrantToken"] = other.grant_token
    reply = await api.post("/products", body, Idempotency_Key="k")
    assert reply.status == 201
    assert "X-ResultFromCache" not in reply.headers


async def test_the_request_log_shows_no_token(api) -> None:
    await api.get("/customers?pagesize=1")
    entry = api.sandbox.requests[-1]
    assert (entry.method, entry.path, entry.query, entry.status) == ("GET", "/legacy/customers", "pagesize=1", 200)
    assert len(entry.grant) == 8
    assert api.agreement.grant_token not in repr(entry)
