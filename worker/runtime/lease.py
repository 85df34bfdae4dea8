"""How long a claim holds, and the heartbeat that prolongs it while its handler runs."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from worker.clock import Clock
from worker.errors import StoreUnavailable
from worker.store import inbox
from worker.store.inbox import Claim, FenceLost
from worker.store.pool import Database

LEASE_S = 75.0
"""How long a claim holds without a sign of life. Longer than one request to e-conomic may take (60 s), so that a
process that stops dead cannot have a call under way when another takes its event over."""

LEASE_RENEWAL_S = 25.0
"""A handler that still runs prolongs its lease this often; short ones never do."""


@asynccontextmanager
async def keep_alive(database: Database, clock: Clock, claim: Claim) -> AsyncIterator[None]:
    """Prolong the lease while the block runs. Trouble with it is left to the fence, which decides at the commit."""

    async def renew() -> None:
        while True:
            await clock.sleep(LEASE_RENEWAL_S)
            with contextlib.suppress(StoreUnavailable):
                async with database.connection("lease") as connection:
                    await inbox.extend(connection, claim, LEASE_S)

    renewing = asyncio.create_task(renew())
    try:
        yield
    finally:
        renewing.cancel()
        with contextlib.suppress(asyncio.CancelledError, FenceLost):
            await renewing
