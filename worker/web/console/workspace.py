"""What all pages of one workspace share: finding it, its tabs, and asking for something in an operator's name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from aiohttp import web

from events.attributes import WORKSPACE
from events.envelope import Incoming
from events.requests import NotAccepted
from worker.handlers import asking
from worker.handlers.asking import Asker
from worker.store import operator_requests, workspaces
from worker.store.operator_requests import Asked
from worker.store.workspaces import Workspace
from worker.web.console.view import show
from worker.web.front import FRONT
from worker.web.operators import Operator, Role
from worker.web.signing_in import peer, require

TABS: Mapping[str, str] = {
    "": "Overview",
    "imports": "Imports",
    "products": "Products",
    "customers": "Customers",
    "invoices": "Invoices",
    "matches": "Matches",
    "problems": "Problems",
    "reports": "Reports",
    "settings": "Settings",
}
"""The pages of a workspace: the last part of the address, and the name."""


@dataclass(frozen=True, slots=True)
class Visit:
    """An operator on a page of a workspace. ``at``: the address of the workspace's first page."""

    operator: Operator
    workspace: Workspace

    @property
    def id(self) -> str:
        """The workspace's id."""
        return self.workspace.workspace_id

    @property
    def at(self) -> str:
        """The address of its first page."""
        return f"/console/workspaces/{self.id}"


async def visit(request: web.Request, role: Role = Role.VIEWER) -> Visit:
    """Return who looks at which workspace. Raises 404 for one that was never connected."""
    operator = await require(request, role)
    name = request.match_info["workspace"]
    if not WORKSPACE.fullmatch(name):
        raise web.HTTPNotFound
    async with request.app[FRONT].database.connection("find a workspace") as connection:
        found = await workspaces.find(connection, name)
    if found is None:
        raise web.HTTPNotFound
    return Visit(operator, found)


def show_tab(
    request: web.Request, visited: Visit, template: str, *, tab: str, status: int = 200, **values: Any
) -> web.Response:
    """Answer with a page of the workspace. ``new_id`` is for forms that ask for something: it makes them ask once."""
    return show(
        request, visited.operator, f"console/workspace/{template}", place="workspaces", status=status, tab=tab,
        tabs=TABS, workspace=visited.workspace, at=visited.at, new_id=str(uuid4()), **values,
    )  # fmt: skip


def record_id(request: web.Request, name: str = "id") -> UUID:
    """Return an id from the address. Raises 404 for what is none."""
    return as_uuid(request.match_info[name])


def as_uuid(text: str) -> UUID:
    """Read an id. Raises 404 for what is none."""
    try:
        return UUID(text)
    except ValueError:
        raise web.HTTPNotFound from None


def asker_of(request: web.Request, operator: Operator) -> Asker:
    """Return who asks, for events and audits."""
    return Asker(operator.name, peer(request))


async def ask(
    request: web.Request, visited: Visit, form: Mapping[str, str], data: Incoming, action: str, **details: Any
) -> UUID:
    """Ask for something in the operator's name and return the event's id, which is the form's.

    Raises 400 for a form that carries no id, and for what the worker would not read.
    """
    front = request.app[FRONT]
    event_id = form_id(form)
    try:
        async with front.database.transaction("ask for something") as connection:
            rows = await asking.ask(
                connection, data, event_id=event_id, workspace_id=visited.id, action=action, details=details,
                asker=asker_of(request, visited.operator),
            )  # fmt: skip
    except NotAccepted as exc:
        raise web.HTTPBadRequest from exc
    front.announce(rows)
    return event_id


def form_id(form: Mapping[str, str]) -> UUID:
    """Return the id that a form brings along. Raises 400 without one."""
    try:
        return UUID(form.get("new_id", ""))
    except ValueError:
        raise web.HTTPBadRequest from None


async def asked(request: web.Request, visited: Visit) -> Asked | None:
    """Return the request that the address tells of (``?asked=``), with what became of it; ``None`` for any other."""
    try:
        event_id = UUID(request.query.get("asked", ""))
    except ValueError:
        return None
    async with request.app[FRONT].database.connection("look at a request") as connection:
        return await operator_requests.find(connection, asking.SOURCE, visited.id, event_id)
