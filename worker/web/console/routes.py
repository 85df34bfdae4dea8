"""Every address of the console, by family of pages."""

from aiohttp import web

from worker.web.console import appearance, campaign_runs, campaigns, dead, letter, live, room


def add_routes(app: web.Application) -> None:
    """Add all families."""
    live.prepare(app)
    campaign_runs.prepare(app)
    for family in (room, dead, campaigns, letter, appearance):
        family.add_routes(app)
