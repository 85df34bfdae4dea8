"""The legacy REST surface: every route in one table, the root document, ``/self`` and sales accounts."""

from typing import Any

from worker.sandbox.answers import Answer, not_found
from worker.sandbox.calls import Call, Route, Router, route
from worker.sandbox.jsontext import dumps
from worker.sandbox.legacy_customers import customer_routes
from worker.sandbox.legacy_invoices import invoice_routes
from worker.sandbox.legacy_lists import Listing, links_of, list_answer
from worker.sandbox.legacy_lookups import lookup_routes
from worker.sandbox.legacy_products import product_routes
from worker.sandbox.legacy_reads import read_routes
from worker.sandbox.links import Links, ref, zone_doc
from worker.sandbox.lookups import ProductGroup
from worker.sandbox.register import Register
from worker.sandbox.rendering import account_doc, product_doc, self_doc

_ROOTS = (
    "accounts",
    "accounting-years",
    "app-roles",
    "currencies",
    "customer-groups",
    "customers",
    "employees",
    "invoices",
    "layouts",
    "payment-terms",
    "product-groups",
    "products",
    "self",
    "units",
    "vat-accounts",
    "vat-types",
    "vat-zones",
)


def _root(call: Call) -> Answer:
    links = links_of(call)
    return Answer(200, dumps({name: links.to(name) for name in _ROOTS} | {"self": links.to("")}))


def _self(call: Call) -> Answer:
    return Answer(200, dumps(self_doc(call.agreement, links_of(call), call.app_public_token)))


def _invoices(call: Call) -> Answer:
    links = links_of(call)
    parts = {"drafts": "drafts", "booked": "booked", "paid": "paid", "unpaid": "unpaid", "overdue": "overdue"}
    parts |= {"notDue": "not-due", "sent": "sent", "totals": "totals"}
    doc = {name: links.to(f"invoices/{path}") for name, path in parts.items()}
    return Answer(200, dumps(doc | {"self": links.to("invoices")}))


def _app_roles(call: Call) -> Answer:
    register: Register[int, tuple[int, str]] = Register()
    for number, name in enumerate(("Sales", "SuperUser", "ProjectEmployee", "Bookkeeping"), 1):
        register.put(number, (number, name))

    def render(row: tuple[int, str], links: Links) -> dict[str, Any]:
        return {"roleNumber": row[0], "name": row[1], "self": links.to(f"app-roles/{row[0]}")}

    return list_answer(call, Listing(register, lambda: register, lambda row: row[0], {}, render))


def _group(call: Call) -> ProductGroup:
    group = call.agreement.product_groups.get(call.number())
    if group is None:
        raise not_found("E06000")
    return group


def _sales_accounts(call: Call) -> Answer:
    agreement, group = call.agreement, _group(call)
    rows: Register[int, int] = Register()
    for zone in group.accounts:
        rows.put(zone, zone)

    def render(zone: int, links: Links) -> dict[str, Any]:
        account = agreement.accounts.get(group.accounts[zone])
        shown = ref(links, "accountNumber", group.accounts[zone], f"accounts/{group.accounts[zone]}")
        return {
            "vatZone": zone_doc(agreement.vat_zones[zone], links),
            "salesAccount": account_doc(account, links) if account else shown,
        }

    return list_answer(call, Listing(rows, lambda: list(rows.rows), lambda zone: zone, {}, render))


def _group_products(call: Call) -> Answer:
    agreement, group = call.agreement, _group(call)
    products = agreement.products
    listing = Listing(
        products,
        lambda: [products[key] for key in sorted(products.rows) if products[key].group == group.number],
        lambda row: row.number,
        {},
        lambda row, links: product_doc(agreement, row, links, full=False),
        name=f"group {group.number}",
    )
    return list_answer(call, listing)


def legacy_router() -> Router:
    """Return the router of the legacy surface."""
    own: list[Route] = [
        route("GET", "", _root, "root"),
        route("GET", "self", _self, "self"),
        route("GET", "invoices", _invoices, "invoices"),
        route("GET", "app-roles", _app_roles, "root"),
        route("GET", "product-groups/*/sales-accounts", _sales_accounts, "products"),
        route("GET", "product-groups/*/products", _group_products, "products"),
    ]
    return Router([*own, *lookup_routes(), *read_routes(), *customer_routes(), *product_routes(), *invoice_routes()])
