"""Every legacy answer fits the vendor's JSON Schema; every OpenAPI item fits its component; shapes match recordings."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft3Validator

DATA = Path(__file__).parents[2] / "data"
SCHEMAS = DATA / "economic" / "schemas"
EXAMPLES = DATA / "economic" / "examples"
COMPONENTS = json.loads((DATA / "sandbox" / "openapi-components.json").read_text())

pytestmark = pytest.mark.requirement("B15")

INSTRUCTIONS = "invoices.drafts.draftInvoiceNumber.templates.booking-instructions.get"
READS = {
    "/self": "self.get",
    "/customers?pagesize=1000": "customers.get",
    "/customers/1": "customers.customerNumber.get",
    "/products?pagesize=1000": "products.get",
    "/products/1": "products.productNumber.get",
    "/product-groups": "product-groups.get",
    "/product-groups/1": "product-groups.productGroupNumber.get",
    "/product-groups/1/sales-accounts": "product-groups.productGroupNumber.sales-accounts.get",
    "/product-groups/1/products": "product-groups.productGroupNumber.products.get",
    "/vat-accounts": "vat-accounts.get",
    "/vat-accounts/U25": "vat-accounts.id.get",
    "/vat-zones": "vat-zones.get",
    "/vat-zones/1": "vat-zones.vatZoneNumber.get",
    "/vat-types": "vat-types.get",
    "/payment-terms": "payment-terms.get",
    "/payment-terms/2": "payment-terms.paymentTermsNumber.get",
    "/units": "units.get",
    "/units/1": "units.unitNumber.get",
    "/layouts": "layouts.get",
    "/layouts/19": "layouts.layoutNumber.get",
    "/customer-groups": "customer-groups.get",
    "/customer-groups/2": "customer-groups.customerGroupNumber.get",
    "/currencies": "currencies.get",
    "/currencies/EUR": "currencies.code.get",
    "/accounts": "accounts.get",
    "/accounts/1010": "accounts.accountNumber.get",
    "/accounting-years": "accounting-years.get",
    "/accounting-years/2026": "accounting-years.accountingYear.get",
    "/employees": "employees.get",
    "/employees/1": "employees.employeeNumber.get",
    "/app-roles": "app-roles.get",
    "/invoices": "invoices.get",
    "/invoices/drafts?pagesize=1000": "invoices.drafts.get",
    "/invoices/drafts/121": "invoices.drafts.draftInvoiceNumber.get",
    "/invoices/drafts/121/templates/booking-instructions": INSTRUCTIONS,
    "/invoices/booked?pagesize=1000": "invoices.booked.get",
    "/invoices/booked/10001": "invoices.booked.bookedInvoiceNumber.get",
    "/invoices/booked/10016": "invoices.booked.bookedInvoiceNumber.get",
    "/invoices/paid": "invoices.paid.get",
    "/invoices/unpaid": "invoices.unpaid.get",
    "/invoices/overdue": "invoices.overdue.get",
    "/invoices/not-due": "invoices.not-due.get",
    "/invoices/totals/booked": "invoices.totals.booked.get",
    "/invoices/totals/booked/paid": "invoices.totals.booked.paid.get",
    "/invoices/totals/booked/unpaid": "invoices.totals.booked.unpaid.get",
}


def check(doc: Any, name: str) -> None:
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    problems = [f"{list(e.absolute_path)}: {e.message}" for e in Draft3Validator(schema).iter_errors(doc)]
    assert problems == []
    recorded_but_unpublished = {"orderNumber", "metaData", "pricing"}
    assert set(doc) <= set(schema["properties"]) | recorded_but_unpublished


@pytest.mark.parametrize("path", READS)
async def test_every_read_fits_the_published_schema(api, path) -> None:
    reply = await api.get(path)
    assert reply.status == 200
    check(json.loads(reply.body), READS[path])


async def test_contacts_fit_the_published_schema(api) -> None:
    customer = next(number for number, owned in api.agreement.contacts_of.items() if owned)
    check(json.loads((await api.get(f"/customers/{customer}/contacts")).body), "customers.customerNumber.contacts.get")
    one = await api.get(f"/customers/{customer}/contacts/1")
    check(json.loads(one.body), "customers.customerNumber.contacts.contactNumber.get")


async def test_created_documents_fit_the_published_schemas(api, draft_doc, line) -> None:
    customer = {
        "name": "Ny Kunde",
        "currency": "DKK",
        "customerGroup": {"customerGroupNumber": 1},
        "paymentTerms": {"paymentTermsNumber": 1},
        "vatZone": {"vatZoneNumber": 1},
    }
    product = {"productNumber": "æ/1 b", "name": "Ny vare", "productGroup": {"productGroupNumber": 1}}
    draft = await api.post("/invoices/drafts", draft_doc(line()))
    answers = [
        (await api.post("/customers", customer), "customers.customerNumber.get"),
        (await api.post("/products", product), "products.productNumber.get"),
        (await api.post("/customers/1/contacts", {"name": "K"}), "customers.customerNumber.contacts.contactNumber.get"),
        (draft, "invoices.drafts.draftInvoiceNumber.get"),
        (
            await api.post(
                "/invoices/booked", {"draftInvoice": {"draftInvoiceNumber": draft.json["draftInvoiceNumber"]}}
            ),
            "invoices.booked.bookedInvoiceNumber.get",
        ),
    ]
    for reply, name in answers:
        assert reply.status == 201
        assert reply.headers["Location"] == reply.json["self"]
        check(json.loads(reply.body), name)


OPEN = {
    "/customersapi/v3.1.0/Contacts": "Contact",
    "/customersapi/v3.1.0/Customers": "Customer",
    "/productsapi/v2.0.0/products": "Product",
    "/productsapi/v2.0.0/productgroups": "ProductGroup",
    "/productsapi/v2.0.0/productgroups/1/zones": "Zone",
    "/q2capi/v5.3.0/invoices/booked/lines": "BookedInvoiceLine",
    "/q2capi/v5.3.0/invoices/drafts/lines": "DraftInvoiceLine",
}
PYTHON = {"integer": int, "number": (int, float), "string": str, "boolean": bool, "array": list, "object": dict}


@pytest.mark.parametrize("path", OPEN)
async def test_every_openapi_item_fits_its_component(api, path) -> None:
    component = COMPONENTS[OPEN[path]]
    items = json.loads((await api.open(path)).body)["items"]
    assert items
    for item in items:
        assert set(component.get("required", ())) <= set(item) <= set(component["properties"])
        for name, value in item.items():
            kind = component["properties"][name]["type"]
            assert isinstance(value, PYTHON[kind]), f"{name} is {value!r}, wanted {kind}"
            assert kind != "integer" or not isinstance(value, bool)


RECORDED = {
    "customers.number.get": "/customers/1",
    "products.number.get": "/products/1",
    "invoices.booked.number.get-bookWithNumber": "/invoices/booked/10001",
    "invoices.drafts.number.get": "/invoices/drafts/121",
    "self.get": "/self",
    "payment-terms.get": "/payment-terms?skippages=0&pagesize=1000",
    "vat-zones.get": "/vat-zones?skippages=0&pagesize=1000",
    "vat-types.get": "/vat-types?skippages=0&pagesize=1000",
    "layouts.get": "/layouts?skippages=0&pagesize=1000",
    "product-groups.get": "/product-groups?skippages=0&pagesize=1000",
    "customer-groups.get": "/customer-groups?skippages=0&pagesize=1000",
    "customers.collection": "/customers?pagesize=2",
    "products.collection": "/products?pagesize=2",
    "accounts.collection": "/accounts?pagesize=2",
    "invoices.drafts.get": "/invoices/drafts?skippages=0&pagesize=1000",
}
MAY_MISS = {
    # properties that need a module, a setting or data that a record of the seed need not have
    "customers": {
        "barred",
        "layout",
        "email",
        "salesPerson",
        "mobilePhone",
        "defaultDeliveryLocation",
        "zip",
        "city",
        "country",
        "telephoneAndFaxNumber",
    },
    "products": {"inventory", "unit", "description"},
    "self": {"faxNumber", "phoneNumber"},
    "invoices": {"notes", "references", "deliveryLocation", "delivery"},
    "payment-terms": set(),
}


def kinds(doc: dict[str, Any]) -> dict[str, str]:
    names = {int: "number", float: "number", str: "text", bool: "flag", dict: "object", list: "list"}
    return {name: names[type(value)] for name, value in doc.items()}


@pytest.mark.parametrize("name", RECORDED)
async def test_property_names_and_types_match_the_recorded_answer(api, name) -> None:
    recorded = json.loads((EXAMPLES / f"{name}.json").read_text())
    ours = json.loads((await api.get(RECORDED[name])).body)
    missing_allowed = MAY_MISS.get(name.partition(".")[0], set())
    pairs = [(recorded, ours)]
    if "collection" in recorded:
        pairs += [(recorded["pagination"], ours["pagination"])]
        union: dict[str, Any] = {}
        for item in ours["collection"]:
            union |= item
        pairs.append((recorded["collection"][0], union))
        if "/customers" in RECORDED[name] or "/invoices" in RECORDED[name]:
            missing_allowed = missing_allowed | {"attention", "customerContact"}
    for theirs, mine in pairs:
        wanted, got = kinds(theirs), kinds(mine)
        page_links = {"nextPage", "previousPage"}
        assert set(wanted) - set(got) <= missing_allowed | page_links
        shared = set(wanted) & set(got)
        assert {key: got[key] for key in shared} == {key: wanted[key] for key in shared}


async def test_amounts_are_numbers_that_keep_their_trailing_zeros(api) -> None:
    text = (await api.get("/invoices/drafts/121")).body.decode()
    assert '"exchangeRate":100.000000' in text
    draft = api.agreement.drafts[121]
    assert f'"netAmount":{draft.net}0000,' in text
    assert f'"grossAmount":{draft.gross},' in text
