"""The client against the local e-conomic: every call, and that both agree about what they speak."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from pydantic import SecretStr

from schemas.problem import Cause
from worker.clock import SystemClock
from worker.economic.client import EconomicClient
from worker.economic.endpoints import EconomicApi
from worker.economic.listing import PRODUCTS
from worker.errors import GrantRevoked, OutcomeUnknown, RateLimited, Refused, Unavailable
from worker.sandbox import Agreement, Sandbox, SeedSize

NOW = datetime(2026, 11, 23, 12, 34, 56, tzinfo=UTC)


@pytest_asyncio.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(size=SeedSize(customers=60, products=40, invoices=120, drafts=25), now=lambda: NOW) as started:
        yield started


@pytest.fixture
def agreement(sandbox: Sandbox) -> Agreement:
    return sandbox.agreements[0]


@pytest_asyncio.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[EconomicClient]:
    async with EconomicClient(
        legacy_url=sandbox.legacy_url,
        openapi_url=sandbox.openapi_url,
        app_secret_token=SecretStr(sandbox.app_secret_token),
        clock=SystemClock(),
        request_deadline_s=10.0,
        attempt_timeout_s=2.0,
    ) as started:
        yield started


@pytest.fixture
def api(client: EconomicClient, agreement: Agreement) -> EconomicApi:
    return client.for_grant(SecretStr(agreement.grant_token), agreement_number=agreement.number)


def draft_body(agreement: Agreement, reference: str, **line: Any) -> bytes:
    customer = next(row for row in agreement.customers if not row.barred and row.vat_zone == 1)
    first = {"lineNumber": 1, "description": "Vare", "product": {"productNumber": "1"}, "quantity": 2}
    document = {
        "date": "2026-11-20",
        "currency": "DKK",
        "layout": {"layoutNumber": 19},
        "paymentTerms": {"paymentTermsNumber": 1},
        "customer": {"customerNumber": customer.number},
        "recipient": {"name": "Prøve A/S", "vatZone": {"vatZoneNumber": 1}},
        "references": {"other": reference},
        "lines": [first | {"unitNetPrice": 100.25} | line],
    }
    return json.dumps(document).encode()


async def test_the_agreement_tells_who_it_is(api: EconomicApi, agreement: Agreement) -> None:
    found = await api.get_self()
    assert (found.agreement_number, found.company.name) == (agreement.number, agreement.company_name)
    assert found.settings.base_currency == "DKK"
    assert api.usage.calls == 1
    assert api.usage.cost > 0
    assert api.usage.limit


@pytest.mark.requirement("R9")
async def test_customers_and_products_are_swept_completely(api: EconomicApi, agreement: Agreement) -> None:
    customers = [page async for page in api.customer_pages(page_size=17)]
    assert [c.customer_number for p in customers for c in p.items] == sorted(c.number for c in agreement.customers)
    assert {page.total for page in customers} == {len(agreement.customers)}
    assert not any(page.rejects for page in customers)
    products = [page async for page in api.product_pages(page_size=17)]
    assert {p.product_number for page in products for p in page.items} == {p.number for p in agreement.products}
    assert [page.is_last for page in products] == [False, False, True]


@pytest.mark.requirement("B10")
async def test_only_what_changed_since_is_swept(api: EconomicApi, agreement: Agreement) -> None:
    name = next(iter(agreement.products)).number
    agreement.change_product(name, sales_price=Decimal("12.34"))
    changed = [p async for page in api.product_pages(changed_since=NOW.replace(second=0)) for p in page.items]
    assert [(p.product_number, p.sales_price) for p in changed] == [(name, Decimal("12.34"))]


@pytest.mark.requirement("R21", "B12")
async def test_booked_invoices_and_their_bulk_lines_add_up_to_the_ore(api: EconomicApi, agreement: Agreement) -> None:
    pages = [page async for page in api.booked_pages(page_size=50)]
    invoices = [invoice for page in pages for invoice in page.items]
    assert [i.number for i in invoices] == sorted(row.number for row in agreement.booked)
    lines = await api.booked_lines(invoices[0].number, invoices[-1].number)
    some = [invoice.number for invoice in invoices[:30]]
    chosen = await api.booked_lines_of(some)
    assert sorted(chosen) == some
    for invoice in invoices:
        mine = lines[invoice.number]
        assert sum((line.total_net_amount or Decimal(0)) for line in mine) == invoice.net_amount
        vat = sum((line.vat_amount or Decimal(0)) for line in mine)  # rounded per line; on the invoice per rate
        assert abs(vat - invoice.vat_amount) <= Decimal("0.005") * (len(mine) + 1)
    totals = await api.booked_totals()
    assert totals.invoice_count == len(invoices)
    assert totals.net_amount_in_base_currency == sum(i.net_amount_in_base_currency or Decimal(0) for i in invoices)


@pytest.mark.requirement("R21")
async def test_bulk_lines_are_those_of_the_single_document(api: EconomicApi) -> None:
    booked = [invoice async for page in api.booked_pages() for invoice in page.items][:10]
    bulk = await api.booked_lines_of([invoice.number for invoice in booked])
    for invoice in booked:
        alone = await api.get_booked(invoice.number)
        assert [_facts(line) for line in bulk[invoice.number]] == [_facts(line) for line in alone.lines or ()]
    drafts = [draft async for page in api.draft_pages() for draft in page.items][:10]
    bulk = await api.draft_lines_of([draft.number for draft in drafts])
    for draft in drafts:
        single = await api.get_draft(draft.number)
        assert [_facts(line) for line in bulk.get(draft.number, ())] == [_facts(line) for line in single.lines or ()]


def _facts(line: Any) -> tuple[Any, ...]:
    product = line.product_number
    return (line.description, line.quantity, line.unit_net_price, line.total_net_amount, line.vat_rate, product)


async def test_unpaid_invoices_have_something_to_pay(api: EconomicApi) -> None:
    unpaid = [invoice async for page in api.unpaid_after(0, page_size=10) for invoice in page.items]
    assert unpaid
    assert all(invoice.remainder for invoice in unpaid)


async def test_recent_invoices_are_found_by_date(api: EconomicApi) -> None:
    recent = [i async for page in api.booked_pages(date_from=date(2026, 6, 1)) for i in page.items]
    everything = [i async for page in api.booked_pages() for i in page.items]
    assert [i.number for i in recent] == [i.number for i in everything if i.date >= date(2026, 6, 1)]


@pytest.mark.requirement("R17")
async def test_bulk_contacts_are_those_of_the_customer(api: EconomicApi, agreement: Agreement) -> None:
    numbers = sorted({contact.customer for contact in agreement.contacts})[:5]
    found = await api.contacts_between(numbers[0], numbers[-1])
    for number in numbers:
        single = {(c.customer_contact_number, c.name) for c in await api.list_contacts(number)}
        assert {(c.customer_contact_number, c.name) for c in found if c.customer_number == number} == single
    pages = [page async for page in api.contact_pages()]
    assert sum(len(page.items) for page in pages) >= len(list(agreement.contacts))


@pytest.mark.requirement("B11")
async def test_customers_are_found_by_vat_number_address_and_name(api: EconomicApi, agreement: Agreement) -> None:
    customer = next(c for c in agreement.customers if c.cvr and c.email)
    agreement.change_customer(customer.number, name="Ærø (Køb & Salg) $100, [nr. 1]*", email="x@y.dk post@ae-roe.dk")
    plain = "".join(character for character in customer.cvr or "" if character.isdigit())
    for found in (
        await api.search_customers(vat_number=plain),
        await api.search_customers(vat_number=f"DK{plain}"),
        await api.search_customers(email="post@ae-roe.dk"),
        await api.search_customers(name="ærø (køb & salg) $100, [nr. 1]*"),
        await api.customers_by_number([customer.number, 999_999_999]),
    ):
        assert [c.customer_number for c in found] == [customer.number]
    assert await api.find_customer(999_999_998) is None


@pytest.mark.requirement("B11")
@pytest.mark.parametrize(
    "written", ["87654321", "DK87654321", "dk 87654321", "DK-87654321", "87 65 43 21", "DK 87 65 43 21"]
)
async def test_a_vat_number_is_found_however_either_side_writes_it(
    api: EconomicApi, agreement: Agreement, written: str
) -> None:
    number = next(c.number for c in agreement.customers)
    agreement.change_customer(number, cvr=written)
    for looked_for in ("87654321", "DK87654321", "DK 87 65 43 21", "CVR-nr. 87654321"):
        assert [c.customer_number for c in await api.search_customers(vat_number=looked_for)] == [number]


async def test_a_product_with_every_awkward_character_is_found_by_its_number(
    api: EconomicApi, sandbox: Sandbox
) -> None:
    number = "<>*%:&/\\_ ?.#+æØå_0_"
    group = (await api.product_groups())[0].product_group_number
    made = {"productNumber": number, "name": "x", "productGroup": {"productGroupNumber": group}}
    headers = {"X-AppSecretToken": sandbox.app_secret_token, "X-AgreementGrantToken": sandbox.agreements[0].grant_token}
    url = f"{sandbox.legacy_url}/products"
    await _post(url, made, headers)
    assert (await api.get_record(PRODUCTS, number)).product_number == number
    assert await api.find_product(number + "x") is None


async def _post(url: str, document: Any, headers: dict[str, str]) -> None:
    async with aiohttp.ClientSession() as session, session.post(url, json=document, headers=headers) as made:
        assert made.status == 201, await made.text()


async def test_registers_are_read(api: EconomicApi) -> None:
    assert await api.payment_terms()
    assert {zone.vat_zone_number for zone in await api.vat_zones()} >= {1, 2, 3, 4}
    assert {code.vat_code for code in await api.vat_accounts()} >= {"U25"}
    assert await api.units()
    assert await api.layouts()
    assert await api.customer_groups()
    for group in await api.product_groups():
        accounts = await api.sales_accounts(group.product_group_number)
        assert {row.vat_zone.vat_zone_number for row in accounts} >= {1}


@pytest.mark.requirement("R3", "B1")
async def test_a_draft_is_made_once_found_by_its_reference_and_booked(api: EconomicApi, agreement: Agreement) -> None:
    body = draft_body(agreement, "pike:1")
    made = await api.create_draft(body, "key-1")
    again = await api.create_draft(body, "key-1")
    assert again.number == made.number
    assert [draft.number for draft in await api.find_drafts_by_reference("pike:1")] == [made.number]
    assert (made.net_amount, made.vat_amount, made.gross_amount) == (
        Decimal("200.50"),
        Decimal("50.13"),
        Decimal("250.63"),
    )
    booking = json.dumps({"draftInvoice": {"draftInvoiceNumber": made.number}}).encode()
    invoice = await api.book_draft(booking, "key-2")
    assert (invoice.net_amount, invoice.gross_amount) == (made.net_amount, made.gross_amount)
    assert await api.find_draft(made.number) is None
    assert [i.number for i in await api.find_booked_by_reference("pike:1")] == [invoice.number]
    with pytest.raises(OutcomeUnknown):  # the key has been used, so this must be looked up before anything is sent
        await api.create_draft(draft_body(agreement, "pike:other"), "key-1")
    assert await api.find_drafts_by_reference("pike:other") == []


@pytest.mark.requirement("F17")
async def test_booking_a_draft_that_is_gone_is_explained(api: EconomicApi, agreement: Agreement) -> None:
    with pytest.raises(Refused) as caught:
        await api.book_draft(json.dumps({"draftInvoice": {"draftInvoiceNumber": 4711}}).encode(), "key")
    assert caught.value.problem.cause is Cause.DRAFT_DELETED
    assert caught.value.problem.user_message.startswith("Draft 4711 does not exist in e-conomic")


async def test_a_customer_is_made(api: EconomicApi) -> None:
    document = {
        "name": "Ny Kunde ApS",
        "currency": "DKK",
        "customerGroup": {"customerGroupNumber": (await api.customer_groups())[0].customer_group_number},
        "paymentTerms": {"paymentTermsNumber": (await api.payment_terms())[0].payment_terms_number},
        "vatZone": {"vatZoneNumber": 1},
    }
    made = await api.create_customer(json.dumps(document).encode(), "key-1")
    assert (await api.get_customer(made.customer_number)).name == "Ny Kunde ApS"


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        pytest.param({"product": {"productNumber": "gone"}}, Cause.PRODUCT_NOT_LINKED),
        pytest.param({"quantity": 1.234}, Cause.TOO_MANY_DECIMALS, marks=pytest.mark.requirement("F8")),
        pytest.param({"description": "x" * 2501}, Cause.TEXT_TOO_LONG, marks=pytest.mark.requirement("F9")),
        pytest.param({"product": {}}, Cause.LINE_INCOMPLETE, marks=pytest.mark.requirement("F8")),
    ],
)
async def test_refusals_name_line_and_cause_in_the_agreements_language(
    api: EconomicApi, agreement: Agreement, line: Any, cause: Cause
) -> None:
    with pytest.raises(Refused) as caught:
        await api.create_draft(draft_body(agreement, "pike:1", **line), "key")
    assert caught.value.problem.cause is cause
    assert caught.value.problem.user_message.startswith("Line 1: ")
    assert caught.value.problem.economic is not None
    assert caught.value.problem.economic.log_id


@pytest.mark.requirement("F1", "F2")
async def test_a_barred_product_and_a_closed_period_are_told_apart(api: EconomicApi, agreement: Agreement) -> None:
    made = await api.create_draft(draft_body(agreement, "pike:1"), "key-1")
    agreement.close_period(date(2026, 11, 1), date(2026, 11, 30))
    booking = json.dumps({"draftInvoice": {"draftInvoiceNumber": made.number}}).encode()
    with pytest.raises(Refused) as caught:
        await api.book_draft(booking, "key-2")
    assert caught.value.problem.cause is Cause.PERIOD_BARRED
    agreement.bar_product("1")
    with pytest.raises(Refused) as caught:
        await api.create_draft(draft_body(agreement, "pike:2"), "key-3")
    assert caught.value.problem.cause is Cause.PRODUCT_BARRED
    assert "product 1 is barred" in caught.value.problem.user_message


@pytest.mark.requirement("F11", "B9")
async def test_a_revoked_grant_is_noticed_on_both_surfaces(api: EconomicApi, agreement: Agreement) -> None:
    agreement.revoke()
    for call in (api.get_self(), api.booked_lines(1, 2)):
        with pytest.raises(GrantRevoked):
            await call
    agreement.restore()
    await api.get_self()


@pytest.mark.requirement("F12")
async def test_a_spent_budget_says_when_to_come_back(api: EconomicApi, sandbox: Sandbox) -> None:
    sandbox.set_limits(1, 60)
    await api.get_self()
    with pytest.raises(RateLimited) as caught:
        await api.units()
    assert caught.value.retry_after_s is not None
    assert 2 < caught.value.retry_after_s <= 60


@pytest.mark.requirement("B16")
@pytest.mark.parametrize("kind", ["status", "html", "error_in_200", "drop_before", "drop_after", "cut_body"])
async def test_a_read_survives_one_fault_of_each_kind(api: EconomicApi, sandbox: Sandbox, kind: Any) -> None:
    sandbox.add_fault(kind, times=1)
    assert (await api.get_self()).agreement_number == api.agreement_number
    assert sandbox.faults.counts[kind] == 1


@pytest.mark.requirement("F13", "B1", "B16")
@pytest.mark.parametrize("kind", ["drop_after", "hang_after", "cut_body", "truncated_json", "trickle"])
async def test_a_write_that_took_effect_unseen_is_unknown_and_found_by_its_reference(
    api: EconomicApi, agreement: Agreement, sandbox: Sandbox, kind: Any
) -> None:
    sandbox.add_fault(kind, method="POST", times=1, seconds=4.0)
    with pytest.raises(OutcomeUnknown):
        await api.create_draft(draft_body(agreement, "pike:1"), "key")
    assert len(await api.find_drafts_by_reference("pike:1")) == 1


async def test_a_truncated_page_is_unavailable(api: EconomicApi, sandbox: Sandbox) -> None:
    sandbox.add_fault("truncated_json", times=9)
    with pytest.raises(Unavailable):
        _ = [page async for page in api.customer_pages()]
