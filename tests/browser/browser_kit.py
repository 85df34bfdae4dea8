"""What browser tests share: a worker with its pages, somebody who is signed in, and what every page has to obey."""

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from axe_playwright_python.async_playwright import Axe
from harness import Harness, harness
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Response

from worker.bootstrap import make_front
from worker.ops.app import serving
from worker.sandbox import Sandbox, SeedSize
from worker.servers.process import free_port

OPERATOR_TOKEN, VIEWER_TOKEN = "operator-token-for-tests-2", "viewer-token-for-tests-1"
OPERATORS = f"otto:{OPERATOR_TOKEN},olga:operator-token-for-tests-3,vera/viewer:{VIEWER_TOKEN}"
OLGA_TOKEN = "operator-token-for-tests-3"
SMALL = SeedSize(customers=16, products=14, invoices=48, drafts=6)

WIDTHS = {"desktop": (1360, 900), "phone": (390, 844)}
THEMES = ("light", "dark")
MOST_BYTES = 150_000
"""Of a page's HTML without its charts."""

SHOTS = os.environ.get("PIKE_ECONOMIC_SCREENSHOTS")
"""A folder for pictures of every page that ``assert_page_good`` looks at; none are taken without it."""

_RULES = {"resultTypes": ["violations"]}


@dataclass
class Site:
    """A running worker, the local e-conomic and the address of its pages."""

    running: Harness
    sandbox: Sandbox
    address: str
    browser: Browser

    @asynccontextmanager
    async def visitor(self, token: str | None = OPERATOR_TOKEN, **options: Any) -> AsyncIterator["Visitor"]:
        """Open a browser window of somebody's own, signed in with this token. ``options`` are Playwright's."""
        context = await self.browser.new_context(base_url=self.address, reduced_motion="reduce", **options)
        try:
            visitor = Visitor(self, context, await context.new_page())
            visitor.listen()
            if token is not None:
                await visitor.sign_in(token)
            yield visitor
        finally:
            await context.close()


@dataclass
class Visitor:
    """Somebody at a browser. ``complaints``: what the browser's console said that is no success."""

    site: Site
    context: BrowserContext
    page: Page
    complaints: list[str] = field(default_factory=list)

    def listen(self) -> None:
        """Collect errors and warnings of the console, among them what the pages' policy refused."""

        def heard(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                self.complaints.append(f"{self.page.url}: {message.text}")

        self.page.on("console", heard)
        self.page.on("pageerror", lambda error: self.complaints.append(f"{self.page.url}: {error}"))

    async def sign_in(self, token: str) -> None:
        """Sign in as the form wants it."""
        await self.page.goto("/console/login")
        await self.page.get_by_label("Operator token").fill(token)
        await self.page.get_by_role("button", name="Sign in").click()
        await self.page.wait_for_url("**/console/")

    async def open(self, path: str) -> Response:
        """Load a page; a status of 400 or more is no page."""
        answer = await self.page.goto(path)
        assert answer is not None
        assert answer.status < 400, f"{path} answered {answer.status}"
        return answer

    async def words(self) -> str:
        """Return the text that a person sees in the page's main part."""
        return await self.page.locator("main").inner_text()


async def assert_page_good(visitor: Visitor, name: str, *, answers_a_form: bool = False) -> None:
    """Check the page that is open: accessible in both themes and widths, nothing wider than the screen, no complaint of
    the browser's console, small, and readable without JavaScript. ``name`` is for its pictures.

    A page that answers a form is another one when it is asked for by its address: that it is readable is not checked.
    """
    page = visitor.page
    for theme in THEMES:
        await page.emulate_media(color_scheme="dark" if theme == "dark" else "light", reduced_motion="reduce")
        for width, (x, y) in WIDTHS.items():
            await page.set_viewport_size({"width": x, "height": y})
            if (theme, width) != ("dark", "phone"):  # the width moves things, the theme colours them: both are seen
                await _assert_accessible(page, f"{name}, {theme}, {width}")
            wide = await page.evaluate("document.documentElement.scrollWidth")
            assert wide <= x, f"{name} is {wide} pixels wide on a {width} of {x}"
            if SHOTS:
                await page.screenshot(path=Path(SHOTS) / f"{name}-{width}-{theme}.png", full_page=True)
    await page.set_viewport_size({"width": WIDTHS["desktop"][0], "height": WIDTHS["desktop"][1]})
    assert not visitor.complaints, visitor.complaints
    if not answers_a_form:
        await _assert_whole_without_scripts(visitor, name)


async def _assert_accessible(page: Page, where: str) -> None:
    found = (await Axe().run(page, options=_RULES)).response["violations"]
    told = [f"{each['id']}: {each['help']}: {each['nodes'][0]['html'][:300]}" for each in found]
    assert not told, f"{where}: " + "\n".join(told)


_MARKUP = re.compile(r"</?(div|dl|figure|li|ol|p|section|span|svg|table|ul)\b[^<]*>")


async def _assert_whole_without_scripts(visitor: Visitor, name: str) -> None:
    headings = await visitor.page.locator("h1, h2").all_inner_texts()
    context = await visitor.site.browser.new_context(
        java_script_enabled=False, storage_state=await visitor.context.storage_state()
    )
    try:
        bare = await context.new_page()
        answer = await bare.goto(visitor.page.url)
        assert answer is not None
        html = re.sub(r"<svg.*?</svg>", "", await answer.text(), flags=re.DOTALL)
        assert len(html.encode()) <= MOST_BYTES, f"{name} has {len(html.encode())} bytes without charts"
        assert await bare.locator("h1, h2").all_inner_texts() == headings, f"{name} reads otherwise without scripts"
        words = await bare.locator("main").inner_text()
        assert words.strip(), f"{name} says nothing without scripts"
        assert not _MARKUP.search(words), f"{name} shows its markup without scripts: {words[:300]}"
    finally:
        await context.close()


@asynccontextmanager
async def open_site(
    amqp_url: str, database_url: str, browser: Browser, *, size: SeedSize = SMALL, **settings: str
) -> AsyncIterator[Site]:
    """Run a worker with pages beside a small local e-conomic; nothing is connected yet."""
    port = free_port()
    async with Sandbox(seed=1, size=size) as sandbox:
        given = {
            "public_url": f"http://127.0.0.1:{port}",
            "link_key": "l" * 40,
            "consent_url": sandbox.consent_url,
            "app_public_token": sandbox.app_public_token,
            "operator_tokens": OPERATORS,
            **settings,
        }
        async with (
            harness(amqp_url, database_url, sandbox, **given) as running,
            serving(running.worker, "127.0.0.1", port, make_front(running.settings, running.worker)) as address,
        ):
            yield Site(running, sandbox, address, browser)
