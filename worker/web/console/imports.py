"""``…/imports``: asking for an import or its preview, following it live, its data report, cancelling, undoing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from aiohttp import web
from pydantic import ValidationError

from events.imports import ImportCancelRequested, ImportRequested
from schemas.kinds import IMPORTABLE, LISTED
from worker.handlers import asking
from worker.handlers.importing.order import ENTITY_OF, LATE
from worker.runtime.undo import undo_deactivations
from worker.store import import_history, imports, operator_requests, previews
from worker.store.import_history import Whole
from worker.store.operator_requests import Asked
from worker.store.previews import Previewed
from worker.web.console import live
from worker.web.console.filters import Filters
from worker.web.console.live import Parts
from worker.web.console.paging import Edge, Slice
from worker.web.console.view import frame, notice, see
from worker.web.console.workspace import Visit, ask, asker_of, show_tab, visit
from worker.web.front import FRONT
from worker.web.operators import Role
from worker.web.pages import render
from worker.web.signing_in import checked_form

ENTITIES: Mapping[str, str] = {name: name.capitalize() for name in IMPORTABLE}
DONE: Mapping[str, str] = {
    "cancel": "The import stops at its next page. What it has written stays.",
    "undone": "The products that this import deactivated are active again.",
    "nothing": "This import deactivated no product that is still inactive: nothing was changed.",
}
STAGES: Mapping[str, str] = {
    **{name: name.capitalize() for name in LISTED},
    "drafts": "Draft invoices",
    "booked": "Booked invoices",
    "missed": "Booked since last time",
    "unpaid": "Payments",
    **{f"{LATE}{name}": f"{name.capitalize()} changed meanwhile" for name in (*LISTED, "drafts")},
}
"""What an import reads, in words."""
_PREVIEWED = 100
_MAX_ID = 200


@dataclass(frozen=True, slots=True)
class Bar:
    """How far a stage is. ``total`` is what e-conomic said, ``None`` while unknown."""

    name: str
    done: int
    total: int | None
    now: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything the page of an import shows. ``whole`` is ``None`` until a worker has the request."""

    event_id: str
    whole: Whole | None
    asked: Asked | None
    bars: Sequence[Bar]
    previewed: Sequence[Previewed]
    rejects: Sequence[import_history.Reject]

    @property
    def over(self) -> bool:
        """Whether nothing will change any more by itself."""
        if self.whole is not None:
            return self.whole.row.state != "running"
        return self.asked is not None and self.asked.ended


def add_routes(app: web.Application) -> None:
    """Add the list, one import and its stream."""
    base = "/console/workspaces/{workspace}/imports"
    app.router.add_get(base, _list)
    app.router.add_post(base, _request)
    app.router.add_get(base + "/{import}", _show)
    app.router.add_post(base + "/{import}", _act)
    app.router.add_get(base + "/{import}/live", _live)


async def _list(request: web.Request) -> web.StreamResponse:
    visited = await visit(request)
    return await _list_page(request, visited, "")


async def _list_page(request: web.Request, visited: Visit, problem: str, status: int = 200) -> web.Response:
    filters, edge = Filters.read(request, []), Edge.read(request, 2)
    async with request.app[FRONT].database.connection("imports") as connection:
        found = await import_history.page(connection, visited.id, _key(edge), backwards=bool(edge and edge.backwards))
    part = Slice.of(found, import_history.PAGE, edge, lambda row: (row.started_at.isoformat(), str(row.id)), filters)
    return show_tab(
        request, visited, "imports.html", tab="imports", status=status, slice=part, entities=ENTITIES, problem=problem
    )


def _key(edge: Edge | None) -> tuple[datetime, UUID] | None:
    try:
        return (datetime.fromisoformat(edge.key[0]), UUID(edge.key[1])) if edge else None
    except ValueError:
        return None


async def _request(request: web.Request) -> web.StreamResponse:
    visited = await visit(request, Role.OPERATOR)
    form = await checked_form(request)
    try:
        data = ImportRequested.model_validate(
            {
                "entities": [name for name in ENTITIES if form.get(name) == "yes"],
                "mode": form.get("mode", "full"),
                "dry_run": form.get("act") == "preview",
                "requested_by": asker_of(request, visited.operator).name,
            }
        )
    except ValidationError:
        return await _list_page(request, visited, "Choose what to import: at least one kind.", status=422)
    event_id = await ask(
        request, visited, form, data, "preview_requested" if data.dry_run else "import_requested",
        entities=list(data.entities), mode=data.mode,
    )  # fmt: skip
    return see(f"{visited.at}/imports/{event_id}")


async def _show(request: web.Request) -> web.StreamResponse:
    visited = await visit(request)
    seen = await _seen(request, visited)
    return show_tab(
        request, visited, "import.html", tab="imports", seen=seen, entities=ENTITIES, notice=notice(request, DONE)
    )


async def _live(request: web.Request) -> web.StreamResponse:
    visited, new_id = await visit(request), str(uuid4())

    async def look() -> Parts:
        seen = await _seen(request, visited)
        html = render(
            "console/workspace/_import.html", seen=seen, entities=ENTITIES, at=visited.at, workspace=visited.workspace,
            new_id=new_id, **frame(request, visited.operator),
        )  # fmt: skip
        return Parts({"import": html}, over=seen.over)

    return await live.stream(request, look, every_s=1.0)


async def _act(request: web.Request) -> web.StreamResponse:
    visited = await visit(request, Role.OPERATOR)
    form = await checked_form(request)
    here = f"{visited.at}/imports/{request.match_info['import']}"
    asker = asker_of(request, visited.operator)
    match form.get("act"):
        case "cancel":
            data = ImportCancelRequested(import_id=request.match_info["import"], requested_by=asker.name)
            await ask(request, visited, form, data, "import_cancel_requested", import_id=data.import_id)
            return see(f"{here}?done=cancel")
        case "undo":
            front = request.app[FRONT]
            async with front.database.connection("find an import") as connection:
                row = await imports.find_by_event(connection, visited.id, request.match_info["import"])
            if row is None:
                raise web.HTTPNotFound
            if row.state == "running":
                raise web.HTTPBadRequest
            done = await undo_deactivations(front.database, front.clock, row, visited.operator.name)
            return see(f"{here}?done={'undone' if done else 'nothing'}")
    raise web.HTTPBadRequest


async def _seen(request: web.Request, visited: Visit) -> Seen:
    event_id = request.match_info["import"]
    if len(event_id) > _MAX_ID or not event_id.isprintable():
        raise web.HTTPNotFound
    async with request.app[FRONT].database.connection("an import") as connection:
        whole = await import_history.find(connection, visited.id, event_id)
        asked = await _asked(connection, visited, event_id)
        if whole is None and asked is None:
            raise web.HTTPNotFound
        previewed: Sequence[Previewed] = ()
        rejects: Sequence[import_history.Reject] = ()
        if whole is not None and whole.row.dry_run:
            previewed = await previews.find(connection, whole.row.id, ["change", "deactivate"], limit=_PREVIEWED)
            rest = _PREVIEWED - len(previewed)
            previewed = [*previewed, *(await previews.find(connection, whole.row.id, ["create"], limit=rest))]
        if whole is not None and whole.rejects:
            rejects = await import_history.rejects(connection, whole.row.id)
    return Seen(event_id, whole, asked, bars(whole), previewed, rejects)


async def _asked(connection: Any, visited: Visit, event_id: str) -> Asked | None:
    try:
        asked_id = UUID(event_id)
    except ValueError:
        return None
    return await operator_requests.find(connection, asking.SOURCE, visited.id, asked_id)


def bars(whole: Whole | None) -> list[Bar]:
    """Return how far each stage is, in the order they were begun; of one that is over, everything is done."""
    if whole is None:
        return []
    stage, seen, totals = (whole.cursor.get(name) or {} for name in ("stage", "seen", "totals"))
    names = [name for name in ENTITY_OF if name in seen or name == stage]
    return [
        Bar(
            STAGES.get(name, name),
            int(seen.get(name, 0)),
            totals.get(name),
            name == stage and whole.row.state == "running",
        )
        for name in names
    ]
