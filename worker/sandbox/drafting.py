"""Making a draft from a checked request: references, business rules, and everything the server computes itself.

Sent totals are ignored. One bad line rejects the whole request. The error codes are those seen live or published.
"""

from typing import Any

from worker.sandbox.agreement import Agreement
from worker.sandbox.amounts import due_date, line_net, line_vat, sum_document
from worker.sandbox.legacy_writes import need
from worker.sandbox.lookups import Terms
from worker.sandbox.messages import say
from worker.sandbox.records import ZERO, Delivery, Draft, Line, Recipient
from worker.sandbox.shapes import Problems


def make_draft(agreement: Agreement, doc: dict[str, Any], number: int) -> Draft:
    """Return the computed draft, not yet stored. Raises the 400 with every problem found."""
    p = Problems()
    terms = _terms(agreement, doc, p)
    _check_references(agreement, doc, p)
    currency = agreement.currencies.get(doc["currency"].upper())
    if currency is None:
        need(agreement, agreement.currencies, doc["currency"], ("currency",), "Currency", p)
    zone = need(agreement, agreement.vat_zones, doc["recipient"]["vatZone"], ("recipient", "vatZone"), "VatZone", p)
    lines = [_line(agreement, line, index, zone.number if zone else 1, p) for index, line in _numbered(doc)]
    due = _due_date(agreement, doc, terms, p)
    p.raise_if_any()
    if currency is None or terms is None:  # for the type checker: the problems above said so
        raise AssertionError
    notes, references, known = doc.get("notes", {}), doc.get("references", {}), agreement.drafts.get(number)
    draft = Draft(
        number,
        doc["date"],
        currency.code,
        doc.get("exchangeRate", currency.rate),
        terms,
        doc["customer"],
        _recipient(doc["recipient"], zone),
        doc["layout"],
        lines,
        due_date=due,
        delivery=_delivery(doc.get("delivery")),
        delivery_location=doc.get("deliveryLocation"),
        heading=notes.get("heading"),
        text1=notes.get("textLine1"),
        text2=notes.get("textLine2"),
        other=references.get("other"),
        contact=references.get("customerContact"),
        sales_person=references.get("salesPerson"),
        vendor_reference=references.get("vendorReference"),
        project=doc.get("project"),
        document_id=known.document_id if known else agreement.free_document_id(),
        last_updated=agreement.now(),
    )
    sum_document(draft, agreement.vat_rounding)
    return draft


def _numbered(doc: dict[str, Any]) -> Any:
    return enumerate(doc.get("lines", ()))


def _terms(agreement: Agreement, doc: dict[str, Any], p: Problems) -> Terms | None:
    given = doc["paymentTerms"]
    terms: Terms | None = need(agreement, agreement.terms, given["key"], ("paymentTerms",), "PaymentTerms", p)
    kind = given.get("paymentTermsType")
    if kind is not None and (terms is None or kind != terms.type):
        # recorded: this error hangs at the root of the tree, not below paymentTerms
        hint = "Either specify the matching payment terms type for the payment terms in question, or omit the property."
        p.add(("paymentTermsType",), "E07180", say(agreement.language, "terms_type"), kind, hint)
    return terms


def _check_references(agreement: Agreement, doc: dict[str, Any], p: Problems) -> None:
    number = doc["customer"]
    customer = need(agreement, agreement.customers, number, ("customer",), "Customer", p)
    if customer is not None and customer.barred:
        # the service refuses, its code is not known: that of barred products is used
        p.add(("customer",), "E06600", say(agreement.language, "customer_barred", key=number), number)
    need(agreement, agreement.layouts, doc["layout"], ("layout",), "Layout", p)
    references = doc.get("references", {})
    for name in ("salesPerson", "vendorReference"):
        need(agreement, agreement.employees, references.get(name), ("references", name), "Employee", p)
    contacts = (
        (("references", "customerContact"), references.get("customerContact")),
        (("recipient", "attention"), doc["recipient"].get("attention")),
    )
    for path, contact in contacts:
        if contact is not None and customer is not None and agreement.contact(number, contact) is None:
            p.add(path, "E04800", say(agreement.language, "contact_foreign", key=contact), contact)


def _due_date(agreement: Agreement, doc: dict[str, Any], terms: Terms | None, p: Problems) -> Any:
    if terms is None or terms.type != "dueDate":
        return None if terms is None else due_date(terms, doc["date"])
    due = doc.get("dueDate")
    if due is None:
        p.add(("dueDate",), "E04042", say(agreement.language, "due_date_missing"))
    elif due < doc["date"]:
        p.add(("dueDate",), "E04760", say(agreement.language, "due_date_early"), due.isoformat())
    return due


def _line(agreement: Agreement, doc: dict[str, Any], index: int, zone: int, p: Problems) -> Line:
    at = ("lines", index)
    number, key = doc.get("lineNumber", index + 1), doc.get("product")
    line = Line(number, doc.get("sortKey", number), doc.get("description"))
    if key is None:
        if any(doc.get(name) for name in ("quantity", "unitNetPrice", "discountPercentage", "unit")):
            p.add((*at, "product"), "E04500", say(agreement.language, "product_missing"))
        return line
    product = need(agreement, agreement.products, key, (*at, "product"), "Product", p)
    unit = need(agreement, agreement.units, doc.get("unit"), (*at, "unit"), "Unit", p)
    if "quantity" not in doc:
        p.add((*at, "quantity"), "E04730", say(agreement.language, "quantity_missing"))
    if "description" not in doc:
        p.add((*at, "description"), "E04042", say(agreement.language, "description_missing"))
    if product is None:
        return line
    if product.barred:
        hint = "Find a list of products in the API."
        p.add((*at, "product"), "E06600", say(agreement.language, "product_barred", key=key), key, hint)
    account = agreement.sales_account(product, zone)
    line.product, line.unit = key, unit or agreement.units.get(product.unit or 0)
    line.quantity, line.unit_price = doc.get("quantity", ZERO), doc.get("unitNetPrice", ZERO)
    line.discount = doc.get("discountPercentage", ZERO)
    line.cost = doc.get("unitCostPrice", product.cost_price)
    line.net = line_net(line.quantity or ZERO, line.unit_price or ZERO, line.discount)
    line.vat_rate = agreement.vat_rate(account)
    line.vat = line_vat(line.net, line.vat_rate)
    line.account = account.number if account else None
    return line


def _recipient(doc: dict[str, Any], zone: Any) -> Recipient:
    return Recipient(
        doc["name"],
        zone,
        doc.get("address"),
        doc.get("zip"),
        doc.get("city"),
        doc.get("country"),
        ean=doc.get("ean"),
        public_entry_number=doc.get("publicEntryNumber"),
        cvr=doc.get("cvr"),
        mobile_phone=doc.get("mobilePhone"),
        nem_handel_type=doc.get("nemHandelType"),
        attention=doc.get("attention"),
    )


def _delivery(doc: dict[str, Any] | None) -> Delivery | None:
    if not doc:
        return None
    return Delivery(
        doc.get("address"),
        doc.get("zip"),
        doc.get("city"),
        doc.get("country"),
        terms=doc.get("deliveryTerms"),
        day=doc.get("deliveryDate"),
    )
