"""The control interface, the consent page and the command line's serve."""

import asyncio
import re
from urllib.parse import parse_qs, quote, urlsplit

import aiohttp
import pytest

from worker.sandbox import Sandbox, serve

pytestmark = pytest.mark.requirement("B15")


async def test_the_state_summary_counts_and_sums_without_tokens(api) -> None:
    reply = await api.control("GET", "state")
    row = reply.json["agreements"][0]
    assert (row["customers"], row["products"], row["drafts"], row["booked"]) == (40, 25, 6, 120)
    totals = {(entry["currency"], entry["year"]): entry["net"] for entry in row["totals"]}
    assert totals == {key: str(value.net) for key, value in api.agreement.totals().items()}
    assert api.agreement.grant_token.encode() not in reply.body
    assert api.sandbox.app_secret_token.encode() not in reply.body


async def test_everything_a_demo_changes_can_be_changed_over_http(api) -> None:
    invoice = next(row.number for row in api.agreement.booked if row.remainder > 0)
    for name, doc in [
        ("change", {"customer": 1, "name": "Omdøbt"}),
        ("change", {"product": "1", "sales_price": "1.25"}),
        ("change", {"invoice": invoice}),
        ("bar-product", {"product": "2"}),
        ("close-period", {"from": "2026-01-01", "to": "2026-06-30"}),
        ("limits", {"size": 500, "window_s": 10}),
        ("switch", {"role": "Sales", "language": "da"}),
        ("faults", {"kind": "html", "probability": 0.5, "latency_s": 0.001}),
    ]:
        reply = await api.control("POST", name, doc)
        assert reply.status == 200, reply.body
    agreement = api.agreement
    assert agreement.customers[1].name == "Omdøbt"
    assert str(agreement.products["1"].sales_price) == "1.25"
    assert agreement.booked[invoice].remainder == 0
    assert agreement.products["2"].barred
    assert len(agreement.closed_periods) == 1
    assert (agreement.role, agreement.language) == ("Sales", "da")
    assert [rule.kind for rule in api.sandbox.faults.rules] == ["html"]
    await api.control("DELETE", "faults")
    assert api.sandbox.faults.rules == []
    assert (await api.get("/self")).headers["X-RateLimiting"].endswith("1/500")
    await api.control("POST", "revoke")
    assert agreement.revoked
    await api.control("POST", "restore", {"agreement": agreement.number})
    assert not agreement.revoked


async def test_an_agreement_can_be_added_and_used(api) -> None:
    doc = (await api.control("POST", "agreements", {"size": {"customers": 3, "invoices": 5}, "number": 77})).json
    assert doc["number"] == 77
    api.headers["X-AgreementGrantToken"] = doc["grant_token"]
    assert (await api.get("/self")).json["agreementNumber"] == 77
    assert (await api.get("/customers")).json["pagination"]["results"] == 3
    assert (await api.control("POST", "agreements", {"number": 77})).status == 400


@pytest.mark.parametrize(
    ("name", "doc"),
    [
        ("change", {"customer": 1, "nonsense": 1}),
        ("change", {"customer": 987654321, "name": "x"}),
        ("change", {}),
        ("faults", {"kind": "nope"}),
        ("close-period", {"from": "yesterday", "to": "today"}),
        ("revoke", {"agreement": 5}),
        ("switch", {"role": "King"}),
        ("limits", [1]),
    ],
)
async def test_a_bad_control_request_says_what_is_wrong(api, name, doc) -> None:
    reply = await api.control("POST", name, doc)
    assert reply.status == 400
    assert reply.json["error"]


def consent_path(sandbox: Sandbox, redirect: str) -> str:
    return f"?appPublicToken={sandbox.app_public_token}&redirectUrl={quote(redirect, safe='')}"


async def answer_page(api, redirect: str, answer: str):
    form = {
        "appPublicToken": api.sandbox.app_public_token,
        "redirectUrl": redirect,
        "agreement": str(api.agreement.number),
        "answer": answer,
    }
    async with api.session.post(api.sandbox.consent_url, data=form, allow_redirects=False) as reply:
        return reply.status, reply.headers.get("Location"), await reply.text()


async def test_the_consent_page_is_a_labelled_form_that_escapes_what_it_shows(api) -> None:
    api.agreement.company_name = "<b>Bøf & Co</b>"
    redirect = 'http://127.0.0.1:9/cb?x="><script>'
    page = await api.call("GET", consent_path(api.sandbox, redirect), base=api.sandbox.consent_url)
    text = page.body.decode()
    assert page.status == 200
    assert re.search(r'<html lang="en">.*<h1>.*<fieldset><legend>.*<label><input type="radio"', text, re.S)
    assert "&lt;b&gt;Bøf &amp; Co&lt;/b&gt;" in text
    assert "<script>" not in text


async def test_adding_the_app_redirects_with_the_token_and_keeps_the_query(api) -> None:
    status, location, _ = await answer_page(api, "http://127.0.0.1:9/cb?state=a%26b&empty=", "add")
    assert status == 302
    query = parse_qs(urlsplit(location).query, keep_blank_values=True)
    assert query == {"state": ["a&b"], "empty": [""], "token": [api.agreement.grant_token]}


async def test_adding_the_app_again_after_a_withdrawal_gives_a_working_new_token(api) -> None:
    old = api.agreement.grant_token
    api.agreement.revoke()
    _, location, _ = await answer_page(api, "http://127.0.0.1:9/cb", "add")
    token = parse_qs(urlsplit(location).query)["token"][0]
    assert token != old
    api.headers["X-AgreementGrantToken"] = token
    assert (await api.get("/self")).status == 200


async def test_declining_shares_nothing_and_without_redirect_the_token_is_shown(api) -> None:
    status, location, text = await answer_page(api, "http://127.0.0.1:9/cb", "decline")
    assert (status, location) == (200, None)
    assert "Nothing was shared" in text
    assert api.agreement.grant_token not in text
    status, _, text = await answer_page(api, "", "add")
    assert status == 200
    assert api.agreement.grant_token in text


@pytest.mark.parametrize("redirect", ["javascript:alert(1)", "/relative", "http://evil.example/x"])
async def test_a_redirect_elsewhere_is_refused(api, redirect) -> None:
    api.sandbox.consent_redirect_hosts = ["127.0.0.1"]
    page = await api.call("GET", consent_path(api.sandbox, redirect), base=api.sandbox.consent_url)
    assert page.status == 400
    assert (await answer_page(api, redirect, "add"))[:2] == (400, None)


async def test_an_unknown_app_gets_no_form(api) -> None:
    page = await api.call("GET", "?appPublicToken=wrong", base=api.sandbox.consent_url)
    assert page.status == 400
    assert b"<form" not in page.body


async def test_serve_prints_its_addresses_and_stops_when_cancelled() -> None:
    lines: list[str] = []
    task = asyncio.create_task(serve(seed=3, print_ready=lines.append))
    async with asyncio.timeout(5):
        while len(lines) < 7:
            await asyncio.sleep(0.005)
            assert not task.done()
    url = lines[0].removeprefix("PIKE_ECONOMIC_LEGACY_URL=")
    assert any("fake" in line for line in lines)
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{url}/self") as reply:
            assert reply.status == 401
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(aiohttp.ClientError):
            await session.get(f"{url}/self")


async def test_a_restart_keeps_the_state_and_links_follow_the_new_address(api) -> None:
    api.agreement.rename_customer(1, "Nyt navn")
    before = (await api.get("/customers/1")).json
    await api.sandbox.stop()
    with pytest.raises(aiohttp.ClientError):
        await api.post("/customers/1/contacts", {"name": "x"})
    await api.sandbox.start()
    after = (await api.get("/customers/1")).json
    assert after["name"] == "Nyt navn"
    assert after["self"] == f"{api.sandbox.legacy_url}/customers/1" != before["self"]
