"""What the sandbox computes on a draft, and what it refuses."""

from datetime import date
from decimal import Decimal

import pytest

from worker.sandbox import Sandbox
from worker.sandbox.amounts import due_date
from worker.sandbox.lookups import Terms

pytestmark = pytest.mark.requirement("B15")


def errors_at(tree, *path):
    node = tree
    for step in path:
        node = next(i for i in node["items"] if i["arrayIndex"] == step) if isinstance(step, int) else node[step]
    return [(error.get("errorCode"), error["propertyName"]) for error in node["errors"]]


async def test_totals_equal_those_recorded_from_a_live_agreement(api, draft_doc, line) -> None:
    lines = [line(3, 153.44, discountPercentage=10, unitCostPrice=10.2), line(2, 23, unitCostPrice=10.22)]
    reply = await api.post("/invoices/drafts", draft_doc(*lines))
    doc = reply.json
    assert [row["totalNetAmount"] for row in doc["lines"]] == [Decimal("414.29"), Decimal("46.00")]
    assert (doc["netAmount"], doc["vatAmount"], doc["grossAmount"]) == (
        Decimal("460.29"),
        Decimal("115.07"),
        Decimal("575.36"),
    )
    assert (doc["marginInBaseCurrency"], doc["marginPercentage"]) == (Decimal("409.25"), Decimal("88.91"))
    assert [row["marginPercentage"] for row in doc["lines"]] == [Decimal("92.61"), Decimal("55.57")]
    assert doc["costPriceInBaseCurrency"] == Decimal("51.04")


async def test_half_an_oere_of_vat_is_rounded_up(api, draft_doc, line) -> None:
    doc = (await api.post("/invoices/drafts", draft_doc(line(1, 9.98)))).json
    assert (doc["vatAmount"], doc["grossAmount"]) == (Decimal("2.50"), Decimal("12.48"))


async def test_vat_rounding_is_a_switch_between_line_and_invoice(api, draft_doc, line) -> None:
    body = draft_doc(*[line(1, 0.10) for _ in range(3)])
    assert (await api.post("/invoices/drafts", body)).json["vatAmount"] == Decimal("0.08")
    api.agreement.vat_rounding = "line"
    assert (await api.post("/invoices/drafts", body)).json["vatAmount"] == Decimal("0.09")


async def test_recipient_zone_rules_the_vat_and_sent_totals_are_ignored(api, draft_doc, line) -> None:
    recipient = {"name": "Fremmed", "vatZone": {"vatZoneNumber": 3}}
    doc = (await api.post("/invoices/drafts", draft_doc(line(), recipient=recipient, grossAmount=1, netAmount=7))).json
    assert (doc["netAmount"], doc["vatAmount"], doc["grossAmount"]) == (100, 0, 100)
    assert doc["recipient"]["vatZone"]["name"] == "Abroad"


async def test_a_foreign_invoice_uses_the_price_of_100_units(api, draft_doc, line) -> None:
    doc = (await api.post("/invoices/drafts", draft_doc(line(1, 10), currency="EUR"))).json
    assert doc["exchangeRate"] == Decimal("746.05")
    assert (doc["netAmountInBaseCurrency"], doc["grossAmountInBaseCurrency"]) == (Decimal("74.61"), Decimal("93.26"))
    own = (await api.post("/invoices/drafts", draft_doc(line(1, 10), currency="EUR", exchangeRate=700))).json
    assert own["netAmountInBaseCurrency"] == 70


@pytest.mark.parametrize(
    ("kind", "days", "due"),
    [
        ("net", 8, date(2023, 4, 1)),
        ("invoiceMonth", 14, date(2023, 4, 14)),
        ("paidInCash", None, date(2023, 3, 24)),
        ("invoiceWeekStartingMonday", 1, date(2023, 3, 27)),
        ("invoiceWeekStartingSunday", 1, date(2023, 3, 26)),
    ],
)
def test_due_date_follows_the_kind_of_terms(kind, days, due) -> None:
    assert due_date(Terms(1, "x", kind, days), date(2023, 3, 24)) == due


async def test_a_sent_due_date_is_ignored_except_with_due_date_terms(api, draft_doc, line) -> None:
    ignored = await api.post("/invoices/drafts", draft_doc(line(), dueDate="2027-01-01"))
    assert ignored.json["dueDate"] == "2026-11-28"
    terms = {"paymentTermsNumber": 7}
    kept = await api.post("/invoices/drafts", draft_doc(line(), paymentTerms=terms, dueDate="2027-01-01"))
    assert kept.json["dueDate"] == "2027-01-01"
    missing = await api.post("/invoices/drafts", draft_doc(line(), paymentTerms=terms))
    assert errors_at(missing.json["errors"], "dueDate") == [("E04042", "dueDate")]
    early = await api.post("/invoices/drafts", draft_doc(line(), paymentTerms=terms, dueDate="2026-11-19"))
    assert errors_at(early.json["errors"], "dueDate") == [("E04760", "dueDate")]


async def test_a_negative_quantity_or_price_makes_a_credit_note(api, draft_doc, line) -> None:
    by_quantity = (await api.post("/invoices/drafts", draft_doc(line(-2, 50)))).json
    by_price = (await api.post("/invoices/drafts", draft_doc(line(2, -50)))).json
    assert by_quantity["grossAmount"] == by_price["grossAmount"] == -125


async def test_last_updated_of_a_draft_is_a_whole_minute_and_moves_with_a_put(api, clock, draft_doc, line) -> None:
    doc = (await api.post("/invoices/drafts", draft_doc(line()))).json
    assert doc["lastUpdated"] == "2026-11-23T12:34:00Z"
    clock.advance(minutes=2)
    changed = (await api.put(f"/invoices/drafts/{doc['draftInvoiceNumber']}", draft_doc(line(2)))).json
    assert (changed["lastUpdated"], changed["netAmount"]) == ("2026-11-23T12:36:00Z", 200)


async def test_a_put_replaces_the_whole_draft_and_creates_a_missing_one(api, draft_doc, line) -> None:
    first = (await api.post("/invoices/drafts", draft_doc(line(), references={"other": "R-1"}))).json
    again = await api.put(f"/invoices/drafts/{first['draftInvoiceNumber']}", draft_doc(line()))
    assert again.status == 200
    assert "references" not in again.json
    created = await api.put("/invoices/drafts/777000", draft_doc(line()))
    assert (created.status, created.json["draftInvoiceNumber"]) == (201, 777000)


async def test_list_items_of_invoices_have_no_lines(api) -> None:
    for path in ("/invoices/drafts", "/invoices/booked"):
        assert all("lines" not in item for item in (await api.get(path)).json["collection"])


REFUSED_LINES = {
    "barred product": ({"product": {"productNumber": "BARRED"}}, "product", "E06600"),
    "unknown product": ({"product": {"productNumber": "nope"}}, "product", "E06000"),
    "reference without number or self": ({"product": {}}, "product", "E04500"),
    "no quantity": ({"quantity": None}, "quantity", "E04730"),
    "three decimals in the price": ({"unitNetPrice": 1.005}, "unitNetPrice", "E04740"),
    "three decimals in the quantity": ({"quantity": 0.333}, "quantity", "E04740"),
    "unknown unit": ({"unit": {"unitNumber": 99}}, "unit", "E06000"),
    "quantity without product": ({"product": None}, "product", "E04500"),
}


@pytest.mark.requirement("F1", "F8")
@pytest.mark.parametrize("case", REFUSED_LINES)
async def test_one_bad_line_rejects_the_whole_draft_with_its_code(api, draft_doc, line, case) -> None:
    number = next(iter(api.agreement.products)).number
    api.agreement.products.put("BARRED", api.agreement.products[number].__class__("BARRED", "B", 1, api.sandbox.now()))
    api.agreement.change_product("BARRED", barred=True)
    change, name, code = REFUSED_LINES[case]
    bad = {key: value for key, value in (line() | change).items() if value is not None}
    before = len(api.agreement.drafts)
    reply = await api.post("/invoices/drafts", draft_doc(line(), bad))
    assert (reply.status, reply.json["errorCode"]) == (400, "E04300")
    assert (code, name) in errors_at(reply.json["errors"], "lines", 1, name)
    assert reply.json["errorCount"] >= 1
    assert reply.json["logId"]
    assert len(api.agreement.drafts) == before


REFUSED_HEADERS = {
    "E07080": ({"paymentTerms": {"paymentTermsNumber": 4711}}, ("paymentTerms",)),
    "E07180": ({"paymentTerms": {"paymentTermsNumber": 1, "paymentTermsType": "invoiceMonth"}}, ("paymentTermsType",)),
    "E06000": ({"currency": "XYZ"}, ("currency",)),
    "E06000 customer": ({"customer": {"customerNumber": 987654}}, ("customer",)),
    "E06000 layout": ({"layout": {"layoutNumber": 16}}, ("layout",)),
    "E06000 zone": ({"recipient": {"name": "x", "vatZone": {"vatZoneNumber": 77}}}, ("recipient", "vatZone")),
    "E04800": ({"references": {"customerContact": {"customerContactNumber": 77}}}, ("references", "customerContact")),
    "E04500": ({"layout": {}}, ("layout",)),
}


@pytest.mark.requirement("F4", "F5", "F6")
@pytest.mark.parametrize("case", REFUSED_HEADERS)
async def test_a_bad_header_is_refused_with_its_code_in_place(api, draft_doc, line, case) -> None:
    change, path = REFUSED_HEADERS[case]
    reply = await api.post("/invoices/drafts", draft_doc(line(), **change))
    assert reply.status == 400
    assert errors_at(reply.json["errors"], *path)[0][0] == case.split()[0]


async def test_every_problem_is_reported_at_once_as_in_the_recorded_error(api, draft_doc, line) -> None:
    terms = {"paymentTermsNumber": 4711, "paymentTermsType": "invoiceMonth"}
    reply = (await api.post("/invoices/drafts", draft_doc(line(), paymentTerms=terms))).json
    assert reply["message"] == "Validation failed. 2 errors found."
    assert reply["errorCount"] == 2
    assert reply["errors"]["paymentTerms"]["errors"][0]["inputValue"] == 4711


@pytest.mark.requirement("F7")
async def test_a_barred_customer_gets_no_draft(api, draft_doc, line) -> None:
    body = draft_doc(line())
    api.agreement.change_customer(body["customer"]["customerNumber"], barred=True)
    reply = await api.post("/invoices/drafts", body)
    assert errors_at(reply.json["errors"], "customer") == [("E06600", "customer")]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"date": None}, "date"),
        ({"date": "20-11-2026"}, "date"),
        ({"currency": "DK"}, "currency"),
        ({"notes": {"heading": "x" * 251}}, "notes"),
        ({"customer": {"customerNumber": 0}}, "customer"),
        ({"recipient": {"vatZone": {"vatZoneNumber": 1}}}, "recipient"),
        ({"lines": [{"lineNumber": 0, "description": "x"}]}, "lines"),
        ({"lines": {}}, "lines"),
        ({"paymentTerms": {"paymentTermsNumber": 1, "paymentTermsType": "Net"}}, "paymentTerms"),
    ],
)
@pytest.mark.requirement("F9")
async def test_null_zero_and_broken_limits_are_refused_at_their_property(api, draft_doc, line, change, name) -> None:
    reply = await api.post("/invoices/drafts", draft_doc(line(), **change))
    assert (reply.status, reply.json["errorCode"]) == (400, "E04300")
    assert list(reply.json["errors"]) == [name]


async def test_unknown_properties_are_ignored_and_references_take_a_self_link(api, draft_doc, line) -> None:
    body = draft_doc(line(colour="red"), layout={"self": f"{api.sandbox.legacy_url}/layouts/20"}, nonsense={"a": None})
    reply = await api.post("/invoices/drafts", body)
    assert reply.status == 201
    assert reply.json["layout"]["layoutNumber"] == 20


async def test_a_draft_with_a_text_line_can_be_read_and_put_back(api) -> None:
    number = next(n for n, row in api.agreement.drafts.rows.items() if any(x.product is None for x in row.lines))
    doc = (await api.get(f"/invoices/drafts/{number}")).json
    assert (await api.put(f"/invoices/drafts/{number}", doc)).status == 200
    assert (await api.get(f"/invoices/drafts/{number}")).json["netAmount"] == doc["netAmount"]


async def test_messages_are_danish_when_the_agreement_is(api, draft_doc, line) -> None:
    api.agreement.language = "da"
    reply = await api.post("/invoices/drafts", draft_doc(line(), currency="XYZ"))
    assert reply.json["errors"]["currency"]["errors"][0]["errorMessage"] == "Currency 'XYZ' blev ikke fundet."


async def test_deleting_answers_what_was_deleted_and_a_repeat_is_404(api) -> None:
    first = await api.delete("/invoices/drafts/121")
    at = f"{api.sandbox.legacy_url}/invoices/drafts/121"
    assert first.json == {
        "message": "Deleted invoice.",
        "deletedCount": 1,
        "deletedItems": [{"draftInvoiceNumber": 121, "self": at}],
    }
    again = await api.delete("/invoices/drafts/121")
    assert (again.status, again.json["errorCode"]) == (404, "E06000")


async def test_deleting_the_collection_deletes_every_draft_unless_filtered(api) -> None:
    some = await api.delete("/invoices/drafts?filter=draftInvoiceNumber$lte:122")
    assert some.json["deletedCount"] == 2
    rest = await api.delete("/invoices/drafts")
    assert rest.json["deletedCount"] == 4
    assert len(api.agreement.drafts) == 0


def test_the_repr_of_an_agreement_shows_no_token() -> None:
    agreement = Sandbox().agreements[0]
    assert agreement.grant_token not in repr(agreement)
