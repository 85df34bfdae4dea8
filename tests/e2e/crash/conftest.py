"""One zygote for all crash tests, and a stage without a running worker."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from crash_kit import CrashStage, Zygote, crash_stage, empty_queues
from e2e_kit import SMALL, empty_database
from support import SharedVhost, Vhosts
from walks import undisturbed

from worker.sandbox import Sandbox


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    """Return the process that forks workers."""
    zygote = Zygote()
    yield zygote
    zygote.close()


@pytest.fixture(scope="module")
def module_amqp_url(vhosts: Vhosts | SharedVhost) -> Iterator[str]:
    """The module's own virtual host: making a dozen quorum queues takes longer than most walks."""
    url = vhosts.take()
    yield url
    vhosts.give_back(url)


@pytest.fixture
async def amqp_url(module_amqp_url: str) -> str:
    """The module's virtual host, emptied: a test that failed may have left something."""
    await empty_queues(module_amqp_url)
    return module_amqp_url


@pytest.fixture
async def stage(
    amqp_url: str, migrated_database_url: str, sandbox: Sandbox, zygote: Zygote, tmp_path: Path
) -> AsyncIterator[CrashStage]:
    """Return a connected local e-conomic, queues and a database, and nobody who works yet."""
    async with crash_stage(amqp_url, migrated_database_url, sandbox, zygote, tmp_path / "worker.log") as stage:
        yield stage


@pytest.fixture(scope="session")
def baselines() -> dict[str, dict[str, Any]]:
    """Walk → the rows it leaves when nothing happens to it."""
    return {}


@pytest.fixture
async def expected(
    name: str,
    baselines: dict[str, dict[str, Any]],
    amqp_url: str,
    migrated_database_url: str,
    zygote: Zygote,
    tmp_path: Path,
) -> dict[str, Any]:
    """Return the rows that the walk ``name`` leaves undisturbed. To be asked for before ``stage``: it uses the same."""
    if name not in baselines:
        log = tmp_path / "undisturbed.log"
        async with (
            Sandbox(seed=1, size=SMALL) as sandbox,
            crash_stage(amqp_url, migrated_database_url, sandbox, zygote, log) as stage,
        ):
            baselines[name] = await undisturbed(stage, name)
        await empty_database(migrated_database_url)
    return baselines[name]
