"""The switch between light and dark."""

from aiohttp import web

from worker.web.console.view import see
from worker.web.operators import Role
from worker.web.signing_in import HOME, checked_form, page_of_ours, require
from worker.web.theme import choose


def add_routes(app: web.Application) -> None:
    """Add the address of the switch."""
    app.router.add_get("/console/theme", _home)
    app.router.add_post("/console/theme", _choose)


async def _home(_request: web.Request) -> web.StreamResponse:
    return see(HOME)


async def _choose(request: web.Request) -> web.StreamResponse:
    await require(request, Role.VIEWER)
    form = await checked_form(request)
    answer = see(page_of_ours(form.get("back", HOME)))
    choose(request, answer, form.get("theme", ""))
    return answer
