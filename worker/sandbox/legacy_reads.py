"""What can be read from legacy REST: which collections there are and how single documents are found."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from worker.sandbox import legacy_fields as f
from worker.sandbox import rendering as r
from worker.sandbox.answers import Answer, not_found
from worker.sandbox.calls import Call, Handler, Route, route
from worker.sandbox.documents import booked_doc, draft_doc
from worker.sandbox.filters import Fields
from worker.sandbox.jsontext import dumps
from worker.sandbox.legacy_lists import Listing, links_of, list_answer
from worker.sandbox.links import Links
from worker.sandbox.records import Booked
from worker.sandbox.register import Register

T = TypeVar("T")
Render = Callable[[Call, Any, Links], dict[str, Any]]
OTHER = "references.other"


def in_key_order(register: Register[Any, T]) -> Iterable[T]:
    """Return the rows of a register by key."""
    return [register[key] for key in sorted(register.rows)]


def collection(
    pick: Callable[[Call], Register[Any, Any]],
    fields: Fields,
    render: Render,
    key: Callable[[Any], Any],
    create: str | None = None,
    indexed: str | None = None,
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
            indexed=indexed,
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
    """Return the routes of customers, products and invoices that only read."""

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

    draft_item, booked_item = item(draft_doc, lines=False), item(booked_doc, lines=False)
    get = [
        ("customers", collection(customers, f.CUSTOMERS, _customer_item, by_number, "customer"), "customers"),
        ("customers/*", single(customers, _customer_full), "customers"),
        ("products", collection(products, f.PRODUCTS, _product_item, by_number, "product"), "products"),
        ("products/*", single(products, product_full, text_key=True), "products"),
        (
            "invoices/drafts",
            collection(drafts, f.DRAFTS, draft_item, by_number, indexed=OTHER),
            "invoices",
        ),
        ("invoices/drafts/*", single(drafts, item(draft_doc, lines=True)), "invoices"),
        (
            "invoices/booked",
            collection(booked, f.BOOKED, booked_item, by_number, indexed=OTHER),
            "invoices",
        ),
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
