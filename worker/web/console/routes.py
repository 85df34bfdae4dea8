"""Every address of the console, by family of pages."""

from aiohttp import web

from worker.web.console import (
    appearance,
    campaign_runs,
    campaigns,
    connection_settings,
    dead,
    imports,
    letter,
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
    campaign_runs.prepare(app)
    for family in (room, dead, campaigns, letter, workspaces, imports, records, matches, problems, reports):
        family.add_routes(app)
    for family in (connection_settings, appearance):
        family.add_routes(app)
