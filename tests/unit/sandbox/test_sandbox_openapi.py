"""The OpenAPI services: cursors, filters, lines, object versions and problems."""

from decimal import Decimal

import pytest

from worker.sandbox import SeedSize

pytestmark = pytest.mark.requirement("B15")

CONTACTS = "/customersapi/v3.1.0/Contacts"
BOOKED = "/q2capi/v5.3.0/invoices/booked"
DRAFTS = "/q2capi/v5.3.0/invoices/drafts"
PRODUCTS = "/productsapi/v2.0.0/products"


async def items(api, path):
    reply = await api.open(path)
    assert reply.status == 200, reply.body
    return reply.json["items"]


async def test_a_short_list_has_no_cursor(api) -> None:
    assert "cursor" not in (await api.open(CONTACTS)).json


@pytest.mark.parametrize("size", [SeedSize(customers=900, invoices=900, contacts_per_customer=1.4)])
@pytest.mark.parametrize("path", [CONTACTS, f"{BOOKED}/lines"])
async def test_following_the_cursor_gives_every_item_once(api, size, path) -> None:
    seen, query = [], ""
    while True:
        doc = (await api.open(path + query)).json
        seen += [(item.get("documentId"), item["number"]) for item in doc["items"]]
        assert len(doc["items"]) <= 1000
        if "cursor" not in doc:
            break
        query = f"?cursor={doc['cursor']}&sort=-number"
    assert len(seen) == len(set(seen)) > 1000
    expected = len(api.agreement.contacts) if path == CONTACTS else len(api.agreement.booked_lines())
    assert len(seen) == expected
    count = await api.open(f"{path}/count")
    assert count.json == expected


async def test_booked_lines_state_account_and_vat_and_add_up(api) -> None:
    number = next(row.number for row in api.agreement.booked if row.vat)
    invoice = api.agreement.booked[number]
    lines = await items(api, f"{BOOKED}/lines?filter=documentId$eq:{number}")
    assert sum(line["totalNetAmount"] for line in lines) == invoice.net
    assert {line["vatRate"] for line in lines if line.get("productNumber")} <= {0, 25}
    assert all(line["bookedAccount"] in api.agreement.accounts for line in lines if "productNumber" in line)
    assert (await api.open(f"{BOOKED}/{number}/lines")).json == lines
    assert (await api.open(f"{BOOKED}/{number}/lines/1")).json == lines[0]


@pytest.mark.parametrize(
    ("text", "keep"),
    [
        ("documentId$in:[10001,10003]", lambda n: n in (10001, 10003)),
        ("documentId$gt:10118", lambda n: n > 10118),
        ("documentId$gte:10118$and:documentId$lt:10120", lambda n: 10118 <= n < 10120),
        ("documentId$lte:10001", lambda n: n <= 10001),
    ],
)
async def test_booked_lines_are_filtered_by_document(api, text, keep) -> None:
    got = {line["documentId"] for line in await items(api, f"{BOOKED}/lines?filter={text}")}
    assert got == {number for number in api.agreement.booked.rows if keep(number)}


async def test_what_the_document_calls_unfilterable_is_a_bad_filter(api) -> None:
    for field in ("vatRate", "description", "nonsense"):
        reply = await api.open(f"{BOOKED}/lines?filter={field}$eq:1")
        assert (reply.status, reply.json["errorCode"]) == (400, "BadFilterRequest")
        assert reply.json["title"] == f"Filtering is not allowed on property '{field}'."
    wrong = await api.open(f"{BOOKED}/lines?filter=productNumber$like:a")
    assert wrong.json["title"] == "Operator $like: not supported on property productNumber."


async def test_a_draft_has_two_numbers(api, draft_doc, line) -> None:
    doc = (await api.post("/invoices/drafts", draft_doc(line()))).json
    number, internal = doc["draftInvoiceNumber"], doc["soap"]["currentInvoiceHandle"]["id"]
    assert number != internal
    by_number = await items(api, f"{DRAFTS}/lines?filter=draftInvoiceNumber$eq:{number}")
    assert [row["documentId"] for row in by_number] == [internal]
    assert (await api.open(f"{DRAFTS}/{internal}/lines")).json == by_number
    assert (await api.open(f"{DRAFTS}/{number}/lines")).json == []


async def test_paths_ignore_case_but_keys_do_not(api) -> None:
    assert (await api.open("/CustomersAPI/v3.1.0/contacts/1")).json["number"] == 1
    assert (await api.open(f"{PRODUCTS}/%C3%A6ble.r%C3%B8d")).json["productNumber"] == "æble.rød"
    assert (await api.open(f"{PRODUCTS}/%C3%86BLE.r%C3%B8d")).status == 404


async def test_an_unknown_thing_or_version_is_the_recorded_problem(api) -> None:
    for path in (f"{CONTACTS}/99999", "/customersapi/v9.9.9/Contacts"):
        reply = await api.open(path)
        assert reply.status == 404
        assert {key: reply.json[key] for key in ("type", "title", "status", "detail", "errors", "errorCode")} == {
            "type": "https://tools.ietf.org/html/rfc9110#section-15.5.5",
            "title": "Resource not found.",
            "status": 404,
            "detail": "The resource you have been looking for does not exist.",
            "errors": [],
            "errorCode": "ResourceNotFound",
        }


async def test_contacts_change_only_with_their_current_version(api) -> None:
    created = await api.open(CONTACTS, "POST", {"customerNumber": 1, "name": "Ny Kontakt"})
    assert (created.status, list(created.json)) == (201, ["number"])
    contact = (await api.open(f"{CONTACTS}/{created.json['number']}")).json
    stale = contact | {"name": "A", "objectVersion": "0"}
    assert (await api.open(CONTACTS, "PUT", stale)).json["errorCode"] == "UpdateConflict"
    assert (await api.open(CONTACTS, "PUT", contact | {"name": "B"})).status == 204
    changed = (await api.open(f"{CONTACTS}/{contact['number']}")).json
    assert (changed["name"], changed["objectVersion"] != contact["objectVersion"]) == ("B", True)
    assert (await api.open(CONTACTS, "PUT", contact | {"name": "C"})).status == 409


async def test_a_deleted_contact_stays_in_the_feed_as_deleted(api, clock) -> None:
    clock.advance(hours=1)
    assert (await api.open(f"{CONTACTS}/1", "DELETE")).status == 204
    feed = await items(api, f"{CONTACTS}?filter=lastUpdated$gte:2026-11-23T13:00:00Z")
    assert [(row["number"], row["isDeleted"], row["active"]) for row in feed] == [(1, True, False)]


async def test_contact_refusals_have_the_services_codes(api) -> None:
    known = api.agreement.contacts[1]
    twice = await api.open(CONTACTS, "POST", {"customerNumber": known.customer, "name": known.name})
    assert twice.json["errorCode"] == "CustomerContactNameAlreadyExists"
    nobody = await api.open(CONTACTS, "POST", {"customerNumber": 424242, "name": "x"})
    assert nobody.json["errorCode"] == "CustomerDoesNotExist"
    empty = await api.open(CONTACTS, "POST", {"customerNumber": 1})
    assert empty.json["errors"][0]["property"] == "name"
    bare = await api.open(CONTACTS, "POST", [1])
    assert bare.json["title"] == "Expected a JSON with an object as the root element."


async def test_products_are_created_and_replaced(api) -> None:
    doc = {"productNumber": "Ø 1", "name": "N", "productGroupId": 1, "isAccessible": True, "salesPrice": 2.5}
    assert (await api.open(PRODUCTS, "POST", doc)).json == {"productNumber": "Ø 1"}
    path = f"{PRODUCTS}/%C3%98%201"
    version = (await api.open(path)).json["objectVersion"]
    assert (await api.open(path, "PUT", doc)).status == 409
    assert (await api.open(path, "PUT", doc | {"objectVersion": version, "isAccessible": False})).status == 204
    assert api.agreement.products["Ø 1"].barred
    assert api.agreement.products["Ø 1"].sales_price == Decimal("2.50")
    twice = await api.open(PRODUCTS, "POST", doc)
    assert twice.json["errorCode"] == "ProductNumberAlreadyExists"
    assert (await api.open(PRODUCTS, "POST", doc | {"productNumber": "x", "productGroupId": 99})).status == 400


async def test_a_group_gives_one_account_per_zone_and_an_unknown_parent_gives_none(api) -> None:
    zones = await items(api, "/productsapi/v2.0.0/productgroups/1/zones")
    assert {row["id"]: row["accountId"] for row in zones} == {1: 1010, 2: 1020, 3: 1030, 4: 1050}
    assert await items(api, "/productsapi/v2.0.0/productgroups/99/zones") == []
    group = (await api.open("/productsapi/v2.0.0/productgroups/1")).json
    assert group["domesticAccountId"] == 1010


async def test_paged_lists_are_bare_arrays_with_their_own_limits(api) -> None:
    rows = (await api.open("/productsapi/v2.0.0/productspaged/paged?pageSize=5&skipPages=1&sort=-name")).json
    names = sorted((row.name.casefold() for row in api.agreement.products), reverse=True)
    assert [row["name"].casefold() for row in rows] == names[5:10]
    for bad in ("pageSize=101", "pageSize=0", "skipPages=101"):
        assert (await api.open(f"{CONTACTS}/paged?{bad}")).status == 400
