"""Writing customers, contacts and products through legacy REST."""

from decimal import Decimal

import pytest

pytestmark = pytest.mark.requirement("B15")

CUSTOMER = {
    "name": "Ny Kunde",
    "currency": "DKK",
    "customerGroup": {"customerGroupNumber": 1},
    "paymentTerms": {"paymentTermsNumber": 1},
    "vatZone": {"vatZoneNumber": 1},
}
PRODUCT = {"productNumber": "NY", "name": "Ny vare", "productGroup": {"productGroupNumber": 1}, "salesPrice": 12.5}


async def test_a_customer_without_a_number_gets_the_lowest_free_one_and_deleted_numbers_come_back(api) -> None:
    first = await api.post("/customers", CUSTOMER)
    number = first.json["customerNumber"]
    await api.post("/customers", CUSTOMER)
    assert (await api.delete(f"/customers/{number}")).status == 204
    assert (await api.get(f"/customers/{number}")).status == 404
    assert (await api.post("/customers", CUSTOMER)).json["customerNumber"] == number
    assert (await api.post("/customers", CUSTOMER)).json["customerNumber"] > number + 1


async def test_a_chosen_number_is_kept_and_refused_when_taken(api) -> None:
    assert (await api.post("/customers", CUSTOMER | {"customerNumber": 12345678})).status == 400
    assert (await api.post("/customers", CUSTOMER | {"customerNumber": 555})).json["customerNumber"] == 555


async def test_a_put_clears_what_it_omits_and_creates_what_is_missing(api, clock) -> None:
    full = CUSTOMER | {"customerNumber": 555, "barred": True, "email": "a@b.example", "city": "Ribe"}
    assert (await api.post("/customers", full)).json["barred"] is True
    clock.advance(seconds=5)
    replaced = await api.put("/customers/555", CUSTOMER)
    assert replaced.status == 200
    assert not {"barred", "email", "city"} & set(replaced.json)
    assert replaced.json["lastUpdated"] == "2026-11-23T12:35:01Z"
    assert (await api.put("/customers/556", CUSTOMER)).status == 201


@pytest.mark.parametrize("missing", sorted(CUSTOMER))
async def test_required_properties_of_a_customer(api, missing) -> None:
    reply = await api.post("/customers", {k: v for k, v in CUSTOMER.items() if k != missing})
    assert (reply.status, list(reply.json["errors"])) == (400, [missing])


@pytest.mark.parametrize(
    ("change", "name", "code"),
    [
        ({"customerGroup": {"customerGroupNumber": 9}}, "customerGroup", "E06000"),
        ({"paymentTerms": {"paymentTermsNumber": 99}}, "paymentTerms", "E07080"),
        ({"currency": "GBP"}, "currency", "E06000"),
        ({"vatZone": {}}, "vatZone", "E04500"),
        ({"email": None}, "email", None),
        ({"address": "x" * 511}, "address", None),
        ({"customerNumber": 1_000_000_000}, "customerNumber", None),
    ],
)
async def test_bad_customers_are_refused_in_place(api, change, name, code) -> None:
    reply = await api.post("/customers", CUSTOMER | change)
    error = reply.json["errors"][name]["errors"][0] if "errors" in reply.json["errors"][name] else None
    assert reply.status == 400
    assert error is not None
    assert error.get("errorCode") == code


async def test_a_customer_with_invoices_cannot_be_deleted(api) -> None:
    number = next(iter(api.agreement.booked)).customer
    assert (await api.delete(f"/customers/{number}")).status == 400
    assert number in api.agreement.customers


async def test_contacts_are_numbered_within_their_customer(api) -> None:
    customer = (await api.post("/customers", CUSTOMER)).json["customerNumber"]
    path = f"/customers/{customer}/contacts"
    first = await api.post(path, {"name": "Åse", "email": "aase@kunde.example", "emailNotifications": ["invoices"]})
    second = await api.post(path, {"name": "Bo"})
    assert [first.json["customerContactNumber"], second.json["customerContactNumber"]] == [1, 2]
    assert set(second.json) == {"customerContactNumber", "name", "customer", "sortKey", "self"}
    listed = (await api.get(path)).json["collection"]
    assert [row["name"] for row in listed] == ["Åse", "Bo"]
    assert (await api.get("/customers/424242/contacts")).status == 404


async def test_products_have_whole_minutes_and_odd_numbers(api, clock) -> None:
    created = await api.post("/products", PRODUCT | {"productNumber": "Ø/1 a.b"})
    assert created.json["lastUpdated"] == "2026-11-23T12:34:00Z"
    assert created.json["salesPrice"] == Decimal("12.50")
    path = created.json["self"].removeprefix(api.sandbox.legacy_url)
    assert path == "/products/%C3%98_6_1_9_a_11_b"
    clock.advance(minutes=3)
    changed = await api.put(path, PRODUCT | {"productNumber": "Ø/1 a.b", "barred": True})
    assert (changed.status, changed.json["barred"]) == (200, True)
    assert changed.json["lastUpdated"] == "2026-11-23T12:37:00Z"
    assert (await api.delete(path)).status == 204
    assert (await api.get(path)).status == 404


async def test_a_product_that_is_on_an_invoice_cannot_be_deleted(api) -> None:
    number = next(row.line.product for row in api.agreement.booked_lines() if row.line.product == "1")
    assert (await api.delete(f"/products/{number}")).status == 400


@pytest.mark.parametrize(
    "change", [{"productNumber": "x" * 26}, {"salesPrice": 1.234}, {"productGroup": {"productGroupNumber": 99}}]
)
async def test_bad_products_are_refused(api, change) -> None:
    reply = await api.post("/products", PRODUCT | change)
    assert (reply.status, list(reply.json["errors"])) == (400, list(change))


async def test_a_body_that_is_no_json_object_is_refused_and_other_types_are_415(api) -> None:
    url = f"{api.sandbox.legacy_url}/customers"
    for body in (b"{", b"[" * 20_000, b'{"name": NaN}', b"\xff"):
        headers = api.headers | {"Content-Type": "application/json"}
        async with api.session.post(url, data=body, headers=headers) as answer:
            assert answer.status == 400
    async with api.session.post(url, data=b"<x/>", headers=api.headers | {"Content-Type": "text/xml"}) as answer:
        assert answer.status == 415


async def test_unsupported_methods_are_405_and_unknown_paths_404(api) -> None:
    reply = await api.call("PATCH", "/customers/1", {"name": "x"})
    assert (reply.status, reply.headers["Allow"]) == (405, "DELETE, GET, PUT")
    assert (await api.get("/bills")).status == 404
    assert (await api.get("/customers/abc")).status == 404
