"""Forgetting what has been kept long enough: one process at a time, a stretch of a table at a time."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import structlog

from worker.clock import Clock
from worker.errors import StoreUnavailable
from worker.store import retention
from worker.store.pool import Connection, Database
from worker.store.retention import Policy
from worker.telemetry import metrics

log = structlog.get_logger()

EVERY_S = 6 * 3600.0
FIRST_S = 60.0
"""After the start, so that a fleet that starts together takes up its work first."""
_LOOK_S = 900.0
_PAUSE_S = 0.1
"""Between stretches: pruning takes a small share of the database, however much there is to prune."""


@dataclass(slots=True)
class Retention:
    """Prunes while ``run`` runs. ``days``: kind (see ``worker.store.retention.POLICIES``) → how long it is kept."""

    database: Database
    clock: Clock
    days: Mapping[str, int]

    async def run(self) -> None:
        """Do a pass whenever one is due, until cancelled. A pass that was broken off is done again."""
        await self.clock.sleep(FIRST_S)
        while True:
            try:
                await self.prune()
            except StoreUnavailable as exc:
                log.warning("retention.later", error=str(exc))
            except Exception:  # housekeeping must never end the work
                log.exception("retention.bug")
            await self.clock.sleep(_LOOK_S)

    async def prune(self, every_s: float = EVERY_S) -> dict[str, int] | None:
        """Do one pass; returns table → rows that went, ``None`` when it is not due or another process does it."""
        async with self.database.session("retention") as connection:
            if not await retention.take_turn(connection, every_s):
                return None
            done: Counter[str] = Counter()
            for policy in retention.POLICIES:
                done[policy.table] += await self._prune(connection, policy)
            await retention.end_turn(connection, done)
        log.info("retention.pruned", **{table.partition(".")[2]: count for table, count in done.items() if count})
        return dict(done)

    async def _prune(self, connection: Connection, policy: Policy) -> int:
        before, gone = self.clock.now() - timedelta(days=self.days[policy.kind]), 0
        for page in range(0, await retention.pages(connection, policy), retention.STRETCH_PAGES):
            count = await retention.prune(connection, policy, page, before)
            metrics.PRUNED.labels(policy.table).inc(count)
            gone += count
            await self.clock.sleep(_PAUSE_S)
        return gone
