"""Writing customers and their contacts through legacy REST.

POST creates, PUT replaces the whole record (what is omitted is cleared) and creates when the key is free.
"""

from typing import Any

from worker.sandbox import write_shapes
from worker.sandbox.agreement import Agreement
from worker.sandbox.answers import Answer, ApiError, not_found
from worker.sandbox.calls import Call, Route, route
from worker.sandbox.jsontext import dumps
from worker.sandbox.legacy_fields import CONTACTS
from worker.sandbox.legacy_lists import Listing, links_of, list_answer
from worker.sandbox.legacy_writes import created, need, read_body
from worker.sandbox.messages import say
from worker.sandbox.records import Contact, Customer
from worker.sandbox.rendering import contact_doc, customer_doc
from worker.sandbox.shapes import Problems


def _customer_from(agreement: Agreement, doc: dict[str, Any], number: int) -> Customer:
    p = Problems()
    currency = doc["currency"].upper()
    need(agreement, agreement.currencies, currency, ("currency",), "Currency", p)
    need(agreement, agreement.customer_groups, doc["customerGroup"], ("customerGroup",), "CustomerGroup", p)
    need(agreement, agreement.terms, doc["paymentTerms"], ("paymentTerms",), "PaymentTerms", p)
    need(agreement, agreement.vat_zones, doc["vatZone"], ("vatZone",), "VatZone", p)
    need(agreement, agreement.layouts, doc.get("layout"), ("layout",), "Layout", p)
    need(agreement, agreement.employees, doc.get("salesPerson"), ("salesPerson",), "SalesPerson", p)
    for name in ("attention", "customerContact"):
        contact = doc.get(name)
        if contact is not None and agreement.contact(number, contact) is None:
            p.add((name,), "E04800", say(agreement.language, "contact_foreign", key=contact), contact)
    p.raise_if_any()
    return Customer(
        number,
        doc["name"],
        currency,
        doc["customerGroup"],
        doc["paymentTerms"],
        doc["vatZone"],
        agreement.now(),
        address=doc.get("address"),
        zip=doc.get("zip"),
        city=doc.get("city"),
        country=doc.get("country"),
        email=doc.get("email"),
        cvr=doc.get("corporateIdentificationNumber"),
        p_number=doc.get("pNumber"),
        ean=doc.get("ean"),
        vat_number=doc.get("vatNumber"),
        public_entry_number=doc.get("publicEntryNumber"),
        phone=doc.get("telephoneAndFaxNumber"),
        mobile_phone=doc.get("mobilePhone"),
        website=doc.get("website"),
        credit_limit=doc.get("creditLimit"),
        barred=doc.get("barred", False),
        e_invoicing_disabled=doc.get("eInvoicingDisabledByDefault", False),
        layout=doc.get("layout"),
        sales_person=doc.get("salesPerson"),
        attention=doc.get("attention"),
        contact=doc.get("customerContact"),
    )


def _customer_answer(call: Call, customer: Customer, status: int) -> Answer:
    links = links_of(call)
    body = dumps(customer_doc(call.agreement, customer, links, full=True))
    return created(body, links.to(f"customers/{customer.number}"), status)


def post_customer(call: Call) -> Answer:
    """Create a customer; without a number it gets the lowest free one."""
    agreement, problems = call.agreement, Problems()
    doc = read_body(call, write_shapes.CUSTOMER, problems)
    number = doc.get("customerNumber") or agreement.free_customer_number()
    if number in agreement.customers:
        problems.add(("customerNumber",), None, say(agreement.language, "number_taken", key=number), number)
        problems.raise_if_any()
    doc.pop("attention", None)
    doc.pop("customerContact", None)
    return _customer_answer(call, agreement.put_customer(_customer_from(agreement, doc, number)), 201)


def put_customer(call: Call) -> Answer:
    """Replace or create a customer."""
    agreement, number = call.agreement, call.number()
    doc = read_body(call, write_shapes.CUSTOMER, Problems())
    status = 200 if number in agreement.customers else 201
    return _customer_answer(call, agreement.put_customer(_customer_from(agreement, doc, number)), status)


def delete_customer(call: Call) -> Answer:
    """Delete a customer that no invoice names."""
    agreement, number = call.agreement, call.number()
    if number not in agreement.customers:
        raise not_found("E06000")
    if agreement.booked_of.get(number) or any(draft.customer == number for draft in agreement.drafts):
        raise ApiError(400, say(agreement.language, "in_use", key=number))
    agreement.remove_customer(number)
    return Answer(204)


# --- contacts ------------------------------------------------------------------------------------


def _contacts_customer(call: Call) -> int:
    number = call.number()
    if number not in call.agreement.customers:
        raise not_found("E06000")
    return number


def _live_contacts(agreement: Agreement, customer: int) -> list[Contact]:
    found = [agreement.contacts[number] for number in agreement.contacts_of.get(customer, ())]
    return sorted((row for row in found if not row.deleted), key=lambda row: row.ui_number)


def list_contacts(call: Call) -> Answer:
    """List a customer's contacts."""
    agreement, customer = call.agreement, _contacts_customer(call)
    return list_answer(
        call,
        Listing(
            agreement.contacts,
            lambda: _live_contacts(agreement, customer),
            lambda row: row.number,
            CONTACTS,
            contact_doc,
            name=f"customer {customer}",
            create="customer contact",
        ),
    )


def get_contact(call: Call) -> Answer:
    """Return one contact."""
    contact = call.agreement.contact(_contacts_customer(call), call.number(1))
    if contact is None or contact.deleted:
        raise not_found("E06000")
    return Answer(200, dumps(contact_doc(contact, links_of(call))))


def post_contact(call: Call) -> Answer:
    """Create a contact of a customer."""
    agreement, customer = call.agreement, _contacts_customer(call)
    doc = read_body(call, write_shapes.CONTACT, Problems())
    numbers = [agreement.contacts[number].ui_number for number in agreement.contacts_of.get(customer, ())]
    contact = Contact(
        agreement.free_contact_number(),
        customer,
        max(numbers, default=0) + 1,
        doc["name"],
        agreement.now(),
        email=doc.get("email"),
        phone=doc.get("phone"),
        notes=doc.get("notes"),
        e_invoice_id=doc.get("eInvoiceId"),
        notifications=tuple(doc.get("emailNotifications", ())),
    )
    agreement.put_contact(contact)
    links = links_of(call)
    return created(dumps(contact_doc(contact, links)), links.to(f"customers/{customer}/contacts/{contact.ui_number}"))


def customer_routes() -> list[Route]:
    """Return the routes that this module serves."""
    return [
        route("POST", "customers", post_customer, "customers"),
        route("PUT", "customers/*", put_customer, "customers"),
        route("DELETE", "customers/*", delete_customer, "customers"),
        route("GET", "customers/*/contacts", list_contacts, "customers"),
        route("POST", "customers/*/contacts", post_contact, "customers"),
        route("GET", "customers/*/contacts/*", get_contact, "customers"),
    ]
