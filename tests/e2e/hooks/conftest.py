"""A worker that e-conomic calls."""

from collections.abc import AsyncIterator

import pytest
from e2e_kit import Launch
from hooks_kit import Called

from worker.bootstrap import make_front
from worker.ops.app import serving
from worker.servers.process import free_port


@pytest.fixture
async def bare(launch: Launch) -> AsyncIterator[Called]:
    """A worker with a public address, without a schedule; not connected yet."""
    port = free_port()
    async with (
        launch(public_url=f"http://127.0.0.1:{port}", sync_every_s="0") as running,
        serving(running.worker, "127.0.0.1", port, make_front(running.settings, running.worker)) as address,
        Called(running, address) as called,
    ):
        yield called


@pytest.fixture
async def called(bare: Called) -> Called:
    """The same, imported, with its hooks in place."""
    await bare.running.connect()
    await bare.running.import_all()
    await bare.hooks_are()
    return bare
