"""Campaigns of replays that an operator begins on a page: run beside the pages, by the worker that was asked.

A campaign is in the database: when this worker stops, it is let go, and whoever goes on with it (this page, or
``pike-economic dead replay --resume``) finds it where it was.
"""

import asyncio
from uuid import UUID

import structlog
from aiohttp import web

from worker.errors import StoreUnavailable
from worker.loop import end_tasks
from worker.runtime.campaign import CampaignTaken, Runner
from worker.web.front import FRONT

log = structlog.get_logger()

RATE_PER_S = 5.0
MAX_FAILURE_SHARE = 0.2
"""As the command has them unless told otherwise."""

_RUNNING = web.AppKey("campaigns", dict[UUID, asyncio.Task[None]])


def prepare(app: web.Application) -> None:
    """Make room for campaigns, and end their tasks with the application."""
    app[_RUNNING] = {}

    async def stop(_app: web.Application) -> None:
        await end_tasks(*app[_RUNNING].values())

    app.on_shutdown.append(stop)


def go_on(app: web.Application, campaign_id: UUID, by: str) -> None:
    """Run a campaign from wherever it is, unless this worker runs it already."""
    if campaign_id not in app[_RUNNING]:
        task = asyncio.create_task(_run(app, campaign_id, by), name=f"campaign {campaign_id}")
        app[_RUNNING][campaign_id] = task
        task.add_done_callback(lambda _task: app[_RUNNING].pop(campaign_id, None))


async def _run(app: web.Application, campaign_id: UUID, by: str) -> None:
    front = app[FRONT]
    try:
        ended = await Runner(front.database, front.clock, campaign_id, by).run()
        log.info("campaign.ended", campaign=str(campaign_id), halted_because=ended.halted_because)
    except (CampaignTaken, StoreUnavailable) as exc:
        log.warning("campaign.let_go", campaign=str(campaign_id), error=str(exc))
