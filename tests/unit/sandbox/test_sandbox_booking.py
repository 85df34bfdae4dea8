"""Booking, what it refuses, payments and the views over booked invoices."""

from datetime import date
from decimal import Decimal

import pytest

pytestmark = pytest.mark.requirement("B15")


async def draft_number(api, body) -> int:
    reply = await api.post("/invoices/drafts", body)
    assert reply.status == 201
    return reply.json["draftInvoiceNumber"]


def booking(number, **more):
    return {"draftInvoice": {"draftInvoiceNumber": number}} | more


async def test_booking_consumes_the_draft_and_yields_the_next_number(api, draft_doc, line) -> None:
    number = await draft_number(api, draft_doc(line(2, 50), references={"other": "R-1"}))
    last = max(api.agreement.booked.rows)
    reply = await api.post("/invoices/booked", booking(number))
    doc = reply.json
    assert (reply.status, doc["bookedInvoiceNumber"], doc["orderNumber"]) == (201, last + 1, number)
    assert doc["remainder"] == doc["grossAmount"] == 125
    assert (doc["lines"][0]["vatRate"], doc["lines"][0]["vatAmount"]) == (25, 25)
    assert "lastUpdated" not in doc
    assert (await api.get(f"/invoices/drafts/{number}")).status == 404
    assert [row.number for row in api.agreement.find_booked("R-1")] == [last + 1]


async def test_a_number_can_be_chosen_once(api, draft_doc, line) -> None:
    first, second = [await draft_number(api, draft_doc(line())) for _ in range(2)]
    assert (await api.post("/invoices/booked", booking(first, bookWithNumber=9_999_999))).status == 201
    taken = await api.put("/invoices/booked/9999999", booking(second))
    assert (taken.status, list(taken.json["errors"])) == (400, ["bookWithNumber"])
    assert second in api.agreement.drafts


@pytest.mark.requirement("F2")
@pytest.mark.parametrize("how", ["closed period", "closed year", "no year"])
async def test_a_closed_period_refuses_the_date_and_keeps_the_draft(api, draft_doc, line, how) -> None:
    day = {"closed period": "2026-11-20", "closed year": "2023-05-01", "no year": "2031-01-01"}[how]
    number = await draft_number(api, draft_doc(line(), date=day))
    if how == "closed period":
        api.agreement.close_period(date(2026, 11, 1), date(2026, 11, 30))
    reply = await api.post("/invoices/booked", booking(number))
    error = reply.json["errors"]["date"]["errors"][0]
    assert (reply.status, error["errorCode"], error["propertyName"]) == (400, "E04041", "date")
    assert number in api.agreement.drafts
    api.agreement.open_periods()
    assert (await api.post("/invoices/booked", booking(number))).status == (201 if how == "closed period" else 400)


@pytest.mark.requirement("F3")
async def test_a_barred_account_is_refused_at_the_line(api, draft_doc, line) -> None:
    number = await draft_number(api, draft_doc(line()))
    api.agreement.bar_account(1110)
    reply = (await api.post("/invoices/booked", booking(number))).json
    error = reply["errors"]["lines"]["items"][0]["account"]["errors"][0]
    assert (error["errorCode"], error["propertyName"], error["inputValue"]) == ("E04041", "account", 1110)


async def test_an_invoice_without_a_product_line_cannot_be_booked(api, draft_doc) -> None:
    number = await draft_number(api, draft_doc({"description": "kun tekst"}))
    reply = await api.post("/invoices/booked", booking(number))
    assert (reply.status, list(reply.json["errors"])) == (400, ["lines"])


async def test_a_customer_or_product_barred_after_drafting_stops_the_booking(api, draft_doc, line) -> None:
    body = draft_doc(line())
    number = await draft_number(api, body)
    api.agreement.change_customer(body["customer"]["customerNumber"], barred=True)
    api.agreement.change_product("1", barred=True)
    errors = (await api.post("/invoices/booked", booking(number))).json["errors"]
    assert errors["customer"]["errors"][0]["errorCode"] == "E06600"
    assert errors["lines"]["items"][0]["product"]["errors"][0]["errorCode"] == "E06600"


@pytest.mark.parametrize(("send_by", "status"), [("none", 201), ("EAN", 201), ("Email", 201), ("ean", 400)])
async def test_send_by_is_spelled_strictly(api, draft_doc, line, send_by, status) -> None:
    number = await draft_number(api, draft_doc(line()))
    assert (await api.post("/invoices/booked", booking(number, sendBy=send_by))).status == status


async def test_booking_an_unknown_draft_is_refused(api) -> None:
    reply = await api.post("/invoices/booked", booking(424242))
    assert reply.json["errors"]["draftInvoice"]["errors"][0]["errorCode"] == "E06000"


async def test_a_payment_moves_an_invoice_from_unpaid_to_paid(api, draft_doc, line) -> None:
    draft = await draft_number(api, draft_doc(line()))
    number = (await api.post("/invoices/booked", booking(draft))).json["bookedInvoiceNumber"]
    path = f"filter=bookedInvoiceNumber$eq:{number}"

    async def views():
        names = ("paid", "unpaid", "overdue", "not-due")
        return [name for name in names if (await api.get(f"/invoices/{name}?{path}")).json["collection"]]

    assert await views() == ["unpaid", "not-due"]
    api.agreement.register_payment(number, Decimal("25.00"))
    assert (await api.get(f"/invoices/booked/{number}")).json["remainder"] == 100
    api.agreement.register_payment(number)
    assert await views() == ["paid"]


async def test_an_unpaid_invoice_becomes_overdue_when_its_day_has_passed(api, clock, draft_doc, line) -> None:
    draft = await draft_number(api, draft_doc(line()))
    number = (await api.post("/invoices/booked", booking(draft))).json["bookedInvoiceNumber"]
    query = f"/invoices/overdue?filter=bookedInvoiceNumber$eq:{number}"
    assert (await api.get(query)).json["collection"] == []
    clock.advance(days=30)
    assert len((await api.get(query)).json["collection"]) == 1


async def test_totals_add_up_with_the_state(api) -> None:
    reply = (await api.get("/invoices/totals/booked")).json
    assert reply["invoiceCount"] == len(api.agreement.booked) == 120
    assert reply["netAmountInBaseCurrency"] == sum(row.net_base for row in api.agreement.booked)
    dkk = sum(row.net for (currency, _), row in api.agreement.totals().items() if currency == "DKK")
    assert dkk == sum(row.net for row in api.agreement.booked if row.currency == "DKK")


async def test_a_customer_shows_its_balance_after_a_booking(api, draft_doc, line) -> None:
    body = draft_doc(line())
    customer = body["customer"]["customerNumber"]
    before = (await api.get(f"/customers/{customer}")).json
    draft = await draft_number(api, body)
    await api.post("/invoices/booked", booking(draft))
    after = (await api.get(f"/customers/{customer}")).json
    assert after["balance"] - before["balance"] == 125
    assert after["lastUpdated"] == before["lastUpdated"]


async def test_the_pdf_is_a_pdf_and_costs_more(api) -> None:
    reply = await api.get("/invoices/booked/10001/pdf", Accept="*/*")
    assert (reply.status, reply.headers["Content-Type"], reply.headers["X-CallCost"]) == (200, "application/pdf", "13")
    assert reply.body.startswith(b"%PDF-1.4")
    assert reply.body.rstrip().endswith(b"%%EOF")
    start = int(reply.body.split(b"startxref\n")[1].split(b"\n")[0])
    assert reply.body[start:].startswith(b"xref")
    assert (await api.get("/invoices/booked/1/pdf")).status == 404
