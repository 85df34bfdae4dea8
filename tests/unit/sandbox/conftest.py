"""A started sandbox with a fixed clock, and a small client that speaks to it over loopback HTTP."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from worker.sandbox import Agreement, Sandbox, SeedSize

DAY = datetime(2026, 11, 23, 12, 34, 56, tzinfo=UTC)


class Clock:
    """A clock that only moves when told to."""

    def __init__(self) -> None:
        self.at = DAY

    def __call__(self) -> datetime:
        return self.at

    def advance(self, **delta: float) -> None:
        self.at += timedelta(**delta)


@dataclass
class Reply:
    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body, parse_float=Decimal)


@dataclass
class Api:
    """Calls one agreement of a sandbox; ``path`` is below the legacy URL unless ``base`` says otherwise."""

    sandbox: Sandbox
    session: aiohttp.ClientSession
    agreement: Agreement
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.headers = {
            "X-AppSecretToken": self.sandbox.app_secret_token,
            "X-AgreementGrantToken": self.agreement.grant_token,
        }

    async def call(self, method: str, path: str, doc: Any = None, *, base: str | None = None, **headers: str) -> Reply:
        sent = self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        data = None
        if doc is not None:
            data = json.dumps(doc, default=float)
            sent.setdefault("Content-Type", "application/json")
        url = (self.sandbox.legacy_url if base is None else base) + path
        async with self.session.request(method, url, data=data, headers=sent, allow_redirects=False) as answer:
            return Reply(answer.status, await answer.read(), dict(answer.headers))

    async def get(self, path: str, **headers: str) -> Reply:
        return await self.call("GET", path, **headers)

    async def post(self, path: str, doc: Any, **headers: str) -> Reply:
        return await self.call("POST", path, doc, **headers)

    async def put(self, path: str, doc: Any, **headers: str) -> Reply:
        return await self.call("PUT", path, doc, **headers)

    async def delete(self, path: str, **headers: str) -> Reply:
        return await self.call("DELETE", path, **headers)

    async def open(self, path: str, method: str = "GET", doc: Any = None) -> Reply:
        return await self.call(method, path, doc, base=self.sandbox.openapi_url)

    async def control(self, method: str, name: str, doc: Any = None) -> Reply:
        return await self.call(method, f"/_sandbox/{name}", doc, base=self.sandbox.origin)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def size() -> SeedSize:
    return SeedSize()


@pytest_asyncio.fixture
async def sandbox(clock: Clock, size: SeedSize) -> AsyncIterator[Sandbox]:
    async with Sandbox(size=size, now=clock, language="en") as started:
        yield started


@pytest_asyncio.fixture
async def api(sandbox: Sandbox) -> AsyncIterator[Api]:
    async with aiohttp.ClientSession() as session:
        yield Api(sandbox, session, sandbox.agreements[0])


DraftMaker = Callable[..., dict[str, Any]]


@pytest.fixture
def draft_doc(sandbox: Sandbox) -> DraftMaker:
    """Return a maker of the smallest valid draft request; keyword arguments replace properties."""
    customer = next(row for row in sandbox.agreements[0].customers if not row.barred and row.vat_zone == 1)

    def make(*lines: dict[str, Any], **changes: Any) -> dict[str, Any]:
        return {
            "date": "2026-11-20",
            "currency": "DKK",
            "layout": {"layoutNumber": 19},
            "paymentTerms": {"paymentTermsNumber": 1},
            "customer": {"customerNumber": customer.number},
            "recipient": {"name": "Prøve A/S", "vatZone": {"vatZoneNumber": 1}},
            "lines": list(lines),
        } | changes

    return make


@pytest.fixture
def line() -> Callable[..., dict[str, Any]]:
    """Return a maker of a draft line for product 1 (group 3, 25 % VAT at home)."""

    def make(quantity: float = 1, price: float = 100, product: str = "1", **more: Any) -> dict[str, Any]:
        return {
            "description": "Vare",
            "product": {"productNumber": product},
            "quantity": quantity,
            "unitNetPrice": price,
        } | more

    return make
