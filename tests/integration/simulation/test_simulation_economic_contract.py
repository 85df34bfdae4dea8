"""The e-conomic in memory and the local e-conomic answer the real client alike (B16, B15)."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import SecretStr

from schemas.problem import Cause
from tests.simulation.economic_fake import BARRED, FakeAgreement
from tests.simulation.economic_session import FakeEconomic, SimClient
from tests.simulation.loop import Process
from tests.simulation.world import Odds, World
from worker.clock import SystemClock
from worker.economic.client import EconomicClient
from worker.economic.endpoints import EconomicApi
from worker.errors import GrantRevoked, OutcomeUnknown, Refused
from worker.sandbox import Sandbox, SeedSize

Later = Callable[[float], None]
Story = Callable[[EconomicApi, Later], Awaitable[None]]
NEW_CUSTOMER = {
    "name": "Ny (kunde) A/S", "currency": "DKK", "customerGroup": {"customerGroupNumber": 1},
    "paymentTerms": {"paymentTermsNumber": 1}, "vatZone": {"vatZoneNumber": 1},
}  # fmt: skip


@pytest.fixture(params=["memory", "sandbox"])
def run(request: pytest.FixtureRequest) -> Callable[[Story], None]:
    return _in_memory if request.param == "memory" else lambda story: asyncio.run(_in_sandbox(story))


def _in_memory(story: Story) -> None:
    world = World(1, Odds())
    economic = FakeEconomic(world)
    economic.agreements.append(FakeAgreement(7001, "grant"))

    def later(seconds: float) -> None:
        world.loop._now += seconds

    api = SimClient(world, economic, Process("test")).for_grant(SecretStr("grant"), agreement_number=7001)
    world.loop.run(story(api, later))  # type: ignore[arg-type]


async def _in_sandbox(story: Story) -> None:
    ahead = timedelta()

    def later(seconds: float) -> None:
        nonlocal ahead
        ahead += timedelta(seconds=seconds)

    start = datetime(2026, 11, 23, 12, tzinfo=UTC)
    size = SeedSize(customers=3, products=3, invoices=2, drafts=1)
    async with (
        Sandbox(size=size, now=lambda: start + ahead) as sandbox,
        EconomicClient(
            legacy_url=sandbox.legacy_url, openapi_url=sandbox.openapi_url, clock=SystemClock(),
            app_secret_token=SecretStr(sandbox.app_secret_token),
        ) as client,
    ):  # fmt: skip
        agreement = sandbox.agreements[0]
        api = client.for_grant(SecretStr(agreement.grant_token), agreement_number=agreement.number)
        await story(api, later)


async def draft(api: EconomicApi, reference: str, **changes: Any) -> bytes:
    customers = await api.search_customers(name=str(NEW_CUSTOMER["name"]))
    if not customers:
        customers = [await api.create_customer(json.dumps(NEW_CUSTOMER).encode(), f"customer for {reference}")]
    line = {"lineNumber": 1, "description": "Vare", "product": {"productNumber": "1"}, "quantity": 2}
    return json.dumps({
        "date": "2026-11-20", "currency": "DKK", "layout": {"layoutNumber": 19},
        "paymentTerms": {"paymentTermsNumber": 1},
        "customer": {"customerNumber": customers[0].customer_number},
        "recipient": {"name": "Prøve", "vatZone": {"vatZoneNumber": 1}}, "references": {"other": reference},
        "lines": [line | {"unitNetPrice": 100.25}], **changes,
    }).encode()  # fmt: skip


def test_a_draft_is_made_found_by_its_reference_and_read_with_its_lines(run: Callable[[Story], None]) -> None:
    async def story(api: EconomicApi, _later: Later) -> None:
        made = await api.create_draft(await draft(api, "Pike (1)"), "k1")
        assert [each.number for each in await api.find_drafts_by_reference("Pike (1)")] == [made.number]
        assert await api.find_drafts_by_reference("Pike") == []
        read = await api.find_draft(made.number)
        assert read is not None
        assert (read.net_amount, read.gross_amount) == (made.net_amount, made.gross_amount)
        assert (read.net_amount, read.lines is not None) == (Decimal("200.50"), True)
        assert read.vat_amount == pytest.approx(Decimal("50.125"), abs=Decimal("0.006"))
        assert read.lines is not None
        assert [line.total_net_amount for line in read.lines] == [read.net_amount]

    run(story)


@pytest.mark.requirement("B1")
def test_a_key_answers_again_for_an_hour_and_then_makes_a_second_draft(run: Callable[[Story], None]) -> None:
    async def story(api: EconomicApi, later: Later) -> None:
        body = await draft(api, "Pike 2")
        first = await api.create_draft(body, "k2")
        later(3500)
        assert (await api.create_draft(body, "k2")).number == first.number
        with pytest.raises(OutcomeUnknown):
            await api.create_draft(body + b" ", "k2")
        assert len(await api.find_drafts_by_reference("Pike 2")) == 1
        later(200)
        assert (await api.create_draft(body, "k2")).number != first.number
        assert len(await api.find_drafts_by_reference("Pike 2")) == 2

    run(story)


def test_booking_takes_the_draft_away_and_keeps_the_reference(run: Callable[[Story], None]) -> None:
    async def story(api: EconomicApi, _later: Later) -> None:
        made = await api.create_draft(await draft(api, "Pike 3"), "k3")
        body = json.dumps({"draftInvoice": {"draftInvoiceNumber": made.number}}).encode()
        booked = await api.book_draft(body, "b3")
        assert (await api.book_draft(body, "b3")).number == booked.number
        assert await api.find_draft(made.number) is None
        assert [each.number for each in await api.find_booked_by_reference("Pike 3")] == [booked.number]
        with pytest.raises(Refused):
            await api.book_draft(body, "b4")

    run(story)


def test_what_cannot_be_is_refused_and_nothing_is_made(run: Callable[[Story], None]) -> None:
    async def story(api: EconomicApi, _later: Later) -> None:
        with pytest.raises(Refused):
            await api.create_draft(await draft(api, "Pike 4", customer={"customerNumber": 99_999_999}), "k4")
        assert await api.find_drafts_by_reference("Pike 4") == []
        stranger = EconomicApi(api._transport, type(api._grant)(SecretStr("no grant"), 1))
        with pytest.raises(GrantRevoked):
            await stranger.get_self()

    run(story)


def test_a_barred_product_is_refused_in_the_words_of_the_service() -> None:
    async def story(api: EconomicApi, _later: Later) -> None:
        line = {"lineNumber": 1, "description": "x", "product": {"productNumber": BARRED}, "quantity": 1}
        with pytest.raises(Refused) as caught:
            await api.create_draft(await draft(api, "Pike 5", lines=[line]), "k5")
        assert caught.value.problem.cause is Cause.PRODUCT_BARRED

    _in_memory(story)
