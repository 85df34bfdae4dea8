"""The seed: the same bytes for the same seed, the quirks of real agreements, and speed."""

import time
from datetime import timedelta
from decimal import Decimal

import pytest

from worker.sandbox import Sandbox, SeedSize
from worker.sandbox.amounts import line_net

pytestmark = pytest.mark.requirement("B15")

PATHS = ("/customers?pagesize=1000", "/products?pagesize=1000", "/invoices/booked?pagesize=1000", "/invoices/drafts")


async def everything(api) -> list[bytes]:
    origin = api.sandbox.origin.encode()
    return [(await api.get(path)).body.replace(origin, b"") for path in PATHS]


async def test_the_same_seed_gives_the_same_bytes_and_another_does_not(api, clock) -> None:
    first = await everything(api)
    for seed, same in ((1, True), (2, False)):
        async with Sandbox(seed=seed, now=clock, language="en") as other:
            twin = type(api)(other, api.session, other.agreements[0])
            assert (await everything(twin) == first) is same


def test_every_seeded_amount_adds_up() -> None:
    agreement = Sandbox(size=SeedSize(invoices=400)).agreements[0]
    for invoice in agreement.booked:
        for line in invoice.lines:
            expected = line_net(line.quantity or Decimal(0), line.unit_price or Decimal(0), line.discount)
            assert line.net == expected
        assert invoice.net == sum(line.net for line in invoice.lines)
        assert invoice.gross == invoice.net + invoice.vat


def test_the_seed_has_the_quirks_of_real_agreements() -> None:
    agreement = Sandbox(size=SeedSize(invoices=200)).agreements[0]
    customers, products, booked = list(agreement.customers), list(agreement.products), list(agreement.booked)
    lines = [line for invoice in booked for line in invoice.lines]
    quirks = {
        "customer without e-mail": any(c.email is None for c in customers),
        "customer without zip": any(c.zip is None for c in customers),
        "customer without country": any(c.country is None for c in customers),
        "customer without CVR": any(c.cvr is None for c in customers),
        "CVR with and without prefix": {(c.cvr or "").startswith("DK") for c in customers if c.cvr} == {True, False},
        "several e-mails": any(" " in (c.email or "") for c in customers),
        "barred customer": any(c.barred for c in customers),
        "long customer number": any(c.number > 99_999_999 for c in customers),
        "line breaks in an address": any("\r" in (c.address or "") and "\n" in (c.address or "") for c in customers),
        "contact references": any(c.contact for c in customers) and any(c.attention for c in customers),
        "contact without e-mail": any(c.email is None for c in agreement.contacts),
        "barred product": any(p.barred for p in products),
        "odd product numbers": {"A/B 1", "æble.rød"} <= set(agreement.products.rows),
        "product without unit": any(p.unit is None for p in products),
        "tab in a text": any("\t" in (i.text1 or "") for i in booked),
        "text-only line": any(line.product is None for line in lines),
        "repeated line numbers": any(len({x.number for x in i.lines}) < len(i.lines) for i in booked),
        "credit by quantity": any((line.quantity or 0) < 0 for line in lines),
        "credit by price": any((line.unit_price or 0) < 0 for line in lines),
        "negative gross": any(i.gross < 0 for i in booked),
        "paid": any(i.remainder == 0 for i in booked),
        "part paid": any(0 < i.remainder < i.gross for i in booked),
        "overpaid": any(i.remainder < 0 < i.gross for i in booked),
        "terms that are gone": any(i.terms.number not in agreement.terms for i in booked),
        "layout that is gone": any(i.layout not in agreement.layouts for i in booked),
        "deleted customer": any(i.customer not in agreement.customers for i in booked),
        "renamed customer": any(
            i.recipient.name != agreement.customers[i.customer].name
            for i in booked
            if i.customer in agreement.customers
        ),
        "four currencies": {i.currency for i in booked} == {"DKK", "EUR", "NOK", "SEK"},
        "four zones": {c.vat_zone for c in customers} == {1, 2, 3, 4},
        "no order number": any(i.order_number is None for i in booked),
        "draft without lines": any(not d.lines for d in agreement.drafts),
    }
    assert [name for name, there in quirks.items() if not there] == []


def test_the_books_are_open_today_and_closed_years_ago(clock) -> None:
    agreement = Sandbox(now=clock).agreements[0]
    today = clock().date()
    assert agreement.can_book_on(today)
    assert not agreement.can_book_on(today - timedelta(days=900))


async def test_a_large_seed_and_its_pages_are_quick(api) -> None:
    started = time.perf_counter()
    agreement = api.sandbox.add_agreement(SeedSize(customers=2000, products=1000, invoices=5000))
    seeding = time.perf_counter() - started
    api.headers["X-AgreementGrantToken"] = agreement.grant_token
    await api.get("/invoices/booked?pagesize=1000&skippages=1")
    started = time.perf_counter()
    reply = await api.get("/invoices/booked?pagesize=1000&skippages=1")
    assert len(reply.json["collection"]) == 1000
    assert time.perf_counter() - started < 1
    assert seeding < 3
    assert (len(agreement.customers), len(agreement.products), len(agreement.booked)) == (2000, 1000, 5000)
