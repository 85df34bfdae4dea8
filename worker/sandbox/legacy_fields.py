"""What the legacy lists may be filtered and sorted by.

Flags from the vendor's JSON Schemas, corrected where a live agreement was seen to differ: ``customers.pNumber`` is
filterable though unmarked, products' ``barred`` filters but does not sort, ``references.customerContact`` is refused.
"""

from worker.sandbox.filters import ALL, COMPARE, LISTS, Field, Fields

_NUMBER = COMPARE | LISTS


def _number(path: str, *, sortable: bool = True) -> Field:
    return Field(path, "number", _NUMBER, sortable)


CUSTOMERS: Fields = {
    "address": Field("address"),
    "barred": Field("barred", "flag", frozenset({"eq", "ne"}), sortable=False),
    "city": Field("city"),
    "corporateIdentificationNumber": Field("cvr"),
    "pNumber": Field("p_number", sortable=False),
    "country": Field("country"),
    "creditLimit": _number("credit_limit"),
    "currency": Field("currency"),
    "customerNumber": _number("number"),
    "ean": Field("ean"),
    "email": Field("email"),
    "lastUpdated": Field("last_updated", "time", COMPARE),
    "name": Field("name"),
    "publicEntryNumber": Field("public_entry_number"),
    "telephoneAndFaxNumber": Field("phone"),
    "mobilePhone": Field("mobile_phone"),
    "vatNumber": Field("vat_number"),
    "website": Field("website"),
    "zip": Field("zip"),
    "customerGroup.customerGroupNumber": _number("group", sortable=False),
}

CONTACTS: Fields = {
    "customerContactNumber": _number("ui_number"),
    "email": Field("email"),
    "name": Field("name"),
    "phone": Field("phone"),
    "eInvoiceId": Field("e_invoice_id"),
    "customer.customerNumber": _number("customer"),
    "sortKey": _number("ui_number"),
}

PRODUCTS: Fields = {
    "productNumber": Field("number"),
    "description": Field("description"),
    "name": Field("name"),
    "costPrice": _number("cost_price"),
    "recommendedPrice": _number("recommended_price"),
    "salesPrice": _number("sales_price"),
    "barCode": Field("bar_code"),
    "barred": Field("barred", "flag", frozenset({"eq", "ne"}), sortable=False, only_equals=True),
    "lastUpdated": Field("last_updated", "time", COMPARE),
    "unit.unitNumber": _number("unit", sortable=False),
    "productGroup.productGroupNumber": _number("group", sortable=False),
}

_DOCUMENT: Fields = {
    "date": Field("date", "date", COMPARE),
    "currency": Field("currency"),
    "exchangeRate": _number("rate"),
    "paymentTerms.paymentTermsNumber": _number("terms.number"),
    "customer.customerNumber": _number("customer"),
    "recipient.name": Field("recipient.name"),
    "recipient.address": Field("recipient.address"),
    "recipient.zip": Field("recipient.zip"),
    "recipient.city": Field("recipient.city"),
    "recipient.country": Field("recipient.country"),
    "recipient.ean": Field("recipient.ean"),
    "recipient.publicEntryNumber": Field("recipient.public_entry_number"),
    "deliveryLocation.deliveryLocationNumber": _number("delivery_location"),
    "delivery.address": Field("delivery.address"),
    "delivery.zip": Field("delivery.zip"),
    "delivery.city": Field("delivery.city"),
    "delivery.country": Field("delivery.country"),
    "delivery.deliveryTerms": Field("delivery.terms"),
    "delivery.deliveryDate": Field("delivery.day", "date", COMPARE),
    "notes.heading": Field("heading"),
    "notes.textLine1": Field("text1"),
    "notes.textLine2": Field("text2"),
    "references.salesPerson.employeeNumber": _number("sales_person"),
    "references.vendorReference.employeeNumber": _number("vendor_reference"),
    "references.other": Field("other"),
}
DRAFTS: Fields = {
    "draftInvoiceNumber": _number("number"),
    **_DOCUMENT,
    "soap.currentInvoiceHandle.id": _number("document_id"),
    "lastUpdated": Field("last_updated", "time", COMPARE, sortable=False),
}
BOOKED: Fields = {
    "bookedInvoiceNumber": _number("number"),
    **_DOCUMENT,
    "recipient.vatZone.vatZoneNumber": _number("recipient.vat_zone.number"),
}
VIEWS: Fields = {name: field for name, field in BOOKED.items() if name != "exchangeRate"}

ACCOUNTS: Fields = {
    "accountNumber": _number("number"),
    "accountType": Field("type"),
    "barred": Field("barred", "flag", frozenset({"eq", "ne"}), sortable=False),
    "debitCredit": Field("debit_credit"),
    "name": Field("name"),
}
YEARS: Fields = {
    "fromDate": Field("first", "date", COMPARE),
    "toDate": Field("last", "date", COMPARE),
    "year": Field("year"),
}
EMPLOYEES: Fields = {
    "employeeNumber": _number("number"),
    "name": Field("name", "text", ALL),
    "email": Field("email"),
}
CUSTOMER_GROUPS: Fields = {
    "customerGroupNumber": _number("number"),
    "name": Field("name"),
    "account.accountNumber": _number("account"),
}
NOTHING: Fields = {}
