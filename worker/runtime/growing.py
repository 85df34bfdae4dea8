"""Keeps Postgres' knowledge of fast growing tables fresh, so that plans suit their size (``worker.store.growth``)."""

from dataclasses import dataclass

import structlog

from worker.clock import Clock
from worker.errors import StoreUnavailable
from worker.store import growth
from worker.store.pool import Database

log = structlog.get_logger()

EVERY_S = 2.0


@dataclass(slots=True)
class Growing:
    """Looks while ``run`` runs."""

    database: Database
    clock: Clock

    async def run(self) -> None:
        """Look every two seconds, until cancelled."""
        while True:
            await self.clock.sleep(EVERY_S)
            try:
                await self.look()
            except StoreUnavailable as exc:
                log.warning("growing.later", error=str(exc))
            except Exception:  # plans are about speed, and must never end the work
                log.exception("growing.bug")

    async def look(self) -> list[str]:
        """Analyse the tables that have doubled; returns which."""
        async with self.database.connection("growth") as connection:
            tables = await growth.outgrown(connection)
            for table in tables:
                await growth.analyse(connection, table)
        if tables:
            log.info("growing.analysed", tables=tables)
        return tables
