"""The customers service: contacts and customers. Source: its OpenAPI document, version 3.1.0 (2026).

A contact's ``number`` is global; ``userInterfaceNumber`` is what legacy REST shows. Creates answer only the key.
"""

from typing import Any

from worker.sandbox.agreement import Agreement
from worker.sandbox.answers import Answer, ApiError, not_found
from worker.sandbox.calls import Call, Route, route
from worker.sandbox.filters import COMPARE, LISTS, Field, Fields
from worker.sandbox.jsontext import dumps
from worker.sandbox.links import present
from worker.sandbox.openapi_lists import Cursored, list_routes, object_version, plain
from worker.sandbox.records import Contact, Customer
from worker.sandbox.shapes import Flag, Obj, Problems, Text, Whole

CUSTOMERS_API = "customersapi/v3.1.0"
_ANY = COMPARE | LISTS

CONTACTS: Fields = {
    "number": Field("number", "number", _ANY),
    "customerNumber": Field("customer", "number", _ANY),
    "userInterfaceNumber": Field("ui_number", "number", _ANY, sortable=False),
    "name": Field("name", "text", sortable=False),
    "email": Field("email", "text", sortable=False),
    "eInvoiceId": Field("e_invoice_id", "text", COMPARE, sortable=False),
    "lastUpdated": Field("last_updated", "time", COMPARE, sortable=False),
    "isDeleted": Field("deleted", "flag", COMPARE, sortable=False),
    "active": Field("active", "flag", COMPARE, sortable=False),
}
CUSTOMERS: Fields = {"customerNumber": Field("number", "number", _ANY)}
_CONTACT = Obj(
    {
        "number": Whole(),
        "customerNumber": Whole(1, 999_999_999),
        "name": Text(255, 1),
        "email": Text(255),
        "phone": Text(50),
        "notes": Text(2000),
        "eInvoiceId": Text(50),
        "objectVersion": Text(100),
        "receiveInvoices": Flag(),
    },
    required=("customerNumber", "name"),
)


def flat_body(call: Call, shape: Obj) -> dict[str, Any]:
    """Return a checked flat body. Raises the 400 with one error per property."""
    value = call.json()
    if not isinstance(value, dict):
        raise ApiError(400, "Expected a JSON with an object as the root element.", "InvalidInput")
    problems = Problems()
    doc: dict[str, Any] = shape.read(value, (), problems)
    if problems.count:
        errors = [
            {"message": error["errorMessage"], "errorCode": "InvalidInput", "property": name}
            for name, node in problems.tree.items()
            for error in node["errors"]
        ]
        raise ApiError(400, "One or more validation errors occurred.", "InvalidInput", errors=errors)
    return doc


def need_version(doc: dict[str, Any], current: str) -> None:
    """Raise the 409 unless the body names the record's current version."""
    if doc.get("objectVersion") != current:
        raise ApiError(409, "The resource has been changed by someone else.", "UpdateConflict")


def refuse(code: str, message: str, name: str) -> ApiError:
    """Return a 400 with one of the service's own error codes."""
    return ApiError(400, message, code, errors=[{"message": message, "errorCode": code, "property": name}])


def contact_open(row: Contact) -> dict[str, Any]:
    """Return a contact as this service shows it."""
    return present(
        {
            "number": row.number,
            "customerNumber": row.customer,
            "userInterfaceNumber": row.ui_number,
            "name": row.name,
            "email": row.email,
            "phone": row.phone,
            "notes": row.notes,
            "eInvoiceId": row.e_invoice_id,
            "lastUpdated": row.last_updated.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "receiveInvoices": "invoices" in row.notifications or None,
            "objectVersion": object_version("contact", row.number, row.version),
            "isDeleted": row.deleted,
            "active": row.active,
        }
    )


def _contacts(call: Call) -> Cursored[Contact]:
    contacts = call.agreement.contacts
    return Cursored(
        contacts,
        "open",
        lambda: [contacts[number] for number in sorted(contacts.rows)],
        lambda row: (row.number,),
        CONTACTS,
        contact_open,
        lambda row: row.number,
    )


def _get_contact(call: Call) -> Answer:
    contact = call.agreement.contacts.get(call.number())
    if contact is None:
        raise not_found()
    return Answer(200, dumps(contact_open(contact)))


def _checked_name(agreement: Agreement, doc: dict[str, Any], own: int | None) -> None:
    customer, name = doc["customerNumber"], doc["name"]
    if customer not in agreement.customers:
        raise refuse("CustomerDoesNotExist", "Customer does not exist.", "customerNumber")
    for number in agreement.contacts_of.get(customer, ()):
        other = agreement.contacts[number]
        if number != own and not other.deleted and other.name == name:
            raise refuse("CustomerContactNameAlreadyExists", "The contact name already exists.", "name")


def _fill(contact: Contact, doc: dict[str, Any]) -> None:
    contact.name, contact.email, contact.phone = doc["name"], doc.get("email"), doc.get("phone")
    contact.notes, contact.e_invoice_id = doc.get("notes"), doc.get("eInvoiceId")
    contact.notifications = ("invoices",) if doc.get("receiveInvoices") else ()


def _post_contact(call: Call) -> Answer:
    agreement, doc = call.agreement, flat_body(call, _CONTACT)
    _checked_name(agreement, doc, None)
    customer = doc["customerNumber"]
    ui_numbers = [agreement.contacts[n].ui_number for n in agreement.contacts_of.get(customer, ())]
    number = agreement.free_contact_number()
    contact = Contact(number, customer, max(ui_numbers, default=0) + 1, doc["name"], agreement.now())
    _fill(contact, doc)
    agreement.put_contact(contact)
    return Answer(201, dumps({"number": number}))


def _put_contact(call: Call) -> Answer:
    agreement, doc = call.agreement, flat_body(call, _CONTACT)
    contact = agreement.contacts.get(doc.get("number", 0))
    if contact is None or contact.deleted:
        raise not_found()
    if contact.customer != doc["customerNumber"]:
        raise refuse("CustomerNumberMismatch", "The customer of a contact cannot change.", "customerNumber")
    need_version(doc, object_version("contact", contact.number, contact.version))
    _checked_name(agreement, doc, contact.number)
    _fill(contact, doc)
    agreement.put_contact(contact)
    return Answer(204)


def _delete_contact(call: Call) -> Answer:
    agreement = call.agreement
    contact = agreement.contacts.get(call.number())
    if contact is None or contact.deleted:
        raise not_found()
    contact.deleted = True
    agreement.put_contact(contact)
    return Answer(204)


def customer_open(row: Customer) -> dict[str, Any]:
    """Return a customer as this service shows it: flat, numbers instead of links, ``access`` for not barred."""
    lines = row.address.replace("\r\n", "\n").replace("\r", "\n").split("\n", 1) if row.address else []
    return present(
        {
            "customerNumber": row.number,
            "customerGroupNumber": row.group,
            "zone": row.vat_zone,
            "currency": row.currency,
            "access": not row.barred,
            "name": row.name,
            "address1": lines[0] if lines else None,
            "address2": lines[1] if len(lines) > 1 else None,
            "postCode": row.zip,
            "city": row.city,
            "country": row.country,
            "phone": row.phone,
            "email": row.email,
            "cvrNo": row.cvr,
            "ourRef": row.sales_person,
            "paymentTermId": row.terms,
            "homepage": row.website,
            "defaultTheirRef": row.contact,
            "defaultAttention": row.attention,
            "layoutGroup": row.layout,
            "eanLocationNumber": row.ean,
            "voucherNumber": row.public_entry_number,
            "vatNo": row.vat_number,
            "creditMaximum": plain(row.credit_limit),
            "pnr": row.p_number,
            "mobilePhone": row.mobile_phone,
            "defaultDisableEInvoicing": row.e_invoicing_disabled,
            "objectVersion": object_version("customer", row.number, row.version),
        }
    )


def _customers(call: Call) -> Cursored[Customer]:
    customers = call.agreement.customers
    return Cursored(
        customers,
        "open",
        lambda: [customers[number] for number in sorted(customers.rows)],
        lambda row: (row.number,),
        CUSTOMERS,
        customer_open,
        lambda row: row.number,
    )


def _get_customer(call: Call) -> Answer:
    customer = call.agreement.customers.get(call.number())
    if customer is None:
        raise not_found()
    return Answer(200, dumps(customer_open(customer)))


def _setup(_call: Call) -> Answer:
    version = object_version("setup", 1, 1)
    return Answer(200, dumps({"defaultCustomerGroupNumber": 1, "defaultLayoutNumber": 19, "objectVersion": version}))


def party_routes() -> list[Route]:
    """Return the routes of the customers service."""
    at = CUSTOMERS_API
    return [
        *list_routes(f"{at}/contacts", _contacts, "customers"),
        route("GET", f"{at}/contacts/*", _get_contact, "customers"),
        route("POST", f"{at}/contacts", _post_contact, "customers"),
        route("PUT", f"{at}/contacts", _put_contact, "customers"),
        route("DELETE", f"{at}/contacts/*", _delete_contact, "customers"),
        *list_routes(f"{at}/customers", _customers, "customers"),
        route("GET", f"{at}/customers/*", _get_customer, "customers"),
        route("GET", f"{at}/setup", _setup, "customers"),
    ]
