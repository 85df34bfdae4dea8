"""Chromium, and a worker whose pages it opens."""

from collections.abc import AsyncIterator

import pytest
from browser_kit import Site, Visitor, open_site
from chromium import find_chromium
from playwright.async_api import Browser, async_playwright


def pytest_collection_finish(session: pytest.Session) -> None:
    """Install Chromium before any test's time limit runs."""
    needed = any("chrome" in getattr(item, "fixturenames", ()) for item in session.items)
    if needed and not session.testsfailed and not session.config.getoption("collectonly"):
        find_chromium()


@pytest.fixture
async def chrome() -> AsyncIterator[Browser]:
    """Headless Chromium."""
    async with async_playwright() as playwright:
        # root, as in containers, cannot use Chromium's sandbox; the only pages opened are our own
        browser = await playwright.chromium.launch(
            executable_path=find_chromium(), args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        yield browser
        await browser.close()


@pytest.fixture
async def site(amqp_url: str, migrated_database_url: str, chrome: Browser) -> AsyncIterator[Site]:
    """A running worker with its pages; no workspace is connected."""
    async with open_site(amqp_url, migrated_database_url, chrome) as site:
        yield site


@pytest.fixture
async def otto(site: Site) -> AsyncIterator[Visitor]:
    """An operator, signed in."""
    async with site.visitor() as visitor:
        yield visitor
