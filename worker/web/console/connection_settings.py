"""``…/settings``: what was chosen for a connection, and choosing otherwise. Changes are written down, both sides."""

from collections.abc import Mapping
from dataclasses import asdict

from aiohttp import web

from worker.store import access_audit, connections, products
from worker.store.connections import Choices, EconomicConnection
from worker.web import connect_form
from worker.web.console.view import see
from worker.web.console.workspace import Visit, asker_of, show_tab, visit
from worker.web.front import FRONT
from worker.web.operators import Role
from worker.web.signing_in import checked_form


def add_routes(app: web.Application) -> None:
    """Add the page."""
    app.router.add_get("/console/workspaces/{workspace}/settings", _show)
    app.router.add_post("/console/workspaces/{workspace}/settings", _save)


async def _show(request: web.Request) -> web.StreamResponse:
    visited = await visit(request)
    connected = await _connected(request, visited)
    return _form(request, visited, connected, _values(connected), {})


async def _save(request: web.Request) -> web.StreamResponse:
    visited = await visit(request, Role.OPERATOR)
    form = await checked_form(request)
    before = await _connected(request, visited)
    problems = _problems(before, form)
    number = form.get("default_product", "").strip()
    if form.get("on_missing_product") == "default" and not problems:
        async with request.app[FRONT].database.connection("find a product") as connection:
            if not await products.can_be_sold(connection, visited.id, before.agreement_number, number):
                problems["default_product"] = (
                    f"Pike knows no product {number[:25]} of this agreement that can be sold. Check the number, or "
                    "import products first."
                )
    if problems:
        return _form(request, visited, before, {**_values(before), **form}, problems, status=422)
    minutes = form["sync_every_minutes"]
    choices = Choices(
        booking=form["booking"], on_missing_customer=form["on_missing_customer"],
        on_missing_product=form["on_missing_product"], sync_every_minutes=int(minutes) if minutes else None,
        defaults={"default_product": number} if form["on_missing_product"] == "default" else {},
    )  # fmt: skip
    asker = asker_of(request, visited.operator)
    async with request.app[FRONT].database.transaction("change settings") as connection:
        await connections.choose(connection, visited.id, choices)
        await access_audit.write(
            connection, asker.name, "settings_changed", workspace_id=visited.id, address=asker.address,
            details={"before": _values(before), "after": asdict(choices)},
        )  # fmt: skip
    return see(f"{visited.at}?done=settings")


async def _connected(request: web.Request, visited: Visit) -> EconomicConnection:
    async with request.app[FRONT].database.connection("a connection") as connection:
        found = await connections.find(connection, visited.id)
    if found is None:
        raise web.HTTPNotFound
    return found


def _values(connected: EconomicConnection) -> dict[str, str]:
    return {
        "booking": connected.booking,
        "on_missing_customer": connected.on_missing_customer,
        "on_missing_product": connected.on_missing_product,
        "default_product": str(connected.defaults.get("default_product") or ""),
        "sync_every_minutes": str(connected.sync_every_minutes or ""),
    }


def _offered(connected: EconomicConnection) -> Mapping[str, Mapping[str, str]]:
    """Return the answers per question; one that was chosen elsewhere and is not offered here may stay."""
    now = _values(connected)
    offered = {
        "booking": connect_form.BOOKING,
        "on_missing_customer": connect_form.ON_MISSING_CUSTOMER,
        "on_missing_product": connect_form.ON_MISSING_PRODUCT,
        "sync_every_minutes": connect_form.INTERVALS,
    }
    names = {
        "sync_every_minutes": "minutes",
        "on_missing_customer": "(set by command)",
        "on_missing_product": "(set by command)",
    }
    return {
        name: answers if now[name] in answers else {**answers, now[name]: f"{now[name]} {names.get(name, '')}".strip()}
        for name, answers in offered.items()
    }


def _problems(before: EconomicConnection, form: Mapping[str, str]) -> dict[str, str]:
    return {
        name: "Choose one of the answers."
        for name, answers in _offered(before).items()
        if form.get(name) not in answers
    }


def _form(
    request: web.Request,
    visited: Visit,
    connected: EconomicConnection,
    values: Mapping[str, str],
    problems: Mapping[str, str],
    status: int = 200,
) -> web.Response:
    defaults = [
        (label, connected.defaults[name])
        for name, label in connect_form.REGISTERS.items()
        if connected.defaults.get(name) is not None
    ]
    return show_tab(
        request, visited, "settings.html", tab="settings", status=status, connected=connected, values=values,
        problems=problems, offered=_offered(connected), defaults=defaults,
    )  # fmt: skip
