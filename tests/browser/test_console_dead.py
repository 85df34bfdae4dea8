"""Dead letters at a browser: the walk from a failed invoice to a synced one, and all that may come in between."""

import asyncio
import re

import pytest
from browser_kit import OLGA_TOKEN, OPERATOR_TOKEN, VIEWER_TOKEN, Site, Visitor, assert_page_good
from letters_for_pages import EVIL, LONG, LONG_WORKSPACE, SYNCED, barred_invoice, bury
from playwright.async_api import expect
from support import eventually

pytestmark = pytest.mark.requirement("B3", "B4")


async def test_a_failed_invoice_is_read_about_put_right_replayed_and_synced(site: Site, otto: Visitor) -> None:
    running, page = site.running, otto.page
    await running.connect()
    await running.import_all()
    letter, product, invoice = await barred_invoice(site)
    await page.get_by_role("link", name="Dead letters").click()
    await expect(page.get_by_role("heading", name="1 product barred")).to_be_visible()
    await expect(page.locator("main")).to_contain_text("Website, November")
    await assert_page_good(otto, "dead-by-cause")
    await page.get_by_role("link", name=re.compile("Website, November")).click()
    await expect(page.locator("main")).to_contain_text("is barred in e-conomic")
    await assert_page_good(otto, "dead-letter")

    await page.get_by_role("link", name="Dry run …").click()
    await page.get_by_role("button", name="Look now").click()
    await expect(page.locator("main")).to_contain_text("It would fail again.")
    running.agreement.bar_product(product, barred=False)
    await otto.open(f"/console/dead/{letter}/dry-run")
    await page.get_by_role("button", name="Look now").click()
    await expect(page.locator("main")).to_contain_text("Nothing is wrong any more.")

    await page.get_by_role("link", name="Replay …").click()
    await assert_page_good(otto, "dead-replay")
    await page.get_by_role("button", name="Replay now").click()
    await expect(page.locator("#state")).to_contain_text("Done: synced", timeout=20_000)
    await expect(page.locator("#story")).to_contain_text("replay by console: otto")
    assert await running.value("select status from pike.invoices where id = $1::uuid", invoice) == "draft"
    assert len([draft for draft in running.agreement.drafts if invoice in str(draft)]) == 1
    assert [answer for answer in running.heard if answer.type == SYNCED]
    await assert_page_good(otto, "dead-letter-done")


async def test_the_second_of_two_operators_is_told_and_nothing_happens_twice(site: Site, otto: Visitor) -> None:
    letter = await bury(site)
    async with site.visitor(OLGA_TOKEN) as olga:
        await olga.open(f"/console/dead/{letter}/discard")
        await otto.open(f"/console/dead/{letter}/replay")
        await olga.page.get_by_label("Why nothing has to be done").fill("Agreed with the customer")
        await olga.page.get_by_role("button", name="Discard").click()
        await expect(olga.page.locator("main")).to_contain_text("Discarded by console: olga: Agreed with the customer")
        await otto.page.get_by_role("button", name="Replay now").click()
        await expect(otto.page.get_by_role("heading", name="Somebody was faster")).to_be_visible()
        await expect(otto.page.locator("main")).to_contain_text("by console: olga (Agreed with the customer)")
    assert await site.running.rows("select action, operator from economic.operator_audit") == [
        {"action": "discard", "operator": "console: olga"}
    ]


async def test_two_clicks_at_once_send_one_event(site: Site) -> None:
    letter = await bury(site)
    async with site.visitor() as otto, site.visitor(OLGA_TOKEN) as olga:
        for each in (otto, olga):
            await each.open(f"/console/dead/{letter}/replay")
        await asyncio.gather(*(each.page.get_by_role("button", name="Replay now").click() for each in (otto, olga)))
        told = [await each.words() for each in (otto, olga)]
        assert sorted("Somebody was faster" in words for words in told) == [False, True]
    assert await site.running.value("select count(*) from economic.operator_audit where action = 'replay'") == 1


async def test_a_viewer_looks_and_cannot_act(site: Site) -> None:
    letter = await bury(site)
    async with site.visitor(VIEWER_TOKEN) as vera:
        await vera.open(f"/console/dead/{letter}")
        words = await vera.words()
        assert "product 7 is barred" in words
        assert not re.search(r"Replay …|Edit …|Discard …|Dry run …", words)
        for act in ("replay", "edit", "discard", "dry-run"):
            answer = await vera.page.goto(f"/console/dead/{letter}/{act}")
            assert answer is not None
            assert answer.status == 403
            token = await vera.page.request.get(f"/console/dead/{letter}")
            found = re.search(r'name="form_token" value="([^"]+)"', await token.text())
            assert found is not None
            sent = await vera.page.request.post(
                f"/console/dead/{letter}/{act}", form={"form_token": found[1], "reason": "x", "body": "{}"}
            )
            assert sent.status == 403
    assert await site.running.value("select state from economic.dead_letters") == "open"
    assert await site.running.value("select count(*) from economic.operator_audit") == 0


async def test_a_session_that_ends_in_the_middle_leads_back_to_the_form(site: Site, otto: Visitor) -> None:
    letter = await bury(site)
    page = otto.page
    await otto.open(f"/console/dead/{letter}/edit")
    await page.get_by_label("The event").fill('{"half": "done"')
    await site.running.rows("update economic.operator_sessions set expires_at = now()")
    await page.get_by_role("button", name="Show the difference").click()
    await expect(page.locator("main")).to_contain_text("nothing of it was done")
    await page.get_by_label("Operator token").fill(OPERATOR_TOKEN)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page).to_have_url(f"{site.address}/console/dead/{letter}/edit")
    await expect(page.get_by_label("The event")).to_have_value('{"half": "done"')  # what was typed is still there
    assert await site.running.value("select state from economic.dead_letters") == "open"


async def test_a_form_without_our_token_changes_nothing(site: Site, otto: Visitor) -> None:
    letter = await bury(site)
    for token in ("", "0" * 64):
        sent = await otto.page.request.post(f"/console/dead/{letter}/replay", form={"form_token": token})
        assert sent.status == 403
    assert await site.running.value("select state from economic.dead_letters") == "open"


async def test_an_edit_is_shown_as_a_difference_before_it_is_sent(site: Site, otto: Visitor) -> None:
    letter, page = await bury(site), otto.page
    await otto.open(f"/console/dead/{letter}/edit")
    body = await page.get_by_label("The event").input_value()
    await page.get_by_label("The event").fill(body.replace('"Thanks"', '"Many thanks"'))
    await page.get_by_role("button", name="Show the difference").click()
    await expect(page.locator(".diff .added")).to_contain_text("Many thanks")
    await expect(page.locator(".diff .removed")).to_contain_text('"Thanks"')
    await assert_page_good(otto, "dead-edit", answers_a_form=True)
    await page.get_by_label("The event").fill(body.replace('"Thanks"', '"Other words"'))  # not what was shown
    await page.get_by_label("Why it is changed").fill("The customer asked")
    await page.get_by_role("button", name="Send it like this").click()
    await expect(page.locator(".diff .added")).to_contain_text("Other words")
    assert await site.running.value("select state from economic.dead_letters where id = $1", letter) == "open"
    await page.get_by_role("button", name="Send it like this").click()
    await expect(page.locator("main")).to_contain_text("Sent again with the edited event.")
    await expect(page.locator("main")).to_contain_text("The customer asked")
    kept = await site.running.rows("select operator, reason, before, after from economic.operator_audit")
    assert (kept[0]["operator"], kept[0]["reason"]) == ("console: otto", "The customer asked")
    assert b"Other words" in kept[0]["after"]
    assert b"Other words" not in kept[0]["before"]


async def test_an_edit_that_would_be_another_event_is_refused_with_a_sentence(site: Site, otto: Visitor) -> None:
    letter, page = await bury(site), otto.page
    await otto.open(f"/console/dead/{letter}/edit")
    body = await page.get_by_label("The event").input_value()
    for changed, told in ((body.replace("ws-test", "other"), "another workspaceid"), ("{", "cannot be read")):
        await page.get_by_label("The event").fill(changed)
        await page.get_by_role("button", name="Show the difference").click()
        await expect(page.get_by_role("alert")).to_contain_text(told)
        await expect(page.get_by_label("The event")).to_have_value(changed)


async def test_many_are_replayed_in_careful_steps_and_stop_when_they_fail_again(site: Site, otto: Visitor) -> None:
    running, page = site.running, otto.page
    for number in range(14):
        await bury(site, title=f"Invoice {number}")
    await otto.open("/console/dead")
    await page.get_by_role("link", name="Fix all like this …").click()
    await expect(page.get_by_role("heading", name="Replay 14 letters")).to_be_visible()
    await assert_page_good(otto, "dead-select")
    await page.get_by_label("How fast").select_option("20")
    await page.get_by_label("How many may fail").select_option("0")
    await page.get_by_role("button", name="Replay 14 letters").click()
    # no workspace is connected: the first letter fails again, and no other is sent
    await expect(page.locator("#progress")).to_contain_text("1 of 1 letter sent again failed", timeout=20_000)
    assert await running.value("select count(*) from economic.operator_audit where action = 'replay'") == 1
    await assert_page_good(otto, "dead-campaign")
    await otto.open("/console/dead/campaigns")
    await expect(page.locator("main")).to_contain_text("halted")
    await assert_page_good(otto, "dead-campaigns")
    await page.locator("tbody a").first.click()
    await page.get_by_role("button", name="Go on with it").click()

    async def again() -> bool:
        return await running.value("select count(*) from economic.operator_audit where action = 'replay'") == 2

    await eventually(again, timeout_s=20, message="a campaign that went on sends its next letter")


async def test_pages_of_letters_show_each_once_and_filters_narrow_them(site: Site, otto: Visitor) -> None:
    page = otto.page
    for number in range(60):
        await bury(site, title=f"Invoice {number:02}", workspace="ws-a" if number % 2 else "ws-b")
    await otto.open("/console/dead/letters")
    seen = await page.locator("tbody th a").all_inner_texts()
    assert len(seen) == 50
    await assert_page_good(otto, "dead-letters")
    await page.get_by_role("link", name="Older →").click()
    seen += await page.locator("tbody th a").all_inner_texts()
    assert sorted(re.findall(r"Invoice \d\d", " ".join(seen))) == [f"Invoice {number:02}" for number in range(60)]
    await page.get_by_role("link", name="← Newer").click()
    assert await page.locator("tbody th a").all_inner_texts() == seen[:50]
    await page.get_by_label("Workspace").fill("ws-a")
    await page.get_by_role("button", name="Filter").click()
    assert await page.locator("tbody tr").count() == 30


async def test_html_sql_and_very_long_text_in_every_field_are_inert_and_laid_out(site: Site, otto: Visitor) -> None:
    heard: list[str] = []
    otto.page.on("dialog", lambda dialog: heard.append(dialog.message))
    letters = [
        await bury(
            site, title=text, workspace=f"ws-{place}",
            problem={"cause": text, "user_message": text, "remedy": text, "fields": [text], "final": True,
                     "economic": {"error_code": text, "property": text, "log_id": text}},
            detail=text, type=text,
            history=[{"at": "2026-11-29T05:00:00+00:00", "error": text, "cause": text, "detail": text, "next": text}],
        )
        for place, text in enumerate((EVIL, LONG))
    ]  # fmt: skip
    unreadable = await bury(site, body=EVIL.encode() + b"\xff\xfe" + LONG.encode(), workspace=LONG_WORKSPACE)
    for name, path in (
        ("hard-groups", "/console/dead"),
        ("hard-list", "/console/dead/letters"),
        *((f"hard-letter-{place}", f"/console/dead/{letter}") for place, letter in enumerate((*letters, unreadable))),
        ("hard-discard", f"/console/dead/{letters[1]}/discard"),
        ("hard-room", "/console/"),
        ("hard-filter", "/console/dead/letters?cause=%3Cscript%3Ealert(3)%3C/script%3E&workspace='%3B--"),
    ):
        await otto.open(path)
        await assert_page_good(otto, name)
    await otto.open("/console/dead")
    assert "<script>alert(1)</script>" in await otto.words()
    assert heard == []
    assert await site.running.value("select count(*) from economic.dead_letters") == 3


async def test_secrets_in_a_payload_are_hidden_and_then_not_edited_here(site: Site, otto: Visitor) -> None:
    secret = "abcdefghijklmnop123456"
    body = f'{{"data": {{"grant_token": "{secret}", "note": "X-AppSecretToken: {secret}", "n": 1.50}}}}'.encode()
    letter = await bury(site, body=body)
    await otto.open(f"/console/dead/{letter}")
    words = await otto.words()
    assert secret not in await otto.page.content()
    assert "what looks like a secret is hidden" in words
    assert "1.50" in words
    await otto.open(f"/console/dead/{letter}/edit")
    await expect(otto.page.locator("main")).to_contain_text("cannot be edited here")


async def test_an_address_of_no_letter_has_a_page_that_says_so(site: Site, otto: Visitor) -> None:
    for path in (f"/console/dead/{'0' * 36}", "/console/dead/00000000-0000-0000-0000-000000000000", "/console/nothing"):
        answer = await otto.page.goto(path)
        assert answer is not None
        assert answer.status == 404
        await expect(otto.page.locator("main")).to_contain_text("There is nothing at this address.")
