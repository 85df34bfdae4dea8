"""Writing invoices through legacy REST: drafts, booking, totals, and a small PDF.

Booking is final: the draft goes away, the invoice gets the next number and cannot be changed or deleted.
"""

from collections.abc import Callable
from typing import Any

from worker.sandbox import write_shapes
from worker.sandbox.agreement import Agreement
from worker.sandbox.answers import Answer, not_found
from worker.sandbox.calls import Call, Route, route
from worker.sandbox.documents import booked_doc, draft_doc
from worker.sandbox.drafting import make_draft
from worker.sandbox.filter_values import BadFilter
from worker.sandbox.filters import parse_filter
from worker.sandbox.jsontext import dumps
from worker.sandbox.legacy_fields import DRAFTS
from worker.sandbox.legacy_lists import bad_filter, links_of
from worker.sandbox.legacy_writes import created, read_body
from worker.sandbox.messages import say
from worker.sandbox.records import ZERO, Booked, Document, Draft
from worker.sandbox.shapes import Problems

PDF_COST = 13
_SHARED = tuple(Document.__dataclass_fields__)


def post_draft(call: Call) -> Answer:
    """Create a draft with its lines in one atomic request."""
    agreement = call.agreement
    doc = read_body(call, write_shapes.DRAFT, Problems())
    draft = make_draft(agreement, doc, agreement.next_draft_number)
    return _draft_answer(call, agreement.put_draft(draft), 201)


def put_draft(call: Call) -> Answer:
    """Replace a draft's header and lines, or create it under the given number."""
    agreement, number = call.agreement, call.number()
    doc = read_body(call, write_shapes.DRAFT, Problems())
    known = agreement.drafts.get(number)
    draft = agreement.put_draft(make_draft(agreement, doc, number))
    return _draft_answer(call, draft, 200 if known else 201)


def _draft_answer(call: Call, draft: Draft, status: int) -> Answer:
    links = links_of(call)
    return created(dumps(draft_doc(draft, links, lines=True)), links.to(f"invoices/drafts/{draft.number}"), status)


def delete_draft(call: Call) -> Answer:
    """Delete one draft."""
    draft = call.agreement.drafts.get(call.number())
    if draft is None:
        raise not_found("E06000")
    return _deleted(call, [draft])


def delete_drafts(call: Call) -> Answer:
    """Delete EVERY draft, or those that the filter lets through."""
    text = call.param("filter")
    try:
        keep = parse_filter(text, DRAFTS) if text else None
    except BadFilter as exc:
        raise bad_filter(exc, DRAFTS) from exc
    return _deleted(call, [draft for draft in call.agreement.drafts if keep is None or keep(draft)])


def _deleted(call: Call, drafts: list[Draft]) -> Answer:
    links = links_of(call)
    for draft in drafts:
        call.agreement.remove_draft(draft.number)
    items = [{"draftInvoiceNumber": d.number, "self": links.to(f"invoices/drafts/{d.number}")} for d in drafts]
    message = "Deleted invoice." if len(drafts) == 1 else "Deleted invoices."
    return Answer(200, dumps({"message": message, "deletedCount": len(drafts), "deletedItems": items}))


# --- booking -------------------------------------------------------------------------------------


def post_booked(call: Call) -> Answer:
    """Book a draft; ``bookWithNumber`` chooses the number."""
    doc = read_body(call, write_shapes.BOOKING, Problems())
    return _book(call, doc, doc.get("bookWithNumber"))


def put_booked(call: Call) -> Answer:
    """Book a draft under the number in the path."""
    doc = read_body(call, write_shapes.BOOKING, Problems())
    return _book(call, doc, call.number())


def _book(call: Call, doc: dict[str, Any], wanted: int | None) -> Answer:
    agreement, problems = call.agreement, Problems()
    key = doc["draftInvoice"]
    draft = agreement.drafts.get(key)
    if draft is None:
        text = say(agreement.language, "not_found", thing="DraftInvoice", key=key)
        problems.add(("draftInvoice",), "E06000", text, key)
        problems.raise_if_any()
        raise AssertionError
    if wanted is not None and wanted in agreement.booked:
        problems.add(("bookWithNumber",), None, say(agreement.language, "number_taken", key=wanted), wanted)
    _check_bookable(agreement, draft, problems)
    problems.raise_if_any()
    invoice = Booked(
        **{name: getattr(draft, name) for name in _SHARED if name != "number"},
        number=wanted or agreement.next_booked_number(),
        order_number=draft.number,
        remainder=draft.gross,
        remainder_base=draft.gross_base,
        sent_by=doc.get("sendBy"),
    )
    agreement.remove_draft(draft.number)
    agreement.put_booked(invoice)
    links = links_of(call)
    return created(dumps(booked_doc(invoice, links, lines=True)), links.to(f"invoices/booked/{invoice.number}"))


def _check_bookable(agreement: Agreement, draft: Draft, p: Problems) -> None:
    language = agreement.language
    if not agreement.can_book_on(draft.date):
        p.add(("date",), "E04041", say(language, "period_barred"), draft.date.isoformat())
    customer = agreement.customers.get(draft.customer)
    if customer is None:
        p.add(("customer",), "E06000", say(language, "not_found", thing="Customer", key=draft.customer), draft.customer)
    elif customer.barred:
        p.add(("customer",), "E06600", say(language, "customer_barred", key=draft.customer), draft.customer)
    if not any(line.product for line in draft.lines):
        p.add(("lines",), "E04500", say(language, "nothing_to_book"))
    for index, line in enumerate(draft.lines):
        product = agreement.products.get(line.product) if line.product else None
        if product is not None and product.barred:
            text = say(language, "product_barred", key=product.number)
            p.add(("lines", index, "product"), "E06600", text, product.number)
        account = agreement.accounts.get(line.account) if line.account else None
        if line.product and (account is None or account.barred):
            text = say(language, "account_unusable", key=line.account or "")
            p.add(("lines", index, "account"), "E04041", text, line.account)


# --- totals, templates, PDF ----------------------------------------------------------------------


def _booked_totals(path: str, keep: Callable[[Booked], bool], *, remainder: bool) -> Callable[[Call], Answer]:
    def handler(call: Call) -> Answer:
        links = links_of(call)
        rows = [row for row in call.agreement.booked if keep(row)]
        doc: dict[str, Any] = {
            "netAmountInBaseCurrency": sum((row.net_base for row in rows), ZERO),
            "invoiceCount": len(rows),
        }
        if rows:
            doc |= {
                "maxDate": max(row.date for row in rows).isoformat(),
                "minDate": min(row.date for row in rows).isoformat(),
            }
        if remainder:
            doc["grossRemainderInBaseCurrency"] = sum((row.remainder_base for row in rows), ZERO)
        for name, part in (
            ("customers", "customers"),
            ("accountingYears", "accounting-years"),
            ("periods", "periods"),
            ("employees", "employees"),
        ):
            doc[name] = links.to(f"{path}/{part}")
        if path.endswith("booked"):
            doc |= {"paid": links.to(f"{path}/paid"), "unpaid": links.to(f"{path}/unpaid")}
        return Answer(200, dumps(doc | {"self": links.to(path)}))

    return handler


def booking_instructions(call: Call) -> Answer:
    """Return the body to post for booking a draft."""
    number = call.number()
    if number not in call.agreement.drafts:
        raise not_found("E06000")
    links = links_of(call)
    draft = {"draftInvoiceNumber": number, "self": links.to(f"invoices/drafts/{number}")}
    own = links.to(f"invoices/drafts/{number}/templates/booking-instructions")
    return Answer(200, dumps({"draftInvoice": draft, "self": own}))


def _pdf(call: Call) -> Answer:
    register = call.agreement.booked if call.segments[1] == "booked" else call.agreement.drafts
    if call.number() not in register.rows:
        raise not_found("E06000")
    text = f"Faktura {call.number()} fra sandkassen"
    return Answer(200, tiny_pdf(text), "application/pdf", cost=PDF_COST)


def tiny_pdf(text: str) -> bytes:
    """Return a valid one-page PDF that shows an ASCII text."""
    stream = f"BT /F1 18 Tf 72 760 Td ({text}) Tj ET".encode("ascii", "replace")
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(stream), stream),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj%s endobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    start = len(out)
    out += b"xref\n0 6\n0000000000 65535 f \n" + table
    return out + b"trailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % start


def invoice_routes() -> list[Route]:
    """Return the routes that this module serves."""
    booked = "invoices/totals/booked"
    return [
        route("POST", "invoices/drafts", post_draft, "invoices"),
        route("DELETE", "invoices/drafts", delete_drafts, "invoices"),
        route("PUT", "invoices/drafts/*", put_draft, "invoices"),
        route("DELETE", "invoices/drafts/*", delete_draft, "invoices"),
        route("GET", "invoices/drafts/*/pdf", _pdf, "invoices"),
        route("GET", "invoices/drafts/*/templates/booking-instructions", booking_instructions, "invoices"),
        route("POST", "invoices/booked", post_booked, "invoices"),
        route("PUT", "invoices/booked/*", put_booked, "invoices"),
        route("GET", "invoices/booked/*/pdf", _pdf, "invoices"),
        route("GET", booked, _booked_totals(booked, lambda _: True, remainder=False), "invoices"),
        route(
            "GET",
            f"{booked}/paid",
            _booked_totals(f"{booked}/paid", lambda x: x.remainder == 0, remainder=False),
            "invoices",
        ),
        route(
            "GET",
            f"{booked}/unpaid",
            _booked_totals(f"{booked}/unpaid", lambda x: x.remainder != 0, remainder=True),
            "invoices",
        ),
    ]
