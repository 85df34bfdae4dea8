"""Operators: who gets in, as what, and what is kept of it."""

import asyncio
import hashlib
import re

import aiohttp
import pytest
from access_kit import OPERATOR_TOKEN, VIEWER_TOKEN, Browser, Site

from worker.errors import SettingsError
from worker.web.operators import Operators, Role
from worker.web.signing_in import require


async def sign_in(browser: Browser, token: str) -> int:
    """Sign in as the form does; returns the status."""
    form = await browser.get("/console/login")
    return (await browser.post("/console/login", {**form.fields, "token": token})).status


async def test_signing_in_gives_a_session_that_scripts_and_other_sites_cannot_use(browser: Browser) -> None:
    form = await browser.get("/console/login")
    answer = await browser.post("/console/login", {**form.fields, "token": OPERATOR_TOKEN})
    assert (answer.status, answer.location) == (303, "/console/")
    cookie = next(line for line in answer.headers.getall("Set-Cookie") if line.startswith("pike_operator="))
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert "otto" in (await browser.get("/console/")).words


async def test_behind_tls_cookies_keep_to_it_and_to_this_host(bare: Site) -> None:
    from worker.bootstrap import make_front
    from worker.ops.app import serving

    settings = bare.running.settings.model_copy(update={"public_url": "https://pike.example"})
    async with (
        serving(bare.running.worker, "127.0.0.1", 0, make_front(settings, bare.running.worker)) as address,
        aiohttp.ClientSession() as session,
        session.get(f"{address}/console/login") as answer,
    ):
        cookie = answer.headers["Set-Cookie"]
        assert cookie.startswith("__Host-pike_door=")
        assert "Secure" in cookie
        assert "max-age=31536000" in answer.headers["Strict-Transport-Security"]


async def test_a_session_is_known_by_its_hash_and_ends_for_everybody_at_sign_out(bare: Site, browser: Browser) -> None:
    assert await sign_in(browser, VIEWER_TOKEN) == 303
    cookie = browser.cookies()["pike_operator"]
    stored = await bare.running.value("select id_hash from economic.operator_sessions")
    assert stored == hashlib.sha256(cookie.encode()).digest()
    page = await browser.get("/console/")
    assert (await browser.post("/console/logout", {"form_token": "0" * 64})).status == 403
    assert (await browser.get("/console/")).status == 200
    assert (await browser.post("/console/logout", page.fields)).status == 303
    again = await browser.get("/console/", cookies={"pike_operator": cookie})
    assert (again.status, again.location) == (303, "/console/login")


async def test_a_form_from_another_site_is_refused(browser: Browser) -> None:
    form = await browser.get("/console/login")
    there = {"Sec-Fetch-Site": "cross-site"}
    assert (await browser.post("/console/login", {**form.fields, "token": VIEWER_TOKEN}, headers=there)).status == 403
    assert (await browser.post("/console/login", {"token": VIEWER_TOKEN})).status == 403
    assert (await browser.get("/console/")).status == 303


async def test_a_session_ends_when_its_operator_or_token_leaves_the_settings(bare: Site, browser: Browser) -> None:
    await sign_in(browser, VIEWER_TOKEN)
    row = (await bare.running.rows("select operator, token_hash from economic.operator_sessions"))[0]
    now = Operators.parse(f"vera/viewer:{VIEWER_TOKEN}")
    renewed = Operators.parse("vera/viewer:another-token-for-vera-3")
    renamed = Operators.parse(f"eva/viewer:{VIEWER_TOKEN}")
    assert [each.still(row["operator"], row["token_hash"]) is not None for each in (now, renewed, renamed)] == [
        True, False, False,
    ]  # fmt: skip


async def test_an_idle_session_and_an_old_one_end(bare: Site, browser: Browser) -> None:
    for change in ("seen_at = now() - interval '3 hours'", "expires_at = now()"):
        await sign_in(browser, VIEWER_TOKEN)
        assert (await browser.get("/console/")).status == 200
        await bare.running.rows(f"update economic.operator_sessions set {change}")
        assert (await browser.get("/console/")).status == 303


async def test_guessing_is_slowed_down_across_workers_and_recorded(bare: Site, browser: Browser) -> None:
    statuses = [await sign_in(browser, f"wrong-{number}") for number in range(8)]
    assert statuses[:5] == [403] * 5
    assert 429 in statuses
    assert await sign_in(browser, OPERATOR_TOKEN) == 429  # even the right one: whether it is right is not told
    assert await bare.running.value("select blocked_until > now() from economic.login_failures")
    noted = await bare.running.rows("select actor, details::text from economic.access_audit")
    assert {row["actor"] for row in noted} == {"stranger"}
    assert not [row for row in noted if "wrong" in row["details"]]


async def test_programs_come_with_a_bearer_token(browser: Browser) -> None:
    answer = await browser.get("/api/v1/whoami", headers={"Authorization": f"Bearer {VIEWER_TOKEN}"})
    assert (answer.status, answer.text) == (200, '{"name": "vera", "role": "viewer"}')
    for wrong in ({}, {"Authorization": "Bearer nobody"}, {"Authorization": f"Basic {VIEWER_TOKEN}"}):
        refused = await browser.get("/api/v1/whoami", headers=wrong)
        assert (refused.status, refused.headers["Content-Type"].split(";")[0]) == (401, "application/problem+json")


async def test_a_viewer_may_look_and_not_act(bare: Site, browser: Browser) -> None:
    from aiohttp import web
    from aiohttp.test_utils import make_mocked_request

    from worker.bootstrap import make_front
    from worker.web.front import FRONT

    app = web.Application()
    app[FRONT] = make_front(bare.running.settings, bare.running.worker)
    viewer = {"Authorization": f"Bearer {VIEWER_TOKEN}"}
    operator = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}

    async def ask(headers: dict[str, str], role: Role) -> str:
        return (await require(make_mocked_request("POST", "/api/v1/act", headers=headers, app=app), role)).name

    assert await ask(viewer, Role.VIEWER) == "vera"
    assert await ask(operator, Role.OPERATOR) == "otto"
    with pytest.raises(web.HTTPForbidden):
        await ask(viewer, Role.OPERATOR)
    assert (
        await bare.running.value("select actor from economic.access_audit where action = 'refused'") == "operator:vera"
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [("anna", "entry 1"), ("anna:short", "fewer than 20"), ("anna/boss:" + "x" * 30, "entry 1"),
     ("a:" + "x" * 30 + ",a:" + "y" * 30, "repeats a name")],
)  # fmt: skip
def test_a_bad_entry_is_named_by_its_place_without_its_token(text: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told) as caught:
        Operators.parse(text)
    assert "xxxx" not in str(caught.value)
    assert "short" not in str(caught.value)


def test_a_token_may_be_given_as_its_hash() -> None:
    digest = hashlib.sha256(OPERATOR_TOKEN.encode()).hexdigest()
    operators = Operators.parse(f"otto:sha256${digest}")
    found = operators.find(OPERATOR_TOKEN)
    assert found is not None
    assert (found.name, found.role) == ("otto", Role.OPERATOR)
    assert operators.find(digest) is None  # the hash opens nothing
    assert OPERATOR_TOKEN not in repr(found)


@pytest.mark.parametrize("path", ["/health/live", "/console/login", "/connect/x?by=y", "/nothing", "/static/pike.css"])
async def test_every_answer_has_strict_headers(browser: Browser, path: str) -> None:
    answer = await browser.get(path)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Server"] == "pike-economic"
    assert "style=" not in answer.text
    assert "<script" not in answer.text
    assert "script-src" not in policy
    await asyncio.sleep(0)


async def test_only_pages_behind_the_sign_in_run_a_script_and_only_our_own(browser: Browser) -> None:
    await sign_in(browser, VIEWER_TOKEN)
    answer = await browser.get("/console/")
    policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["Content-Security-Policy"].split(";"))
    assert (policy["default-src"], policy["script-src"], policy["connect-src"]) == ("'none'", "'self'", "'self'")
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", answer.text)
    assert scripts == [""]  # from a file of ours, nothing in the page
    assert "style=" not in answer.text
    assert "<style" not in answer.text
    assert not re.search(r"\son[a-z]+=", answer.text)
