"""Every address of the console, by family of pages."""

from aiohttp import web

from worker.web.console import (
    appearance,
    connection_settings,
    imports,
    live,
    matches,
    problems,
    records,
    reports,
    room,
    workspaces,
)


def add_routes(app: web.Application) -> None:
    """Add all families."""
    live.prepare(app)
    for family in (room, workspaces, imports, records, matches, problems, reports, connection_settings, appearance):
        family.add_routes(app)
