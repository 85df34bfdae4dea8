"""Reading the small registers through legacy REST: their JSON and their routes."""

from collections.abc import Callable
from typing import Any

from worker.sandbox import legacy_fields as f
from worker.sandbox import rendering as r
from worker.sandbox.answers import Answer
from worker.sandbox.calls import Call, Route, route
from worker.sandbox.filters import Fields
from worker.sandbox.legacy_reads import Render, collection, single
from worker.sandbox.links import Links, present, ref, terms_doc, zone_doc
from worker.sandbox.lookups import CustomerGroup, Named, VatAccount
from worker.sandbox.register import Register

VAT_TYPES = {1: "Outgoing Sales Domestic", 2: "Ingoing Purchase Domestic", 3: "Reversed charge"}


def _named(number_name: str, path: str) -> Render:
    def render(_call: Call, row: Named, links: Links) -> dict[str, Any]:
        return {number_name: row.number, "name": row.name, "self": links.to(f"{path}/{row.number}")}

    return render


def _vat_account(_call: Call, row: VatAccount, links: Links) -> dict[str, Any]:
    kind = {"vatTypeNumber": row.type, "name": VAT_TYPES[row.type], "self": links.to(f"vat-types/{row.type}")}
    return present(
        {
            "vatCode": row.code,
            "name": row.name,
            "ratePercentage": row.rate,
            "account": ref(links, "accountNumber", row.account, f"accounts/{row.account}"),
            "vatType": kind,
            "barred": row.barred or None,
            "self": links.to(f"vat-accounts/{row.code}"),
        }
    )


def _customer_group(call: Call, row: CustomerGroup, links: Links) -> dict[str, Any]:
    at = f"customer-groups/{row.number}"
    layout = call.agreement.layouts.get(row.layout or 0)
    return present(
        {
            "customerGroupNumber": row.number,
            "name": row.name,
            "account": r.account_doc(call.agreement.accounts[row.account], links),
            "layout": {"layoutNumber": layout.number, "name": layout.name, "self": links.to(f"layouts/{layout.number}")}
            if layout
            else None,
            "customers": links.to(f"{at}/customers"),
            "self": links.to(at),
        }
    )


def _employee(_call: Call, row: Named, links: Links) -> dict[str, Any]:
    at = f"employees/{row.number}"
    return present(
        {
            "employeeNumber": row.number,
            "name": row.name,
            "email": row.email,
            "customers": links.to(f"{at}/customers"),
            "draftInvoices": links.to(f"{at}/draft-invoices"),
            "bookedInvoices": links.to(f"{at}/booked-invoices"),
            "self": links.to(at),
        }
    )


def _vat_types(call: Call) -> Answer:
    register: Register[int, Named] = Register()
    for number, name in VAT_TYPES.items():
        register.put(number, Named(number, name))
    return collection(lambda _: register, {}, _named("vatTypeNumber", "vat-types"), lambda row: row.number)(call)


def _both(
    path: str,
    resource: str,
    pick: Callable[[Call], Register[Any, Any]],
    fields: Fields,
    render: Render,
    *,
    key: Callable[[Any], Any] = lambda row: row.number,
    text_key: bool = False,
) -> list[Route]:
    return [
        route("GET", path, collection(pick, fields, render, key), resource),
        route("GET", f"{path}/*", single(pick, render, text_key=text_key), resource),
    ]


def lookup_routes() -> list[Route]:
    """Return the routes of the small registers."""
    return [
        *_both("accounts", "accounts", lambda c: c.agreement.accounts, f.ACCOUNTS, lambda _, x, k: r.account_doc(x, k)),
        *_both("vat-zones", "vat", lambda c: c.agreement.vat_zones, {}, lambda _, x, k: zone_doc(x, k)),
        *_both("payment-terms", "terms", lambda c: c.agreement.terms, {}, lambda _, x, k: terms_doc(x, k)),
        *_both("units", "units", lambda c: c.agreement.units, {}, lambda _, x, k: r.unit_doc(x.number, x.name, k)),
        *_both("layouts", "layouts", lambda c: c.agreement.layouts, {}, _named("layoutNumber", "layouts")),
        *_both("employees", "employees", lambda c: c.agreement.employees, f.EMPLOYEES, _employee),
        *_both(
            "customer-groups", "customers", lambda c: c.agreement.customer_groups, f.CUSTOMER_GROUPS, _customer_group
        ),
        *_both(
            "product-groups", "products", lambda c: c.agreement.product_groups, {}, lambda _, x, k: r.group_doc(x, k)
        ),
        *_both(
            "vat-accounts",
            "vat",
            lambda c: c.agreement.vat_accounts,
            {},
            _vat_account,
            key=lambda row: row.code,
            text_key=True,
        ),
        *_both(
            "currencies",
            "currencies",
            lambda c: c.agreement.currencies,
            {},
            lambda _, x, k: {
                "code": x.code,
                "name": x.name,
                "isoNumber": x.iso,
                "self": k.to(f"currencies/{x.code}"),
            },
            key=lambda row: row.code,
            text_key=True,
        ),
        *_both(
            "accounting-years",
            "accounting-years",
            lambda c: c.agreement.years,
            f.YEARS,
            lambda _, x, k: r.year_doc(x, k),
            key=lambda row: row.year,
            text_key=True,
        ),
        route("GET", "vat-types", _vat_types, "vat"),
    ]
