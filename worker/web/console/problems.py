"""``…/problems``: what could not be done, in words, by what puts it right; and *fix all like this* (B3)."""

from dataclasses import dataclass
from uuid import UUID

from aiohttp import web

from worker.runtime import campaign as campaigning
from worker.runtime.letters import Group, group, key_of
from worker.store import dead_letters, replays
from worker.store.replays import Campaign, Counts, Placed
from worker.web.console import campaigns, live
from worker.web.console.live import Parts
from worker.web.console.view import frame, notice, see
from worker.web.console.workspace import Visit, as_uuid, asker_of, show_tab, visit
from worker.web.front import FRONT
from worker.web.operators import Role
from worker.web.pages import render
from worker.web.signing_in import checked_form

SHOWN = 8
"""Documents that a group names; the count is whole."""

DONE = {
    "taken": "Somebody is sending these again already, or they are closed by now. Nothing was done a second time.",
}


@dataclass(frozen=True, slots=True)
class Sending:
    """A campaign under way or ended."""

    row: Campaign
    counts: Counts
    failed: list[Placed]

    @property
    def over(self) -> bool:
        """Whether nothing more comes by itself."""
        return self.row.state != "running" and not self.counts.pending

    @property
    def alone(self) -> bool:
        """Whether it is to go on and nobody runs it."""
        return self.row.state == "running" and not self.row.lease_left_s


def add_routes(app: web.Application) -> None:
    """Add the page and its stream."""
    campaigns.prepare(app)
    base = "/console/workspaces/{workspace}/problems"
    app.router.add_get(base, _show)
    app.router.add_post(base, _act)
    app.router.add_get(base + "/live", _live)


async def _show(request: web.Request) -> web.StreamResponse:
    visited = await visit(request)
    groups = await _groups(request, visited)
    sending = await _sending(request, visited, request.query.get("campaign"))
    return show_tab(
        request, visited, "problems.html", tab="problems", groups=groups, shown=SHOWN, sending=sending,
        notice=notice(request, DONE),
    )  # fmt: skip


async def _live(request: web.Request) -> web.StreamResponse:
    visited = await visit(request)

    async def look() -> Parts:
        sending = await _sending(request, visited, request.query.get("campaign"))
        html = render(
            "console/workspace/_sending.html", sending=sending, at=visited.at, **frame(request, visited.operator)
        )
        return Parts({"sending": html}, over=sending is None or sending.over)

    return await live.stream(request, look, every_s=1.0)


async def _act(request: web.Request) -> web.StreamResponse:
    visited = await visit(request, Role.OPERATOR)
    form = await checked_form(request)
    asker, front = asker_of(request, visited.operator), request.app[FRONT]
    match form.get("act"):
        case "fix":
            begun = await campaigning.begin(
                front.database, await _like(request, visited, form.get("group", "")),
                selection={"workspace": visited.id, "group": form.get("group", "")},
                rate_per_s=campaigns.RATE_PER_S, max_failure_share=campaigns.MAX_FAILURE_SHARE, by=asker.operator,
            )  # fmt: skip
            if not begun.letters:
                return see(f"{visited.at}/problems?done=taken")
            campaign_id = begun.id
        case "go_on":
            campaign_id = as_uuid(form.get("campaign", ""))
            if await _sending(request, visited, str(campaign_id)) is None:
                raise web.HTTPNotFound
        case _:
            raise web.HTTPBadRequest
    campaigns.go_on(request.app, campaign_id, asker.operator)
    return see(f"{visited.at}/problems?campaign={campaign_id}")


async def _groups(request: web.Request, visited: Visit) -> list[Group]:
    async with request.app[FRONT].database.connection("problems") as connection:
        letters = dead_letters.search_all(connection, workspace_id=visited.id)
        return await group(letters, {visited.id: visited.workspace.agreement_number})


async def _like(request: web.Request, visited: Visit, name: str) -> list[UUID]:
    """Return the open letters of a group of this workspace, oldest first."""
    agreements = {visited.id: visited.workspace.agreement_number}
    async with request.app[FRONT].database.connection("a group of letters") as connection:
        letters = dead_letters.search_all(connection, workspace_id=visited.id)
        return [letter.id async for letter in letters if key_of(letter, agreements).id == name]


async def _sending(request: web.Request, visited: Visit, text: str | None) -> Sending | None:
    """Return a campaign of this workspace; ``None`` for any other, and for what is no id."""
    try:
        campaign_id = UUID(text or "")
    except ValueError:
        return None
    async with request.app[FRONT].database.transaction("look at a campaign") as connection:
        row = await replays.find(connection, campaign_id)
        if row is None or not await replays.within(connection, campaign_id, visited.id):
            return None
        counts = await replays.settle(connection, campaign_id)
        placed = await replays.letters_of(connection, campaign_id)
    return Sending(row, counts, [each for each in placed if each.state in ("failed", "held")][:SHOWN])
