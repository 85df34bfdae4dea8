"""``/console/workspaces``: all of them with their state; and one: its connection, what needs somebody, what to do."""

import secrets
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from events.attributes import WORKSPACE
from events.connection import DisconnectRequested
from worker.handlers.connect_links import LINK_LIFE_S, Link, address
from worker.store import access_audit, connections, import_history, workspaces
from worker.store.workspaces import COUNTED, STATES
from worker.web.console.filters import Filters
from worker.web.console.paging import Edge, Slice
from worker.web.console.view import notice, see, show
from worker.web.console.workspace import Visit, ask, asker_of, show_tab, visit
from worker.web.front import FRONT
from worker.web.operators import Operator, Role
from worker.web.signing_in import checked_form, require

DONE: Mapping[str, str] = {
    "disconnect": "The connection is being closed. What came from e-conomic stays in Pike.",
    "settings": "The settings are kept. They apply from the next event on.",
}
_RECENT = 5


def add_routes(app: web.Application) -> None:
    """Add the list and the first page of a workspace."""
    app.router.add_get("/console/workspaces", _list)
    app.router.add_post("/console/workspaces", _connect_another)
    app.router.add_get("/console/workspaces/{workspace}", _show)
    app.router.add_post("/console/workspaces/{workspace}", _act)


async def _list(request: web.Request) -> web.StreamResponse:
    return await _list_page(request, await require(request, Role.VIEWER))


async def _list_page(
    request: web.Request, operator: Operator, *, link: str = "", name: str = "", problem: str = "", status: int = 200
) -> web.Response:
    filters, edge = Filters.read(request, ["state", "q"]), Edge.read(request, 1)
    state = filters.one_of("state", STATES)
    async with request.app[FRONT].database.connection("workspaces") as connection:
        found = await workspaces.page(
            connection, states=[state] if state else STATES, search=filters.get("q") or "",
            edge=edge.key[0] if edge else None, backwards=bool(edge and edge.backwards),
        )  # fmt: skip
    part = Slice.of(found, workspaces.PAGE, edge, lambda row: (row.workspace_id,), filters)
    return show(
        request, operator, "console/workspaces.html", place="workspaces", status=status, slice=part, filters=filters,
        link=link, link_minutes=LINK_LIFE_S // 60, name=name, problem=problem,
        can_connect=request.app[FRONT].can_connect,
    )  # fmt: skip


async def _connect_another(request: web.Request) -> web.StreamResponse:
    """Make a link for a workspace that was never connected, or again for one that was."""
    operator = await require(request, Role.OPERATOR)
    name = (await checked_form(request)).get("workspace", "").strip()
    if not WORKSPACE.fullmatch(name):
        problem = "A workspace's id has letters, digits and _ . : - only, 64 at most."
        return await _list_page(request, operator, name=name[:200], problem=problem, status=422)
    return await _list_page(request, operator, link=await _link(request, operator, name), name=name)


async def _show(request: web.Request) -> web.StreamResponse:
    visited = await visit(request)
    return await _page(request, visited)


async def _page(request: web.Request, visited: Visit, link: str = "") -> web.Response:
    async with request.app[FRONT].database.connection("a workspace") as connection:
        connected = await connections.find(connection, visited.id)
        counts = await workspaces.counts(connection, visited.id)
        recent = await import_history.page(connection, visited.id, limit=_RECENT)
        frozen = await workspaces.outcomes_unknown(connection, visited.id)
    return show_tab(
        request, visited, "overview.html", tab="", connected=connected, counts=counts, counted=COUNTED,
        recent=recent[:_RECENT], frozen=frozen, link=link, link_minutes=LINK_LIFE_S // 60,
        can_connect=request.app[FRONT].can_connect, notice=notice(request, DONE),
    )  # fmt: skip


async def _act(request: web.Request) -> web.StreamResponse:
    visited = await visit(request, Role.OPERATOR)
    form = await checked_form(request)
    match form.get("act"):
        case "connect":
            return await _page(request, visited, await _link(request, visited.operator, visited.id))
        case "disconnect" if form.get("sure") == "yes":
            data = DisconnectRequested(requested_by=asker_of(request, visited.operator).name)
            await ask(request, visited, form, data, "disconnect_requested")
            return see(f"{visited.at}?done=disconnect")
    raise web.HTTPBadRequest


async def _link(request: web.Request, operator: Operator, workspace_id: str) -> str:
    """Make a link as Pike makes it; making one is written down."""
    front, asker = request.app[FRONT], asker_of(request, operator)
    if not front.can_connect:
        raise web.HTTPServiceUnavailable
    expires = int(front.clock.now().timestamp()) + LINK_LIFE_S
    link = Link(workspace_id, asker.name, expires, secrets.token_urlsafe(16))
    details: dict[str, Any] = {"expires": expires}
    async with front.database.connection("note a link") as connection:
        await access_audit.write(
            connection,
            asker.name,
            "connect_link_made",
            workspace_id=workspace_id,
            address=asker.address,
            details=details,
        )
    return address(front.public_url, link, front.link_keys[0])
