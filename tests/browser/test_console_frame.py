"""The console's frame: signing in, navigation, themes, keyboard, and pages for errors."""

from browser_kit import Site, Visitor, assert_page_good
from playwright.async_api import expect


async def test_the_sign_in_page_is_good(site: Site) -> None:
    async with site.visitor(token=None) as stranger:
        await stranger.open("/console/login")
        await assert_page_good(stranger, "sign-in")


async def test_the_operations_room_is_good_and_live(site: Site, otto: Visitor) -> None:
    await site.running.connect()
    await site.running.import_all()
    await otto.open("/console/")
    await expect(otto.page.locator("[data-live-status]")).to_have_text("Live")
    await expect(otto.page.locator("#rest")).to_contain_text("ws-test")
    await assert_page_good(otto, "room")


async def test_the_theme_is_switched_by_hand_and_kept(otto: Visitor) -> None:
    page = otto.page
    await page.emulate_media(color_scheme="light")
    bright = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    await page.get_by_text("otto").click()
    await page.get_by_role("button", name="Dark").click()
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    dark = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark != bright
    await page.reload()
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == dark


async def test_a_keyboard_reaches_the_content_first(otto: Visitor) -> None:
    page = otto.page
    await page.keyboard.press("Tab")
    focused = page.locator(":focus")
    await expect(focused).to_have_text("Skip to the content")
    await expect(focused).to_be_in_viewport()
    await page.keyboard.press("Enter")
    await expect(page.locator("main")).to_be_focused()


async def test_a_deep_link_leads_through_sign_in_and_back_and_nowhere_else(site: Site) -> None:
    async with site.visitor(token=None) as stranger:
        for asked, reached in (("/console/?span=6h", "/console/?span=6h"),
                               ("/console/login?next=https://evil.example/", "/console/"),
                               ("/console/login?next=//evil.example/console/", "/console/")):  # fmt: skip
            await stranger.context.clear_cookies()
            await stranger.page.goto(asked)
            await stranger.page.get_by_label("Operator token").fill("operator-token-for-tests-2")
            await stranger.page.get_by_role("button", name="Sign in").click()
            await expect(stranger.page).to_have_url(site.address + reached)


async def test_the_end_of_a_session_is_told_by_the_live_page(site: Site, otto: Visitor) -> None:
    await expect(otto.page.locator("[data-live-status]")).to_have_text("Live")
    await site.running.rows("update economic.operator_sessions set expires_at = now()")
    await expect(otto.page.get_by_role("link", name="Sign in again")).to_be_visible(timeout=20_000)
    await otto.page.get_by_role("link", name="Sign in again").click()
    await expect(otto.page.get_by_label("Operator token")).to_be_visible()
