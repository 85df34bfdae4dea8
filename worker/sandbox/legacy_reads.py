"""What can be read from legacy REST: which collections there are and how single documents are found."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from worker.sandbox import legacy_fields as f
from worker.sandbox import rendering as r
from worker.sandbox.answers import Answer, not_found
from worker.sandbox.calls import Call, Handler, Route, route
from worker.sandbox.documents import Links, booked_doc, draft_doc, present, ref, terms_doc, zone_doc
from worker.sandbox.filters import Fields
from worker.sandbox.jsontext import dumps
from worker.sandbox.legacy_lists import Listing, links_of, list_answer
from worker.sandbox.records import Booked, CustomerGroup, Named, VatAccount
from worker.sandbox.register import Register

T = TypeVar("T")
Render = Callable[[Call, Any, Links], dict[str, Any]]
VAT_TYPES = {1: "Outgoing Sales Domestic", 2: "Ingoing Purchase Domestic", 3: "Reversed charge"}


def in_key_order(register: Register[Any, T]) -> Iterable[T]:
    """Return the rows of a register by key."""
    return [register[key] for key in sorted(register.rows)]


def collection(
    pick: Callable[[Call], Register[Any, Any]],
    fields: Fields,
    render: Render,
    key: Callable[[Any], Any],
    create: str | None = None,
) -> Handler:
    """Return the handler of a collection."""

    def handler(call: Call) -> Answer:
        register = pick(call)
        listing = Listing(
            register,
            lambda: in_key_order(register),
            key,
            fields,
            lambda row, links: render(call, row, links),
            create=create,
        )
        return list_answer(call, listing)

    return handler


def single(pick: Callable[[Call], Register[Any, Any]], render: Render, *, text_key: bool = False) -> Handler:
    """Return the handler of one document. Its JSON is remembered until the record changes."""

    def handler(call: Call) -> Answer:
        register = pick(call)
        key: Any = call.keys[0] if text_key else call.number()
        row = register.get(key)
        if row is None:
            raise not_found("E06000")
        links = links_of(call)
        if links.suffix:
            return Answer(200, dumps(render(call, row, links)))
        return Answer(200, register.text("full", key, lambda row: dumps(render(call, row, links))))

    return handler


def invoice_view(name: str, keep: Callable[[Booked, Any], bool]) -> Handler:
    """Return the handler of a view over the booked invoices; ``keep`` gets the invoice and today."""

    def handler(call: Call) -> Answer:
        booked, today = call.agreement.booked, call.agreement.now().date()
        listing = Listing(
            booked,
            lambda: [row for row in in_key_order(booked) if keep(row, today)],
            lambda row: row.number,
            f.VIEWS,
            lambda row, links: booked_doc(row, links, lines=False),
            name=f"{name} {today}",
        )
        return list_answer(call, listing)

    return handler


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


def _customer_item(call: Call, row: Any, links: Links) -> dict[str, Any]:
    return r.customer_doc(call.agreement, row, links, full=False)


def _customer_full(call: Call, row: Any, links: Links) -> dict[str, Any]:
    return r.customer_doc(call.agreement, row, links, full=True)


def _product_item(call: Call, row: Any, links: Links) -> dict[str, Any]:
    return r.product_doc(call.agreement, row, links, full=False)


def product_full(call: Call, row: Any, links: Links) -> dict[str, Any]:
    """Return a product's own document."""
    return r.product_doc(call.agreement, row, links, full=True)


def by_number(row: Any) -> Any:
    """Return a row's number."""
    return row.number


def read_routes() -> list[Route]:
    """Return the routes of registers, customers, products and invoices that only read."""
    routes = [
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
    return routes + _main_routes()


def _main_routes() -> list[Route]:
    def customers(call: Call) -> Register[Any, Any]:
        return call.agreement.customers

    def products(call: Call) -> Register[Any, Any]:
        return call.agreement.products

    def drafts(call: Call) -> Register[Any, Any]:
        return call.agreement.drafts

    def booked(call: Call) -> Register[Any, Any]:
        return call.agreement.booked

    def item(doc: Callable[..., dict[str, Any]], *, lines: bool) -> Render:
        return lambda _, row, links: doc(row, links, lines=lines)

    get = [
        ("customers", collection(customers, f.CUSTOMERS, _customer_item, by_number, "customer"), "customers"),
        ("customers/*", single(customers, _customer_full), "customers"),
        ("products", collection(products, f.PRODUCTS, _product_item, by_number, "product"), "products"),
        ("products/*", single(products, product_full, text_key=True), "products"),
        ("invoices/drafts", collection(drafts, f.DRAFTS, item(draft_doc, lines=False), by_number), "invoices"),
        ("invoices/drafts/*", single(drafts, item(draft_doc, lines=True)), "invoices"),
        ("invoices/booked", collection(booked, f.BOOKED, item(booked_doc, lines=False), by_number), "invoices"),
        ("invoices/booked/*", single(booked, item(booked_doc, lines=True)), "invoices"),
        ("invoices/paid", invoice_view("paid", lambda x, _: x.remainder == 0), "invoices"),
        ("invoices/unpaid", invoice_view("unpaid", lambda x, _: x.remainder != 0), "invoices"),
        ("invoices/overdue", invoice_view("overdue", _overdue), "invoices"),
        (
            "invoices/not-due",
            invoice_view("not-due", lambda x, day: x.remainder != 0 and not _overdue(x, day)),
            "invoices",
        ),
    ]
    return [route("GET", path, handler, resource) for path, handler, resource in get]


def _overdue(invoice: Booked, today: Any) -> bool:
    return invoice.remainder != 0 and invoice.due_date is not None and bool(invoice.due_date < today)
