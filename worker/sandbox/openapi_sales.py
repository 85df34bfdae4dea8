"""The Q2C service: lines of booked invoices and of drafts. Source: its OpenAPI document, version 5.3.0 (2026).

``documentId`` is the booked number, but for a draft an internal number that is not the ``draftInvoiceNumber``.
"""

from typing import Any

from worker.sandbox.answers import Answer, not_found
from worker.sandbox.calls import Call, Route, route
from worker.sandbox.filters import COMPARE, LISTS, Field, Fields
from worker.sandbox.jsontext import dumps
from worker.sandbox.links import present
from worker.sandbox.openapi_lists import Cursored, array_answer, list_routes, object_version, plain
from worker.sandbox.records import DocumentLine, Draft

Q2C = "q2capi/v5.3.0"
_ANY = COMPARE | LISTS

_SHARED: Fields = {
    "documentId": Field("document_id", "number", _ANY),
    "number": Field("number", "number", _ANY),
    "userInterfaceNumber": Field("line.number", "number", _ANY),
    "productNumber": Field("line.product", "text", _ANY, sortable=False),
    "discountPercentage": Field("line.discount", "number", _ANY, sortable=False),
    "departmentNumber": Field("line.department", "number", _ANY, sortable=False),
}
BOOKED_LINES: Fields = {**_SHARED, "bookedAccount": Field("line.account", "number", _ANY, sortable=False)}
DRAFT_LINES: Fields = {
    **_SHARED,
    "draftInvoiceNumber": Field("document.number", "number", _ANY, sortable=False),
}


def _line(row: DocumentLine) -> dict[str, Any]:
    line = row.line
    return {
        "documentId": row.document_id,
        "number": row.number,
        "userInterfaceNumber": line.number,
        "productNumber": line.product,
        "description": line.description,
        "quantity": plain(line.quantity),
        "unitNumber": line.unit.number if line.unit else None,
        "unitNetPrice": plain(line.unit_price),
        "unitCostPrice": plain(line.cost),
        "discountPercentage": plain(line.discount),
        "totalNetAmount": plain(line.net),
    }


def _booked_line(row: DocumentLine) -> dict[str, Any]:
    line = row.line
    extra = {"bookedAccount": line.account, "vatRate": plain(line.vat_rate), "vatAmount": plain(line.vat)}
    return present(_line(row) | extra)


def _draft_line(row: DocumentLine) -> dict[str, Any]:
    stamp = row.document.last_updated.timestamp() if isinstance(row.document, Draft) else 0
    version = object_version("draft", row.document_id, int(stamp))
    return present(_line(row) | {"draftInvoiceNumber": row.document.number, "objectVersion": version})


def _key(row: DocumentLine) -> tuple[int, int]:
    return (row.document_id, row.number)


def _all_booked(call: Call) -> Cursored[DocumentLine]:
    agreement = call.agreement
    return Cursored(agreement.booked, "open lines", agreement.booked_lines, _key, BOOKED_LINES, _booked_line)


def _all_drafts(call: Call) -> Cursored[DocumentLine]:
    agreement = call.agreement
    return Cursored(agreement.drafts, "open lines", agreement.draft_lines, _key, DRAFT_LINES, _draft_line)


def _rows_of(call: Call) -> list[DocumentLine]:
    """Return the lines of the document in the path; a parent that does not exist has none (seen live)."""
    agreement, key = call.agreement, call.number()
    if call.segments[3].lower() == "booked":
        invoice = agreement.booked.get(key)
        lines = invoice.lines if invoice else []
        return [DocumentLine(invoice, key, line, n) for n, line in enumerate(lines, 1) if invoice]
    return [row for row in agreement.draft_lines() if row.document_id == key]


def _one_document(call: Call) -> Answer:
    booked = call.segments[3].lower() == "booked"
    whole = _all_booked(call) if booked else _all_drafts(call)
    name = ("open lines of", call.number())
    return array_answer(call, Cursored(whole.register, name, lambda: _rows_of(call), _key, whole.fields, whole.render))


def _one_line(call: Call) -> Answer:
    render = _booked_line if call.segments[3].lower() == "booked" else _draft_line
    for row in _rows_of(call):
        if row.number == call.number(1):
            return Answer(200, dumps(render(row)))
    raise not_found()


def sales_routes() -> list[Route]:
    """Return the routes of the Q2C service."""
    routes = []
    for kind, pick in (("booked", _all_booked), ("drafts", _all_drafts)):
        at = f"{Q2C}/invoices/{kind}"
        routes += list_routes(f"{at}/lines", pick, "invoices")
        routes.append(route("GET", f"{at}/*/lines", _one_document, "invoices"))
        routes.append(route("GET", f"{at}/*/lines/*", _one_line, "invoices"))
    return routes
