"""``…/matches``: customers of e-conomic that fit several of Pike's, side by side; a person says which (B11)."""

from collections.abc import Mapping

from aiohttp import web

from events.refresh import RefreshRequested
from events.requests import NotAccepted
from worker.handlers import asking
from worker.store import access_audit, customers, matches
from worker.store.matches import State
from worker.store.outbox import OutboxRow
from worker.store.pool import Connection
from worker.web.console.view import notice, see
from worker.web.console.workspace import Visit, as_uuid, asker_of, form_id, show_tab, visit
from worker.web.front import FRONT
from worker.web.operators import Role
from worker.web.signing_in import checked_form

SHOWN = 20
"""Matches on the page; others follow as these are decided."""

BY: Mapping[str, str] = {
    "vat_number": "the same VAT number",
    "email": "the same e-mail address",
    "name": "the same name",
}
DONE: Mapping[str, str] = {
    "linked": "Linked. The customer is being read from e-conomic.",
    "created": "It becomes a customer of its own, and is being read from e-conomic.",
    "ignored": "Left out: imports pass it over.",
}
_CHANGED = "This cannot be linked any more: the customer is linked already, or was changed meanwhile. Nothing was done."


def add_routes(app: web.Application) -> None:
    """Add the page."""
    app.router.add_get("/console/workspaces/{workspace}/matches", _show)
    app.router.add_post("/console/workspaces/{workspace}/matches", _decide)


async def _show(request: web.Request) -> web.StreamResponse:
    return await _page(request, await visit(request))


async def _page(request: web.Request, visited: Visit, problem: str = "", status: int = 200) -> web.Response:
    async with request.app[FRONT].database.connection("matches") as connection:
        found = await matches.search(connection, visited.id, visited.workspace.agreement_number, ["open"], limit=SHOWN)
    return show_tab(
        request, visited, "matches.html", tab="matches", status=status, matches=found, by=BY, problem=problem,
        notice=notice(request, DONE),
    )  # fmt: skip


async def _decide(request: web.Request) -> web.StreamResponse:
    visited = await visit(request, Role.OPERATOR)
    form = await checked_form(request)
    number, act = form.get("number", ""), form.get("act", "")
    state: State | None = {"link": "linked", "create": "created", "ignore": "ignored"}.get(act)  # type: ignore[assignment]
    if state is None or not number:
        raise web.HTTPBadRequest
    front = request.app[FRONT]
    async with front.database.transaction("decide a match") as connection:
        if not await matches.is_open(connection, visited.id, visited.workspace.agreement_number, number):
            return await _page(request, visited, _CHANGED, 409)
        if state == "linked" and not await _link(connection, visited, form):
            return await _page(request, visited, _CHANGED, 409)
        await matches.decide(connection, visited.id, visited.workspace.agreement_number, number, state)
        rows = await _read_it(connection, request, visited, form, state)
    front.announce(rows)
    return see(f"{visited.at}/matches?done={state}")


async def _link(connection: Connection, visited: Visit, form: Mapping[str, str]) -> bool:
    candidate = as_uuid(form.get("customer", ""))
    return bool(
        await customers.link(
            connection, visited.id, visited.workspace.agreement_number, {candidate: form.get("number", "")}
        )
    )


async def _read_it(
    connection: Connection, request: web.Request, visited: Visit, form: Mapping[str, str], state: State
) -> list[OutboxRow]:
    """Ask for the customer to be read, in the commit of the decision; one that is left out is only written down."""
    asker = asker_of(request, visited.operator)
    details = {"external_number": form["number"], "decision": state, "customer": form.get("customer")}
    if state == "ignored":
        await access_audit.write(
            connection, asker.name, "match_decided", workspace_id=visited.id, address=asker.address, details=details
        )
        return []
    try:
        return await asking.ask(
            connection, RefreshRequested(entity="customer", external_number=form["number"]), event_id=form_id(form),
            workspace_id=visited.id, asker=asker, action="match_decided", details=details,
        )  # fmt: skip
    except (NotAccepted, ValueError) as exc:
        raise web.HTTPBadRequest from exc
