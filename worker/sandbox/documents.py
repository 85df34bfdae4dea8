"""Legacy JSON of drafts and booked invoices, with the property order and the absences of recorded answers."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from worker.sandbox.keys import encode_key
from worker.sandbox.links import Links, present, ref, terms_doc, zone_doc
from worker.sandbox.records import ZERO, Booked, Delivery, Document, Draft, Line, Recipient

_SIX = Decimal("0.000001")
_CENT = Decimal("0.01")


def draft_doc(draft: Draft, links: Links, *, lines: bool) -> dict[str, Any]:
    """Return a draft; list items have no ``lines``, and neither has a draft without any."""
    at = f"invoices/drafts/{draft.number}"
    margin = draft.net_base - draft.cost_base
    head = {
        "draftInvoiceNumber": draft.number,
        "soap": {"currentInvoiceHandle": {"id": draft.document_id}},
        "templates": {
            "bookingInstructions": links.to(f"{at}/templates/booking-instructions"),
            "self": links.to(f"{at}/templates"),
        },
        "attachment": links.to(f"{at}/attachment"),
    }
    if lines and draft.lines:
        head["lines"] = [_draft_line(line, draft, links) for line in draft.lines]
    return head | present(
        {
            "date": draft.date.isoformat(),
            "currency": draft.currency,
            "exchangeRate": draft.rate,
            "netAmount": draft.net.quantize(_SIX),
            "netAmountInBaseCurrency": draft.net_base,
            "grossAmount": draft.gross,
            "grossAmountInBaseCurrency": draft.gross_base,
            "marginInBaseCurrency": margin,
            "marginPercentage": _percentage(margin, draft.net_base),
            "vatAmount": draft.vat,
            "roundingAmount": ZERO,
            "costPriceInBaseCurrency": draft.cost_base,
            **_common(draft, links),
            "pdf": {"download": links.to(f"{at}/pdf")},
            "lastUpdated": draft.last_updated.strftime("%Y-%m-%dT%H:%M:00Z"),
            "self": links.to(at),
        }
    )


def booked_doc(invoice: Booked, links: Links, *, lines: bool) -> dict[str, Any]:
    """Return a booked invoice; list items have no ``lines``."""
    at = f"invoices/booked/{invoice.number}"
    return present(
        {
            "bookedInvoiceNumber": invoice.number,
            "orderNumber": invoice.order_number,
            "date": invoice.date.isoformat(),
            "currency": invoice.currency,
            "exchangeRate": invoice.rate,
            "netAmount": invoice.net,
            "netAmountInBaseCurrency": invoice.net_base,
            "grossAmount": invoice.gross,
            "grossAmountInBaseCurrency": invoice.gross_base,
            "vatAmount": invoice.vat,
            "roundingAmount": ZERO,
            "remainder": invoice.remainder,
            "remainderInBaseCurrency": invoice.remainder_base,
            **_common(invoice, links),
            "pdf": {"download": links.to(f"{at}/pdf")},
            "lines": [_booked_line(line, links) for line in invoice.lines] if lines else None,
            "sent": links.to(f"{at}/sent"),
            "self": links.to(at),
        }
    )


def _common(document: Document, links: Links) -> dict[str, Any]:
    customer = f"customers/{document.customer}"
    return {
        "dueDate": document.due_date.isoformat() if document.due_date else None,
        "paymentTerms": terms_doc(document.terms, links),
        "customer": ref(links, "customerNumber", document.customer, customer),
        "recipient": _recipient(document.recipient, customer, links),
        "deliveryLocation": ref(
            links,
            "deliveryLocationNumber",
            document.delivery_location,
            f"{customer}/delivery-locations/{document.delivery_location}",
        )
        if document.delivery_location
        else None,
        "delivery": _delivery(document.delivery) if document.delivery else None,
        "notes": present({"heading": document.heading, "textLine1": document.text1, "textLine2": document.text2})
        or None,
        "references": _references(document, links) or None,
        "layout": ref(links, "layoutNumber", document.layout, f"layouts/{document.layout}"),
        "project": ref(links, "projectNumber", document.project, f"projects/{document.project}")
        if document.project
        else None,
    }


def _recipient(recipient: Recipient, customer: str, links: Links) -> dict[str, Any]:
    attention = recipient.attention
    return present(
        {
            "name": recipient.name,
            "address": recipient.address,
            "zip": recipient.zip,
            "city": recipient.city,
            "country": recipient.country,
            "ean": recipient.ean,
            "publicEntryNumber": recipient.public_entry_number,
            "attention": ref(links, "customerContactNumber", attention, f"{customer}/contacts/{attention}")
            if attention
            else None,
            "vatZone": zone_doc(recipient.vat_zone, links),
            "cvr": recipient.cvr,
            "mobilePhone": recipient.mobile_phone,
            "nemHandelType": recipient.nem_handel_type,
        }
    )


def _delivery(delivery: Delivery) -> dict[str, Any]:
    return present(
        {
            "address": delivery.address,
            "zip": delivery.zip,
            "city": delivery.city,
            "country": delivery.country,
            "deliveryTerms": delivery.terms,
            "deliveryDate": delivery.day.isoformat() if delivery.day else None,
        }
    )


def _references(document: Document, links: Links) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if document.contact:
        customer = f"customers/{document.customer}"
        found["customerContact"] = {
            "customerContactNumber": document.contact,
            "customer": ref(links, "customerNumber", document.customer, customer),
            "self": links.to(f"{customer}/contacts/{document.contact}"),
        }
    for name, number in (("salesPerson", document.sales_person), ("vendorReference", document.vendor_reference)):
        if number:
            found[name] = ref(links, "employeeNumber", number, f"employees/{number}")
    if document.other is not None:
        found["other"] = document.other
    return found


def _line_head(line: Line) -> dict[str, Any]:
    return present({"lineNumber": line.number, "sortKey": line.sort_key, "description": line.description})


def _unit_and_product(line: Line, links: Links) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if line.unit:
        at = f"units/{line.unit.number}"
        found["unit"] = {
            "unitNumber": line.unit.number,
            "name": line.unit.name,
            "products": links.to(f"{at}/products"),
            "self": links.to(at),
        }
    if line.product:
        found["product"] = ref(links, "productNumber", line.product, f"products/{encode_key(line.product)}")
    return found


def _draft_line(line: Line, draft: Draft, links: Links) -> dict[str, Any]:
    head = _line_head(line)
    if line.product is None and line.quantity is None:
        return head
    quantity = line.quantity or ZERO
    net = (line.net * draft.rate / 100).quantize(_CENT, ROUND_HALF_UP)
    margin = net - (quantity * line.cost).quantize(_CENT, ROUND_HALF_UP)
    return (
        head
        | _unit_and_product(line, links)
        | {
            "quantity": quantity,
            "unitNetPrice": line.unit_price or ZERO,
            "discountPercentage": line.discount,
            "unitCostPrice": line.cost,
            "totalNetAmount": line.net,
            "marginInBaseCurrency": margin,
            "marginPercentage": _percentage(margin, net),
        }
    )


def _booked_line(line: Line, links: Links) -> dict[str, Any]:
    return (
        _line_head(line)
        | {
            "quantity": line.quantity or ZERO,
            "unitNetPrice": line.unit_price or ZERO,
            "discountPercentage": line.discount,
            "unitCostPrice": line.cost,
            "vatRate": line.vat_rate.quantize(_SIX),
            "vatAmount": line.vat,
            "totalNetAmount": line.net,
        }
        | _unit_and_product(line, links)
    )


def _percentage(part: Decimal, whole: Decimal) -> Decimal:
    return (part * 100 / whole).quantize(_CENT, ROUND_HALF_UP) if whole else ZERO
