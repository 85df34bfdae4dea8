"""``…/problems``: what could not be done, in words, by what puts it right; and *fix all like this* (B3).

Sending again is a campaign like any other: its page, and every single letter, are with the dead letters.
"""

from aiohttp import web

from worker.runtime import campaign as replaying
from worker.runtime.letters import document_of
from worker.store import dead_letters, letter_lists
from worker.store.letter_lists import Chosen, Counted
from worker.store.pool import Connection
from worker.web.console.campaign_runs import RUNS, Full
from worker.web.console.dead import key_of
from worker.web.console.letter import name_of
from worker.web.console.view import notice, see
from worker.web.console.workspace import Visit, show_tab, visit
from worker.web.front import FRONT
from worker.web.operators import Role
from worker.web.signing_in import checked_form

RATE_PER_S = 5.0
MAX_FAILURE_SHARE = 0.2
"""As the command has them unless told otherwise."""

DONE = {
    "nothing": "Nothing was sent: none of these is open any more. Somebody sent or discarded them before.",
    "full": "This worker sends as much again as it may. Nothing was sent; try again in a minute.",
}


def add_routes(app: web.Application) -> None:
    """Add the page."""
    app.router.add_get("/console/workspaces/{workspace}/problems", _show)
    app.router.add_post("/console/workspaces/{workspace}/problems", _fix)


async def _show(request: web.Request) -> web.StreamResponse:
    visited = await visit(request)
    async with request.app[FRONT].database.connection("problems") as connection:
        groups = await letter_lists.groups(connection, Chosen(workspace_id=visited.id))
        wanted = [letter_id for each in groups for letter_id in each.newest]
        letters = await dead_letters.search(connection, ids=wanted, state=None) if wanted else []
    found = {letter.id: letter for letter in letters}
    told = [
        {"id": key_of(each).id, "counted": each, "letters": [found[one] for one in each.newest if one in found]}
        for each in groups
    ]
    return show_tab(
        request, visited, "problems.html", tab="problems", groups=told, document_of=document_of,
        notice=notice(request, DONE),
    )  # fmt: skip


async def _fix(request: web.Request) -> web.StreamResponse:
    """Send every open letter of a group again: one, then ten, then the rest."""
    visited = await visit(request, Role.OPERATOR)
    group, front = (await checked_form(request)).get("group", ""), request.app[FRONT]
    async with front.database.connection("a group of letters") as connection:
        chosen = await _group(connection, visited, group)
        if chosen is None:
            return see(f"{visited.at}/problems?done=nothing")
        ids = await letter_lists.ids(connection, _chosen(visited, chosen))
    begun = await replaying.begin(
        front.database, ids, selection={"workspace": visited.id, "group": group}, rate_per_s=RATE_PER_S,
        max_failure_share=MAX_FAILURE_SHARE, by=name_of(visited.operator),
    )  # fmt: skip
    if not begun.letters:
        other = next(iter(begun.taken.values()), None)  # somebody was faster
        return see(f"/console/dead/campaigns/{other}?done=taken" if other else f"{visited.at}/problems?done=nothing")
    try:
        request.app[RUNS].start(begun.id, name_of(visited.operator))
    except Full:
        return see(f"{visited.at}/problems?done=full")
    return see(f"/console/dead/campaigns/{begun.id}")


async def _group(connection: Connection, visited: Visit, name: str) -> Counted | None:
    groups = await letter_lists.groups(connection, Chosen(workspace_id=visited.id))
    return next((each for each in groups if key_of(each).id == name), None)


def _chosen(visited: Visit, each: Counted) -> Chosen:
    group = (each.cause, each.error_code, each.place, each.agreement_number)
    return Chosen(workspace_id=visited.id, group=group)
