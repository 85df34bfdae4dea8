"""A scripted server, and a client pointed at it whose waits take no time."""

import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from economic_stub import APP_SECRET, GRANT, Stub
from pydantic import SecretStr

from worker.economic.client import EconomicClient
from worker.economic.endpoints import EconomicApi


@dataclass
class PatientClock:
    """Time that passes only by sleeping; nobody waits for it."""

    at: float = 1000.0
    sleeps: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        return datetime(2026, 11, 23, 12, 0, tzinfo=UTC) + timedelta(seconds=self.at)

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, delay_s: float) -> None:
        self.sleeps.append(delay_s)
        self.at += delay_s


@pytest.fixture
def clock() -> PatientClock:
    return PatientClock()


@pytest_asyncio.fixture
async def stub() -> AsyncIterator[Stub]:
    async with Stub() as server:
        yield server


ClientMaker = Callable[..., EconomicClient]


@pytest_asyncio.fixture
async def make_client(stub: Stub, clock: PatientClock) -> AsyncIterator[ClientMaker]:
    """Return a maker of clients; keyword arguments replace those of the constructor."""
    made: list[EconomicClient] = []

    def make(**changes: Any) -> EconomicClient:
        arguments: dict[str, Any] = {
            "legacy_url": f"{stub.url}/legacy",
            "openapi_url": f"{stub.url}/openapi",
            "app_secret_token": SecretStr(APP_SECRET),
            "clock": clock,
            "random": random.Random(7),
        }
        client = EconomicClient(**(arguments | changes))
        made.append(client)
        return client

    yield make
    for client in made:
        await client.close()


@pytest_asyncio.fixture
async def client(make_client: ClientMaker) -> EconomicClient:
    client = make_client()
    await client.start()
    return client


@pytest.fixture
def api(client: EconomicClient) -> EconomicApi:
    return client.for_grant(SecretStr(GRANT), agreement_number=123456)
