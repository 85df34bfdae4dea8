"""Legacy JSON of customers, contacts, products, ``/self`` and the small registers."""

from datetime import date
from typing import Any

from worker.sandbox.agreement import Agreement
from worker.sandbox.keys import encode_key
from worker.sandbox.links import Links, present, ref
from worker.sandbox.lookups import Account, AccountingYear, ProductGroup
from worker.sandbox.records import Contact, Customer, Product

_BANK = {
    "bankName": "Sandkassebanken",
    "bankSortCode": "0000",
    "bankAccountNumber": "0000000000",
    "pbsCustomerGroupNumber": "",
}
_ROLES = {"Sales": 1, "SuperUser": 2, "ProjectEmployee": 3, "Bookkeeping": 4}


def _editable(kind: str, href: str) -> dict[str, Any]:
    return {
        "delete": {"description": f"Delete this {kind}.", "href": href, "httpMethod": "delete"},
        "replace": {"description": f"Replace this {kind}.", "href": href, "httpMethod": "put"},
    }


def customer_doc(agreement: Agreement, row: Customer, links: Links, *, full: bool) -> dict[str, Any]:
    """Return a customer; ``full`` adds the ``metaData`` that only the single document has."""
    at = f"customers/{row.number}"
    today = agreement.now().date()
    return present(
        {
            "customerNumber": row.number,
            "currency": row.currency,
            "paymentTerms": ref(links, "paymentTermsNumber", row.terms, f"payment-terms/{row.terms}"),
            "customerGroup": ref(links, "customerGroupNumber", row.group, f"customer-groups/{row.group}"),
            "address": row.address,
            "balance": agreement.balance(row.number),
            "dueAmount": agreement.balance(row.number, due_before=today),
            "barred": row.barred or None,
            "city": row.city,
            "corporateIdentificationNumber": row.cvr,
            "pNumber": row.p_number,
            "country": row.country,
            "creditLimit": row.credit_limit,
            "ean": row.ean,
            "email": row.email,
            "name": row.name,
            "publicEntryNumber": row.public_entry_number,
            "zip": row.zip,
            "telephoneAndFaxNumber": row.phone,
            "vatNumber": row.vat_number,
            "website": row.website,
            "vatZone": ref(links, "vatZoneNumber", row.vat_zone, f"vat-zones/{row.vat_zone}"),
            "attention": _own_contact(links, row.number, row.attention),
            "customerContact": _own_contact(links, row.number, row.contact),
            "layout": ref(links, "layoutNumber", row.layout, f"layouts/{row.layout}") if row.layout else None,
            "salesPerson": ref(links, "employeeNumber", row.sales_person, f"employees/{row.sales_person}")
            if row.sales_person
            else None,
            "lastUpdated": row.last_updated.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "mobilePhone": row.mobile_phone,
            "eInvoicingDisabledByDefault": row.e_invoicing_disabled,
            **_customer_links(row.number, links),
            "metaData": _editable("customer", links.to(at)) if full else None,
            "self": links.to(at),
        }
    )


def _own_contact(links: Links, customer: int, number: int | None) -> dict[str, Any] | None:
    if number is None:
        return None
    at = f"customers/{customer}"
    return {
        "customerContactNumber": number,
        "customer": ref(links, "customerNumber", customer, at),
        "self": links.to(f"{at}/contacts/{number}"),
    }


def _customer_links(number: int, links: Links) -> dict[str, Any]:
    at = f"customers/{number}"
    return {
        "contacts": links.to(f"{at}/contacts"),
        "templates": {
            "invoice": links.to(f"{at}/templates/invoice"),
            "invoiceLine": links.to(f"{at}/templates/invoiceline"),
            "self": links.to(f"{at}/templates"),
        },
        "totals": {
            "drafts": links.to(f"invoices/totals/drafts/{at}"),
            "booked": links.to(f"invoices/totals/booked/{at}"),
            "self": links.to(f"{at}/totals"),
        },
        "deliveryLocations": links.to(f"{at}/delivery-locations"),
        "invoices": {
            "drafts": links.to(f"{at}/invoices/drafts"),
            "booked": links.to(f"{at}/invoices/booked"),
            "self": links.to(f"{at}/invoices"),
        },
    }


def contact_doc(row: Contact, links: Links) -> dict[str, Any]:
    """Return a contact as legacy REST shows it: by its number within the customer."""
    at = f"customers/{row.customer}"
    return present(
        {
            "customerContactNumber": row.ui_number,
            "email": row.email,
            "name": row.name,
            "phone": row.phone,
            "eInvoiceId": row.e_invoice_id,
            "notes": row.notes,
            "emailNotifications": list(row.notifications) or None,
            "customer": ref(links, "customerNumber", row.customer, at),
            "sortKey": row.ui_number,
            "self": links.to(f"{at}/contacts/{row.ui_number}"),
        }
    )


def product_doc(agreement: Agreement, row: Product, links: Links, *, full: bool) -> dict[str, Any]:
    """Return a product with its group and unit expanded."""
    at = f"products/{encode_key(row.number)}"
    group, unit = agreement.product_groups[row.group], agreement.units.get(row.unit or 0)
    return present(
        {
            "productNumber": row.number,
            "description": row.description,
            "name": row.name,
            "costPrice": row.cost_price,
            "recommendedPrice": row.recommended_price,
            "salesPrice": row.sales_price,
            "barCode": row.bar_code,
            "barred": row.barred,
            "lastUpdated": row.last_updated.strftime("%Y-%m-%dT%H:%M:00Z"),
            "productGroup": group_doc(group, links) | {"inventoryEnabled": False},
            "unit": unit_doc(unit.number, unit.name, links) if unit else None,
            "invoices": {
                "drafts": links.to(f"{at}/invoices/drafts"),
                "booked": links.to(f"{at}/invoices/booked"),
                "self": links.to(f"{at}/invoices"),
            },
            "pricing": {"currencySpecificSalesPrices": links.to(f"{at}/pricing/currency-specific-sales-prices")},
            "metaData": _editable("product", links.to(at)) if full else None,
            "self": links.to(at),
        }
    )


def group_doc(row: ProductGroup, links: Links) -> dict[str, Any]:
    """Return a product group."""
    at = f"product-groups/{row.number}"
    return {
        "productGroupNumber": row.number,
        "name": row.name,
        "salesAccounts": links.to(f"{at}/sales-accounts"),
        "products": links.to(f"{at}/products"),
        "self": links.to(at),
    }


def unit_doc(number: int, name: str, links: Links) -> dict[str, Any]:
    """Return a unit."""
    at = f"units/{number}"
    return {"unitNumber": number, "name": name, "products": links.to(f"{at}/products"), "self": links.to(at)}


def account_doc(row: Account, links: Links) -> dict[str, Any]:
    """Return an account of the chart."""
    at = f"accounts/{row.number}"
    vat = row.vat_code
    return present(
        {
            "accountNumber": row.number,
            "accountType": row.type,
            "balance": 0,
            "barred": row.barred or None,
            "blockDirectEntries": False,
            "debitCredit": row.debit_credit,
            "name": row.name,
            "vatAccount": ref(links, "vatCode", vat, f"vat-accounts/{vat}") if vat else None,
            "accountingYears": links.to(f"{at}/accounting-years"),
            "self": links.to(at),
        }
    )


def year_doc(row: AccountingYear, links: Links) -> dict[str, Any]:
    """Return an accounting year; ``closed`` is only there when true."""
    at = f"accounting-years/{encode_key(row.year)}"
    return present(
        {
            "fromDate": row.first.isoformat(),
            "toDate": row.last.isoformat(),
            "closed": row.closed or None,
            "year": row.year,
            "periods": links.to(f"{at}/periods"),
            "entries": links.to(f"{at}/entries"),
            "totals": links.to(f"{at}/totals"),
            "vouchers": links.to(f"{at}/vouchers"),
            "self": links.to(at),
        }
    )


def self_doc(agreement: Agreement, links: Links, app_public_token: str) -> dict[str, Any]:
    """Return ``/self``: the agreement, its company and bank, the app and its public token, never a secret."""
    number, name = agreement.number, agreement.company_name
    culture, language = ("da-DK", "Danish") if agreement.language == "da" else ("en-US", "English")
    mail = f"regnskab{number}@sandkasse.example"
    role = {"roleNumber": _ROLES[agreement.role], "name": agreement.role}
    modules = ((14, "Dimension (afdeling/kvantum)"), (74, "Subscription and Direct Debit"))
    return {
        "agreementNumber": number,
        "agreementType": {"agreementTypeNumber": 1, "name": "denmark"},
        "userName": "SANDKASSE",
        "signupDate": agreement.signup.isoformat(),
        "user": {
            "loginId": "SANDKASSE",
            "email": mail,
            "name": "Sandkasse Bruger",
            "language": {"languageNumber": 1, "name": language, "culture": culture, "self": links.to("languages/1")},
            "agreementNumber": number,
        },
        "company": {
            "addressLine1": "Sandkassevej 1",
            "zip": "6200",
            "city": "Aabenraa",
            "name": name,
            "country": "Danmark",
            "attention": "Åse Østergaard",
            "email": mail,
            "companyIdentificationNumber": agreement.cvr,
        },
        "bankInformation": dict(_BANK),
        "application": {
            "appNumber": 1,
            "name": "Sandbox app",
            "appPublicToken": app_public_token,
            "created": date(agreement.signup.year, 6, 14).isoformat(),
            "requiredRoles": [role],
            "self": links.to("apps/1"),
        },
        "settings": {"baseCurrency": agreement.base_currency},
        "companyAffiliation": "e-conomic",
        "canSendElectronicInvoice": True,
        "modules": [
            {"moduleNumber": module, "name": title, "self": links.to(f"modules/agreement/{module}")}
            for module, title in modules
        ],
        "self": links.to("self"),
    }
