"""``…/products``, ``…/customers``, ``…/invoices``: lists, one record with its history, Refresh (R12, R20, R28, R29)."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import date
from typing import Any
from uuid import UUID

from aiohttp import web

from events.refresh import RefreshRequested
from worker.store import lists, record_pages, reports
from worker.store.lists import FILTERS, Entity, Key, Record
from worker.web.console import live
from worker.web.console.filters import Filters
from worker.web.console.live import Parts
from worker.web.console.paging import Edge, Slice
from worker.web.console.view import frame, see
from worker.web.console.workspace import Visit, ask, asked, record_id, show_tab, visit
from worker.web.front import FRONT
from worker.web.operators import Role
from worker.web.pages import render
from worker.web.signing_in import checked_form
from worker.web.wording import FIELDS, shown

KINDS: Mapping[str, Entity] = {"products": "product", "customers": "customer", "invoices": "invoice"}
NARROWED: Mapping[str, str] = {
    "": "All",
    "active": "Active",
    "inactive": "Inactive",
    "problem": "With a problem",
    "pike": "Only in Pike",
    "failed": "Failed to send",
    "outcome_unknown": "Outcome unknown",
    "pending": "Not sent yet",
    "draft": "Drafts",
    "booked": "Booked, unpaid",
    "overdue": "Overdue",
    "paid": "Paid",
}
_LISTS: Mapping[Entity, Callable[..., Awaitable[list[Any]]]] = {
    "product": lists.products,
    "customer": lists.customers,
    "invoice": lists.invoices,
}


def add_routes(app: web.Application) -> None:
    """Add the lists, the records and their streams."""
    base = "/console/workspaces/{workspace}/{kind:products|customers|invoices}"
    app.router.add_get(base, _list)
    app.router.add_get(base + "/{id}", _show)
    app.router.add_post(base + "/{id}", _act)
    app.router.add_get(base + "/{id}/live", _live)


async def _list(request: web.Request) -> web.StreamResponse:
    visited, kind = await visit(request), request.match_info["kind"]
    entity = KINDS[kind]
    filters, edge = Filters.read(request, ["state", "q"]), Edge.read(request, 2)
    narrow = filters.one_of("state", tuple(FILTERS[entity])) or ""
    key = _key(edge, entity)
    async with request.app[FRONT].database.connection(f"list of {kind}") as connection:
        found: list[Record] = await _LISTS[entity](
            connection, visited.id, narrow=narrow, search=filters.get("q") or "", edge=key,
            backwards=bool(key and edge and edge.backwards),
        )  # fmt: skip
    part = Slice.of(found, lists.PAGE, edge if key else None, _text_of, filters)
    options = [(name, NARROWED[name]) for name in FILTERS[entity]]
    return show_tab(
        request, visited, "records.html", tab=kind, kind=kind, entity=entity, slice=part, filters=filters,
        options=options, narrow=narrow,
    )  # fmt: skip


def _text_of(row: Record) -> tuple[str, ...]:
    return (row.key.isoformat() if isinstance(row.key, date) else row.key, str(row.id))


def _key(edge: Edge | None, entity: Entity) -> Key | None:
    """Read the key of a page; what is none means the first page."""
    if edge is None or "\x00" in edge.key[0]:
        return None
    try:
        return (date.fromisoformat(edge.key[0]) if entity == "invoice" else edge.key[0], UUID(edge.key[1]))  # type: ignore[return-value]
    except ValueError:
        return None


async def _show(request: web.Request) -> web.StreamResponse:
    visited = await visit(request)
    values = await _seen(request, visited)
    return show_tab(request, visited, "record.html", tab=request.match_info["kind"], **values)


async def _live(request: web.Request) -> web.StreamResponse:
    visited = await visit(request)

    async def look() -> Parts:
        values = await _seen(request, visited)
        html = render(
            "console/workspace/_record.html", at=visited.at, workspace=visited.workspace,
            **frame(request, visited.operator), **values,
        )  # fmt: skip
        return Parts({"record": html}, over=values["asked"] is None or values["asked"].ended)

    return await live.stream(request, look, every_s=1.0)


async def _act(request: web.Request) -> web.StreamResponse:
    visited = await visit(request, Role.OPERATOR)
    form = await checked_form(request)
    entity, found_id = KINDS[request.match_info["kind"]], record_id(request)
    if form.get("act") != "refresh":
        raise web.HTTPBadRequest
    async with request.app[FRONT].database.connection("find a record") as connection:
        if await record_pages.find(connection, entity, visited.id, found_id) is None:
            raise web.HTTPNotFound
    data = RefreshRequested(entity=entity, id=found_id)
    event_id = await ask(request, visited, form, data, "refresh_requested", entity=entity, id=str(found_id))
    return see(f"{visited.at}/{request.match_info['kind']}/{found_id}?asked={event_id}")


async def _seen(request: web.Request, visited: Visit) -> dict[str, Any]:
    kind, found_id = request.match_info["kind"], record_id(request)
    entity, before = KINDS[kind], request.query.get("before", "")
    async with request.app[FRONT].database.connection("a record") as connection:
        record = await record_pages.find(connection, entity, visited.id, found_id)
        if record is None:
            raise web.HTTPNotFound
        history = await record_pages.history(
            connection,
            visited.id,
            found_id,
            int(before) if before.isascii() and before.isdigit() and len(before) < 18 else None,
        )
        lines = await record_pages.lines(connection, visited.id, found_id) if entity == "invoice" else []
        invoices = await lists.invoices(connection, visited.id, customer_id=found_id) if entity == "customer" else []
        context = await reports.customer_context(connection, visited.id, found_id) if entity == "customer" else []
    return {
        "kind": kind,
        "entity": entity,
        "record": record,
        "facts": [(label, shown(record, name)) for name, label in FIELDS[entity].items()],
        "lines": lines,
        "invoices": invoices[: lists.PAGE],
        "context": context,
        "history": history[: record_pages.HISTORY],
        "older": history[record_pages.HISTORY - 1].id if len(history) > record_pages.HISTORY else None,
        "asked": await asked(request, visited),
    }
