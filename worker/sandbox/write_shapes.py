"""What may be sent to each legacy endpoint: the vendor's published POST and PUT schemas as tables.

Source: the JSON Schemas at restapi.e-conomic.com/schema (2026), limits included.
"""

from worker.sandbox.shapes import Arr, Choice, Day, Flag, Number, Obj, Ref, Text, Whole

_CUSTOMER_NUMBER = Whole(1, 999_999_999)
TERMS_TYPES = frozenset(
    {
        "net",
        "invoiceMonth",
        "paidInCash",
        "prepaid",
        "dueDate",
        "factoring",
        "invoiceWeekStartingSunday",
        "invoiceWeekStartingMonday",
        "creditcard",
        "avtaleGiro",
    }
)

CUSTOMER = Obj(
    {
        "customerNumber": _CUSTOMER_NUMBER,
        "name": Text(255, 1),
        "currency": Text(3, 3),
        "customerGroup": Ref("customerGroupNumber"),
        "paymentTerms": Ref("paymentTermsNumber"),
        "vatZone": Ref("vatZoneNumber"),
        "address": Text(510),
        "barred": Flag(),
        "city": Text(50),
        "corporateIdentificationNumber": Text(40),
        "pNumber": Text(10, 10),
        "country": Text(50),
        "creditLimit": Number(),
        "ean": Text(13),
        "email": Text(255),
        "layout": Ref("layoutNumber"),
        "zip": Text(30),
        "publicEntryNumber": Text(50),
        "telephoneAndFaxNumber": Text(255),
        "mobilePhone": Text(50),
        "eInvoicingDisabledByDefault": Flag(),
        "vatNumber": Text(20),
        "website": Text(255),
        "salesPerson": Ref("employeeNumber"),
        "attention": Ref("customerContactNumber"),
        "customerContact": Ref("customerContactNumber"),
    },
    required=("name", "currency", "customerGroup", "paymentTerms", "vatZone"),
)

CONTACT = Obj(
    {
        "name": Text(255, 1),
        "email": Text(255),
        "phone": Text(50),
        "eInvoiceId": Text(50),
        "notes": Text(2000),
        "emailNotifications": Arr(Choice(frozenset({"invoices", "orders", "quotations", "reminders"}))),
    },
    required=("name",),
)

PRODUCT = Obj(
    {
        "productNumber": Text(25, 1),
        "name": Text(300, 1),
        "productGroup": Ref("productGroupNumber"),
        "description": Text(500),
        "costPrice": Number(),
        "recommendedPrice": Number(),
        "salesPrice": Number(),
        "barCode": Text(50),
        "barred": Flag(),
        "unit": Ref("unitNumber"),
    },
    required=("productNumber", "name", "productGroup"),
)

_LINE = Obj(
    {
        "lineNumber": Whole(),
        "sortKey": Whole(),
        "description": Text(2500),
        "unit": Ref("unitNumber"),
        "product": Ref("productNumber", text=True),
        "quantity": Number(),
        "unitNetPrice": Number(),
        "discountPercentage": Number(),
        "unitCostPrice": Number(),
    }
)

_RECIPIENT = Obj(
    {
        "name": Text(250),
        "address": Text(250),
        "zip": Text(50),
        "city": Text(250),
        "country": Text(50),
        "ean": Text(13),
        "publicEntryNumber": Text(40),
        "cvr": Text(40),
        "mobilePhone": Text(50),
        "nemHandelType": Choice(frozenset({"ean", "corporateIdentificationNumber", "pNumber", "peppol"})),
        "attention": Ref("customerContactNumber"),
        "vatZone": Ref("vatZoneNumber"),
    },
    required=("name", "vatZone"),
)

_DELIVERY = Obj(
    {
        "address": Text(255),
        "zip": Text(30),
        "city": Text(50),
        "country": Text(50),
        "deliveryTerms": Text(100),
        "deliveryDate": Day(),
    }
)

DRAFT = Obj(
    {
        "date": Day(),
        "currency": Text(3, 3, "[a-zA-Z]{3}"),
        "exchangeRate": Number(6),
        "dueDate": Day(),
        "layout": Ref("layoutNumber"),
        "project": Ref("projectNumber"),
        "paymentTerms": Ref("paymentTermsNumber", extra={"paymentTermsType": Choice(TERMS_TYPES)}),
        "customer": Ref("customerNumber"),
        "recipient": _RECIPIENT,
        "deliveryLocation": Ref("deliveryLocationNumber"),
        "delivery": _DELIVERY,
        "notes": Obj({"heading": Text(250), "textLine1": Text(1000), "textLine2": Text(1000)}),
        "references": Obj(
            {
                "customerContact": Ref("customerContactNumber"),
                "salesPerson": Ref("employeeNumber"),
                "vendorReference": Ref("employeeNumber"),
                "other": Text(250),
            }
        ),
        "lines": Arr(_LINE),
    },
    required=("date", "currency", "layout", "paymentTerms", "customer", "recipient"),
)

BOOKING = Obj(
    {
        "draftInvoice": Ref("draftInvoiceNumber"),
        "bookWithNumber": Whole(),
        "sendBy": Choice(frozenset({"none", "EAN", "Email"})),
    },
    required=("draftInvoice",),
)
