"""``/console/``: the operations room. First what needs somebody and what to do, then everything there is, live."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from worker.insight.attention import concerns
from worker.insight.room import history, room
from worker.web.console import live, room_charts
from worker.web.console.charts import draw
from worker.web.console.filters import Filters
from worker.web.console.live import Parts
from worker.web.console.shared import Shared
from worker.web.console.view import show
from worker.web.front import FRONT
from worker.web.operators import Role
from worker.web.pages import render
from worker.web.signing_in import require

SPANS = {"1h": ("1 hour", 3600.0), "6h": ("6 hours", 6 * 3600.0), "24h": ("24 hours", 24 * 3600.0)}
"""What the history shows; longer ones are Grafana's."""

FRESH_S = 2.0
SECTIONS = ("concerns", "tiles", "charts", "work", "held", "workers", "rest")
"""Parts of the page that renew themselves; each is a template of its own."""

_LOOKS = web.AppKey("room_looks", Shared[dict[str, Any]])


def add_routes(app: web.Application) -> None:
    """Add the room and its stream."""
    app[_LOOKS] = Shared[dict[str, Any]](FRESH_S)
    app.router.add_get("/console/", _show)
    app.router.add_get("/console/live", _live)


async def _show(request: web.Request) -> web.StreamResponse:
    operator = await require(request, Role.VIEWER)
    filters = Filters.read(request, ["span"])
    span = filters.one_of("span", tuple(SPANS)) or "1h"
    parts = await _look(request, span)()
    return show(
        request, operator, "console/room.html", place="room", parts=parts.html, sections=SECTIONS, span=span,
        spans=SPANS, filters=filters,
    )  # fmt: skip


async def _live(request: web.Request) -> web.StreamResponse:
    await require(request, Role.VIEWER)
    span = Filters.read(request, ["span"]).one_of("span", tuple(SPANS)) or "1h"
    return await live.stream(request, _look(request, span), every_s=FRESH_S)


def _look(request: web.Request, span: str) -> Callable[[], Awaitable[Parts]]:
    front, looks = request.app[FRONT], request.app[_LOOKS]

    async def figures() -> dict[str, Any]:
        async with front.database.connection("operations room") as connection:
            seen = await room(connection)
            past = await history(connection, SPANS[span][1])
        seen["concerns"] = concerns(seen)
        drawn = [(chart, await draw(chart)) for chart in room_charts.charts(past)]
        values = {"room": seen, "charts": drawn, "span": SPANS[span][0]}
        return {name: render(f"console/room/{name}.html", **values) for name in SECTIONS}

    async def look() -> Parts:
        return Parts(await looks.get(span, figures))

    return look
