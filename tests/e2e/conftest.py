"""What every end-to-end test stands on: a small local e-conomic, and a whole worker connected to it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import pytest
from harness import Harness, harness
from meddler import Meddler

from worker.sandbox import Agreement, Sandbox, SeedSize

SMALL = SeedSize(customers=16, products=14, invoices=48, drafts=6)
"""Large enough for every quirk of the seed (credit notes, text lines, a deleted customer), imported in a blink."""

Launch = Callable[..., AbstractAsyncContextManager[Harness]]


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
