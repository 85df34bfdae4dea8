"""``/console/dead/replay``, ``/console/dead/campaigns``: many letters in careful steps, and what came of each (B4)."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

from aiohttp import web

from worker.handlers.dry_run import DryRun
from worker.handlers.plan import Plan
from worker.runtime import campaign as replaying
from worker.runtime.letters import document_of
from worker.store import dead_letters, letter_lists, replays
from worker.store.letter_lists import Chosen
from worker.store.pool import Connection
from worker.store.replays import Campaign
from worker.web.console import live
from worker.web.console.campaign_runs import RUNS, Full
from worker.web.console.dead import NAMES, chosen_by
from worker.web.console.filters import Filters
from worker.web.console.letter import name_of
from worker.web.console.live import Parts
from worker.web.console.view import notice, see, show
from worker.web.front import FRONT
from worker.web.operators import Operator, Role
from worker.web.pages import render
from worker.web.signing_in import checked_form, require

RATES = {"1": "1 each second", "5": "5 each second", "20": "20 each second"}
SHARES = {"0": "none may fail", "0.1": "up to 10 %", "0.5": "up to half", "1": "do not stop"}
TRIED = 10
"""Letters of a selection that a dry run looks at: each costs calls of the agreement's budget."""
SHOWN = 200
"""Letters that a campaign's page lists; the counts are always whole."""
RECENT = 30
DONE = {
    "taken": "These letters are in this campaign already; nothing was sent a second time.",
    "full": "This worker runs as many campaigns as it may. Nothing was sent; go on in a while, or in another window.",
}


def add_routes(app: web.Application) -> None:
    """Add the forms for a selection, and the campaigns."""
    app.router.add_get("/console/dead/replay", _ask)
    app.router.add_post("/console/dead/replay", _begin)
    app.router.add_get("/console/dead/dry-run", _ask)
    app.router.add_post("/console/dead/dry-run", _dry_run)
    app.router.add_get("/console/dead/campaigns", _list)
    at = "/console/dead/campaigns/{campaign:[0-9a-f-]{36}}"
    app.router.add_get(at, _show)
    app.router.add_post(at, _resume)
    app.router.add_get(f"{at}/live", _live)


async def _ask(request: web.Request) -> web.StreamResponse:
    operator = await require(request, Role.OPERATOR)
    return await _selection(request, operator, [])


async def _dry_run(request: web.Request) -> web.StreamResponse:
    operator = await require(request, Role.OPERATOR)
    await checked_form(request)
    front = request.app[FRONT]
    async with front.database.connection("dry run") as connection:
        ids = await letter_lists.ids(connection, await _open_ones(connection, Filters.read(request, NAMES)))
        letters = await dead_letters.search(connection, ids=ids[:TRIED], state="open")
    trial = DryRun(front.database, front.client, front.vault, front.clock, name_of(operator))
    return await _selection(request, operator, [plan async for plan in trial.plans(letters)])


async def _selection(request: web.Request, operator: Operator, plans: list[Plan]) -> web.StreamResponse:
    filters = Filters.read(request, NAMES)
    async with request.app[FRONT].database.connection("select dead letters") as connection:
        groups = await letter_lists.groups(connection, await _open_ones(connection, filters))
    return show(
        request, operator, "console/dead/select.html", place="dead", filters=filters, groups=groups, plans=plans,
        total=sum(each.count for each in groups), tried=TRIED, rates=RATES, shares=SHARES,
        replay=Filters("/console/dead/replay", filters.values),
        dry_run=Filters("/console/dead/dry-run", filters.values),
        letters=Filters("/console/dead/letters", filters.values),
    )  # fmt: skip


async def _open_ones(connection: Connection, filters: Filters) -> Chosen:
    """Return what filters choose among open letters: closed ones are never sent again."""
    return replace(await chosen_by(connection, filters), state="open")


async def _begin(request: web.Request) -> web.StreamResponse:
    operator = await require(request, Role.OPERATOR)
    form = await checked_form(request)
    front, filters = request.app[FRONT], Filters.read(request, NAMES)
    async with front.database.connection("select dead letters") as connection:
        ids = await letter_lists.ids(connection, await _open_ones(connection, filters))
    rate, share = form.get("rate", "5"), form.get("share", "0")
    begun = await replaying.begin(
        front.database, ids, selection=dict(filters.values), rate_per_s=float(rate if rate in RATES else "5"),
        max_failure_share=float(share if share in SHARES else "0"), by=name_of(operator),
    )  # fmt: skip
    if begun.letters:
        return _run(request, operator, begun.id)
    other = next(iter(begun.taken.values()), None)  # somebody was faster
    return see(f"/console/dead/campaigns/{other}?done=taken" if other else "/console/dead?done=nothing")


async def _resume(request: web.Request) -> web.StreamResponse:
    operator = await require(request, Role.OPERATOR)
    await checked_form(request)
    return _run(request, operator, (await _campaign(request)).id)


def _run(request: web.Request, operator: Operator, campaign_id: UUID) -> web.StreamResponse:
    try:
        request.app[RUNS].start(campaign_id, name_of(operator))
    except Full:
        return see(f"/console/dead/campaigns/{campaign_id}?done=full")
    return see(f"/console/dead/campaigns/{campaign_id}")


async def _list(request: web.Request) -> web.StreamResponse:
    operator = await require(request, Role.VIEWER)
    async with request.app[FRONT].database.connection("campaigns") as connection:
        campaigns = await replays.recent(connection, RECENT)
    return show(request, operator, "console/dead/campaigns.html", place="dead", campaigns=campaigns)


async def _show(request: web.Request) -> web.StreamResponse:
    operator = await require(request, Role.VIEWER)
    campaign = await _campaign(request)
    parts = await _look(request, campaign.id)()
    return show(
        request, operator, "console/dead/campaign.html", place="dead", campaign=campaign, parts=parts.html,
        done=notice(request, DONE), over=parts.over,
    )  # fmt: skip


async def _live(request: web.Request) -> web.StreamResponse:
    await require(request, Role.VIEWER)
    return await live.stream(request, _look(request, (await _campaign(request)).id), every_s=1.0)


def _look(request: web.Request, campaign_id: UUID) -> Callable[[], Awaitable[Parts]]:
    database = request.app[FRONT].database

    async def look() -> Parts:
        async with database.connection("look at replays") as connection:
            campaign = await replays.find(connection, campaign_id)
            counts = await replays.look(connection, campaign_id)
            placed = await replays.shown(connection, campaign_id, SHOWN)
            found = await dead_letters.search(connection, ids=[each.letter_id for each in placed], state=None)
        values: dict[str, Any] = {
            "campaign": campaign,
            "counts": counts,
            "placed": placed,
            "letters": {letter.id: letter for letter in found},
            "document_of": document_of,
            "shown": SHOWN,
            "steps": replaying.step_ends(),
        }
        html = {name: render(f"console/dead/{name}.html", **values) for name in ("progress", "placed")}
        return Parts(html, over=campaign is None or campaign.state != "running")

    return look


async def _campaign(request: web.Request) -> Campaign:
    try:
        campaign_id = UUID(request.match_info["campaign"])
    except ValueError:
        raise web.HTTPNotFound from None
    async with request.app[FRONT].database.connection("campaign") as connection:
        campaign = await replays.find(connection, campaign_id)
    if campaign is None:
        raise web.HTTPNotFound
    return campaign
