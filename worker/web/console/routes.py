"""Every address of the console, by family of pages."""

from aiohttp import web

from worker.web.console import appearance, live, room


def add_routes(app: web.Application) -> None:
    """Add all families."""
    live.prepare(app)
    for family in (room, appearance):
        family.add_routes(app)
