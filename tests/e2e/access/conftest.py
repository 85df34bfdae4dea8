"""A worker with its pages, and browsers that follow no redirect by themselves."""

from collections.abc import AsyncIterator

import pytest
from access_kit import OPERATORS, Browser, Site
from e2e_kit import Launch

from worker.bootstrap import make_front
from worker.ops.app import serving
from worker.sandbox import Sandbox
from worker.servers.process import free_port


@pytest.fixture
async def bare(launch: Launch, sandbox: Sandbox) -> AsyncIterator[Site]:
    """A running worker, not connected, whose pages are served."""
    port = free_port()
    settings = {
        "public_url": f"http://127.0.0.1:{port}",
        "link_key": "l" * 40,
        "consent_url": sandbox.consent_url,
        "app_public_token": sandbox.app_public_token,
        "operator_tokens": OPERATORS,
    }
    async with (
        launch(**settings) as running,
        serving(running.worker, "127.0.0.1", port, make_front(running.settings, running.worker)) as address,
    ):
        yield Site(running, address)


@pytest.fixture
async def browser(bare: Site) -> AsyncIterator[Browser]:
    """A browser in which somebody connects."""
    async with Browser(bare) as browser:
        yield browser


@pytest.fixture
async def other_browser(bare: Site) -> AsyncIterator[Browser]:
    """Somebody else's browser."""
    async with Browser(bare) as browser:
        yield browser
