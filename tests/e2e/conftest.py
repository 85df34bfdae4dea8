"""What every end-to-end test stands on: a small local e-conomic, and a whole worker connected to it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partialmethod

import pytest
from e2e_kit import SMALL, Launch, SmallPages, empty_database
from harness import Harness, harness
from meddler import Meddler
from support import Databases

from worker.economic.endpoints import EconomicApi
from worker.sandbox import Agreement, Sandbox


@pytest.fixture(scope="module")
def module_database_url(databases: Databases) -> Iterator[str]:
    """The module's own database: cloning one takes longer than most imports."""
    url = databases.create(migrated=True)
    yield url
    databases.drop(url)


@pytest.fixture
async def migrated_database_url(module_database_url: str) -> str:
    """The module's database, emptied."""
    await empty_database(module_database_url)
    return module_database_url


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A local e-conomic with one small agreement."""
    async with Sandbox(seed=1, size=SMALL) as sandbox:
        yield sandbox


@pytest.fixture
def agreement(sandbox: Sandbox) -> Agreement:
    """The sandbox's agreement: what a person in e-conomic sees and changes."""
    return sandbox.agreements[0]


@pytest.fixture
def launch(amqp_url: str, migrated_database_url: str, sandbox: Sandbox) -> Launch:
    """Start a worker with settings of one's own: ``async with launch(import_slice_s="0.05") as running``.

    Used twice, it gives workers that share queues, database and e-conomic.
    """

    def start(**overrides: str) -> AbstractAsyncContextManager[Harness]:
        return harness(amqp_url, migrated_database_url, sandbox, **overrides)

    return start


@pytest.fixture
async def running(launch: Launch) -> AsyncIterator[Harness]:
    """A running worker whose test workspace is connected."""
    async with launch() as running:
        await running.connect()
        yield running


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> SmallPages:
    """Let imports ask for pages of so many records, so that a small agreement takes many."""

    def ask_for(size: int) -> None:
        for name in ("record_pages", "product_pages", "customer_pages", "draft_pages", "booked_pages"):
            monkeypatch.setattr(EconomicApi, name, partialmethod(getattr(EconomicApi, name), page_size=size))

    return ask_for


@pytest.fixture
async def meddler(sandbox: Sandbox) -> AsyncIterator[Meddler]:
    """A go-between on the way to the legacy service that can change what is asked and what is answered."""
    async with Meddler(sandbox.legacy_url) as meddler:
        yield meddler


@pytest.fixture
async def meddled(launch: Launch, meddler: Meddler) -> AsyncIterator[Harness]:
    """A connected worker that speaks to the legacy service through the meddler and gives up after two tries."""
    async with launch(legacy_url=meddler.url, max_attempts="2") as running:
        await running.connect()
        yield running
