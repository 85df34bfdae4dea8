"""Connecting in a browser, from Pike's link to the first import (R8)."""

import pytest
from access_kit import WORKSPACE, Answer, Browser, Site
from support import eventually

from worker.sandbox import Sandbox

pytestmark = pytest.mark.requirement("R8")


async def connections(site: Site) -> list[tuple[str, int, str]]:
    """Return workspace, agreement and status of every connection."""
    rows = await site.running.rows("select workspace_id, agreement_number, status from economic.connections order by 1")
    return [tuple(row.values()) for row in rows]


async def heard(site: Site, event_type: str) -> list[object]:
    """Return the data of the answers of a type."""
    return [event.data for event in site.running.heard if event.type == event_type]


async def test_a_person_connects_and_imports(bare: Site, browser: Browser) -> None:
    agreement = bare.running.agreement
    came_back = await browser.consent()
    page = await browser.get(came_back.location)
    assert agreement.company_name in page.words
    assert str(agreement.number) in page.words
    assert await connections(bare) == []  # nothing without a confirmation
    done = await browser.confirm(came_back, booking="book", sync_every_minutes="60")
    assert await connections(bare) == [(WORKSPACE, agreement.number, "active")]
    await eventually(lambda: heard(bare, "economic.connection.established"))
    row = (await bare.running.rows("select booking, sync_every_minutes, defaults from economic.connections"))[0]
    assert (row["booking"], row["sync_every_minutes"]) == ("book", 60)
    offer = await browser.get(done.location)
    assert "Import data now?" in offer.words
    for _ in range(2):  # a double click
        asked = await browser.post(
            offer.text.split('action="')[1].split('"')[0], {**offer.fields, "customers": "yes", "products": "yes"}
        )
        assert asked.status == 303
    await eventually(lambda: heard(bare, "economic.import.completed"))
    assert await bare.running.value("select count(*) from economic.imports") == 1
    assert await bare.running.value("select count(*) from pike.customers") > 0
    assert await bare.running.value("select count(*) from pike.invoices") == 0
    acts = [row["action"] for row in await bare.running.rows("select action from economic.access_audit order by id")]
    assert acts == ["connect_started", "connected", "import_requested"]


async def test_no_page_or_address_after_the_callback_holds_the_grant(bare: Site, browser: Browser) -> None:
    grant = bare.running.agreement.grant_token
    came_back = await browser.consent()
    page = await browser.get(came_back.location)
    done = await browser.confirm(came_back)
    seen = [came_back.location, str(came_back.headers), page.text, str(page.headers), done.location, done.text]
    assert not [text for text in seen if grant in text]
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["Cache-Control"] == "no-store"


def _title(answer: Answer) -> str:
    return answer.text.split("<h1>")[1].split("</h1>")[0]


@pytest.mark.parametrize(
    "change",
    [
        lambda link: link.replace("/ws-test", "/ws-other"),
        lambda link: link[:-1] + ("0" if link[-1] != "0" else "1"),
        lambda link: link.replace("by=anna", "by=mallory"),
        lambda link: link.split("&signature")[0],
        lambda link: link + "&redirectUrl=https%3A%2F%2Fevil.example",
        lambda link: link + "&by=twice",
        lambda link: link.replace("expires=", "expires=9"),
    ],
    ids=["workspace", "signature", "person", "unsigned", "redirect target", "twice", "time"],
)
async def test_a_link_that_pike_did_not_sign_like_this_is_refused(bare: Site, browser: Browser, change: object) -> None:
    answer = await browser.get(change(bare.link()))  # type: ignore[operator]
    assert (answer.status, _title(answer)) == (403, "This link is not valid")
    assert "Location" not in answer.headers
    assert await bare.running.value("select count(*) from economic.connect_attempts") == 0


@pytest.mark.parametrize("lasts_s", [-1, 7200], ids=["over", "too long"])
async def test_an_expired_link_and_one_that_lasts_too_long_are_refused(
    bare: Site, browser: Browser, lasts_s: int
) -> None:
    answer = await browser.get(bare.link(lasts_s=lasts_s))
    assert (answer.status, _title(answer)) == (410, "This link is too old")


async def test_a_link_works_once_but_may_be_opened_again_in_the_same_browser(
    bare: Site, browser: Browser, other_browser: Browser
) -> None:
    link = bare.link()
    await browser.open(link)
    stolen = await other_browser.get(link)
    assert (stolen.status, _title(stolen)) == (409, "This link was used already")
    done = await browser.confirm(await browser.consent(link))
    assert done.status == 303
    again = await browser.get(link)
    assert (again.status, _title(again)) == (409, "This was done already")


async def test_the_way_back_belongs_to_the_browser_that_set_out(
    bare: Site, browser: Browser, other_browser: Browser
) -> None:
    back = await browser.open()
    await other_browser.open()
    for answer in (await other_browser.get(f"{back}&token={bare.running.agreement.grant_token}"),):
        assert (answer.status, _title(answer)) == (403, "This was begun in another browser")
    assert bare.running.sandbox.requests == []
    assert await connections(bare) == []


async def test_a_forged_or_earlier_state_is_refused_before_anybody_is_asked(bare: Site, browser: Browser) -> None:
    link = bare.link()
    earlier = await browser.open(link)
    back = await browser.open(link)
    token = bare.running.agreement.grant_token
    forged = await browser.get(f"{back[:-3]}AAA&token={token}")
    assert (forged.status, _title(forged)) == (403, "This link is not valid")
    replaced = await browser.get(f"{earlier}&token={token}")
    assert replaced.status == 409
    twice = await browser.get(f"{back}&token={token}&token=other")
    assert twice.status == 403
    assert bare.running.sandbox.requests == []


async def test_a_callback_that_comes_twice_does_nothing_twice(bare: Site, browser: Browser) -> None:
    back = f"{await browser.open()}&token={bare.running.agreement.grant_token}"
    first = await browser.get(back)
    asked = len(bare.running.sandbox.requests)
    again = await browser.get(back)
    assert (again.status, _title(again)) == (409, "This was done already")
    assert "Go on where you were" in again.words
    assert len(bare.running.sandbox.requests) == asked
    assert (await browser.confirm(first)).status == 303
    repeated = await browser.get(back)
    assert repeated.status == 409


async def test_a_confirmation_that_comes_twice_connects_once(bare: Site, browser: Browser) -> None:
    came_back = await browser.consent()
    page = await browser.get(came_back.location)
    fields = {**page.fields, "answer": "connect"}
    assert (await browser.post(came_back.location, fields)).status == 303
    again = await browser.post(came_back.location, fields)
    assert (again.status, _title(again)) == (409, "This was done already")
    assert await bare.running.value("select grant_version from economic.connections") == 1


async def test_a_confirmation_without_our_form_is_refused(bare: Site, browser: Browser) -> None:
    came_back = await browser.consent()
    page = await browser.get(came_back.location)
    answer = await browser.post(came_back.location, {**page.fields, "form_token": "0" * 64, "answer": "connect"})
    assert answer.status == 403
    assert await connections(bare) == []


async def test_declining_and_cancelling_connect_nothing_and_keep_no_grant(bare: Site, browser: Browser) -> None:
    declined = await browser.get(await browser.open())
    assert (declined.status, _title(declined)) == (200, "Nothing was connected")
    came_back = await browser.consent()
    page = await browser.get(came_back.location)
    cancelled = await browser.post(came_back.location, {**page.fields, "answer": "cancel"})
    assert (cancelled.status, _title(cancelled)) == (200, "Nothing was connected")
    rows = await bare.running.rows("select stage, grant_sealed from economic.connect_attempts")
    assert [(row["stage"], row["grant_sealed"]) for row in rows] == [("ended", None)] * 2
    assert await connections(bare) == []


@pytest.mark.parametrize("cleared", [False, True], ids=["just now", "cleared away by the janitor meanwhile"])
async def test_an_attempt_expires_at_every_step(bare: Site, browser: Browser, cleared: bool) -> None:
    async def time_is_over() -> None:
        await bare.running.rows("update economic.connect_attempts set expires_at = now() - interval '1 second'")
        if cleared:
            await bare.running.worker.janitor.forget_attempts()

    back = await browser.open()
    await time_is_over()
    late = await browser.get(f"{back}&token={bare.running.agreement.grant_token}")
    assert (late.status, _title(late)) == (410, "This took too long")
    came_back = await browser.consent()
    page = await browser.get(came_back.location)
    await time_is_over()
    late = await browser.post(came_back.location, {**page.fields, "answer": "connect"})
    assert (late.status, _title(late)) == (410, "This took too long")
    assert await connections(bare) == []


async def test_a_grant_that_e_conomic_does_not_accept_or_whose_role_is_too_small_is_said(
    bare: Site, browser: Browser
) -> None:
    wrong = await browser.get(f"{await browser.open()}&token=made-up-by-somebody")
    assert (wrong.status, _title(wrong)) == (403, "e-conomic did not accept the access")
    bare.running.agreement.role = "Bookkeeping"
    small = await browser.consent()
    assert (small.status, _title(small)) == (403, "The access does not reach far enough")
    assert await connections(bare) == []


async def test_an_outage_of_e_conomic_leaves_the_answer_usable(bare: Site, browser: Browser, sandbox: Sandbox) -> None:
    back = f"{await browser.open()}&token={bare.running.agreement.grant_token}"
    sandbox.add_fault("status", path="/self", status=503)
    down = await browser.get(back)
    assert (down.status, _title(down)) == (503, "e-conomic does not answer now")
    sandbox.faults.clear()
    assert (await browser.confirm(await browser.get(back))).status == 303


async def test_an_agreement_that_another_workspace_has_is_refused_without_naming_it(
    bare: Site, browser: Browser
) -> None:
    await bare.running.connect("ws-secret-name")
    answer = await browser.consent()
    assert (answer.status, _title(answer)) == (409, "This agreement is connected elsewhere")
    assert "ws-secret-name" not in answer.text
    assert await connections(bare) == [("ws-secret-name", bare.running.agreement.number, "active")]


async def test_two_workspaces_that_confirm_the_same_agreement_at_once_do_not_both_get_it(
    bare: Site, browser: Browser, other_browser: Browser
) -> None:
    first = await browser.consent()
    second = await other_browser.consent(bare.link("ws-other"))
    assert (await browser.confirm(first)).status == 303
    page = await other_browser.get(second.location)
    late = await other_browser.post(second.location, {**page.fields, "answer": "connect"})
    assert (late.status, _title(late)) == (409, "This agreement is connected elsewhere")
    assert len(await connections(bare)) == 1


async def test_another_agreement_is_refused_while_connected_and_after_a_disconnect_must_be_meant(
    bare: Site, browser: Browser, sandbox: Sandbox
) -> None:
    await bare.running.connect()
    await bare.running.rows('update economic.connections set defaults = defaults || \'{"default_product": "9"}\'')
    second = sandbox.add_agreement(seed=77)
    refused = await browser.consent(agreement=second)
    assert (refused.status, _title(refused)) == (409, "This is another agreement")
    assert bare.running.agreement.company_name in refused.words
    await bare.running.request("pike.disconnect.requested", {}, "economic.connection.closed")
    came_back = await browser.consent(agreement=second)
    page = await browser.get(came_back.location)
    assert "This is another agreement than before" in page.words
    not_meant = await browser.post(came_back.location, {**page.fields, "answer": "connect"})
    assert not_meant.status == 422
    assert (await browser.confirm(came_back, another="yes")).status == 303
    assert await connections(bare) == [(WORKSPACE, second.number, "active")]
    defaults = await bare.running.value("select defaults::text from economic.connections")
    assert "default_product" not in defaults  # nothing of the agreement before


async def test_reconnecting_the_same_agreement_keeps_the_choices_and_releases_what_waited(
    bare: Site, browser: Browser
) -> None:
    await bare.running.connect(booking="book")
    await bare.running.import_all("customers")
    before = await bare.running.rows("select id, external_number from pike.customers order by id")
    bare.running.agreement.revoke()
    held = await bare.running.publish("pike.refresh.requested", {"entity": "customer", "id": str(before[0]["id"])})
    await eventually(lambda: heard(bare, "economic.connection.revoked"))
    came_back = await browser.consent()
    page = await browser.get(came_back.location)
    assert page.fields["booking"] == "book"
    assert (await browser.confirm(came_back)).status == 303
    assert await bare.running.answer(held, "economic.refresh.completed")
    assert await bare.running.rows("select id, external_number from pike.customers order by id") == before


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("on_missing_product", "create", "Pike does not create products"),
        ("on_missing_customer", "default", "stand-in customer"),
        ("booking", "burn", "Choose one of the answers."),
        ("sync_every_minutes", "1", "Choose one of the answers."),
        ("layout", "987654", "Choose one of the agreement's."),
        ("default_product", "no-such-product", "has no product no-such-product"),
        ("default_product", "", "Give the number of a product"),
    ],
)
async def test_a_choice_that_is_not_offered_is_refused_with_a_sentence(
    bare: Site, browser: Browser, field: str, value: str, sentence: str
) -> None:
    extra = {"on_missing_product": "default"} if field == "default_product" else {}
    answer = await browser.confirm(await browser.consent(), **{**extra, field: value})
    assert answer.status == 422
    assert sentence in answer.words
    assert await connections(bare) == []


async def test_a_company_name_with_markup_is_shown_as_text(bare: Site, browser: Browser, sandbox: Sandbox) -> None:
    hostile = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'
    made = sandbox.add_agreement(company_name=hostile)
    page = await browser.get((await browser.consent(agreement=made)).location)
    assert hostile in page.words or "&lt;script&gt;" in page.text
    assert "<script" not in page.text
    assert "<img" not in page.text
    assert "script" not in page.headers["Content-Security-Policy"]
