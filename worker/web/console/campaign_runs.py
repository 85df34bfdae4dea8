"""Campaigns that this worker runs for operators at a browser. All that matters is in the database: whatever ends this
process ends only the sending, and anybody may go on from where it stopped.
"""

import asyncio
from dataclasses import dataclass, field
from uuid import UUID

import structlog
from aiohttp import web

from worker.errors import StoreUnavailable
from worker.runtime.campaign import CampaignTaken, Runner
from worker.web.front import FRONT, Front

log = structlog.get_logger()

MOST = 4


class Full(Exception):
    """As many campaigns run here as may."""


@dataclass
class Runs:
    """The running campaigns of one worker."""

    front: Front
    _tasks: dict[UUID, asyncio.Task[None]] = field(default_factory=dict)

    def start(self, campaign_id: UUID, by: str) -> None:
        """Run a campaign, unless it runs here already. Raises ``Full``."""
        if campaign_id in self._tasks:
            return
        if len(self._tasks) >= MOST:
            raise Full
        task = asyncio.create_task(self._run(campaign_id, by), name=f"campaign-{campaign_id}")
        self._tasks[campaign_id] = task
        task.add_done_callback(lambda _task: self._tasks.pop(campaign_id, None))

    async def _run(self, campaign_id: UUID, by: str) -> None:
        try:
            ended = await Runner(self.front.database, self.front.clock, campaign_id, by).run()
            log.info("campaign.ended", campaign=str(campaign_id), by=by, halted=bool(ended.halted_because))
        except CampaignTaken as exc:
            log.info("campaign.taken", campaign=str(campaign_id), by=by, told=str(exc))
        except StoreUnavailable as exc:
            log.warning("campaign.store_away", campaign=str(campaign_id), error=str(exc))
        except Exception:  # a task of its own: nobody else would tell
            log.exception("campaign.failed", campaign=str(campaign_id))

    async def close(self, _app: web.Application) -> None:
        """Let go of every campaign: the sending stops between two letters."""
        tasks = [*self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


RUNS = web.AppKey("campaign_runs", Runs)


def prepare(app: web.Application) -> None:
    """Give the application its runs."""
    runs = app[RUNS] = Runs(app[FRONT])
    app.on_shutdown.append(runs.close)
