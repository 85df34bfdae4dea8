"""How long a claim holds, and the heartbeat that prolongs the claims whose handlers run on."""

import asyncio

import structlog

from worker.clock import Clock
from worker.errors import StoreUnavailable
from worker.store import inbox
from worker.store.inbox import Claim
from worker.store.pool import Database

log = structlog.get_logger()

LEASE_S = 75.0
"""How long a claim holds without a sign of life. Longer than one request to e-conomic may take (60 s), so that a
process that stops dead cannot have a call under way when another takes its event over."""

LEASE_RENEWAL_S = 25.0
"""A handler that still runs prolongs its lease this often; short ones never do."""

_LOOK_S = 5.0


class Leases:
    """Prolongs every claim that is held for long, all in one statement. Costs a short handler nothing."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._held: dict[Claim, float] = {}
        self._task: asyncio.Task[None] | None = None

    def held(self, claim: Claim) -> "_Held":
        """Keep the claim alive while the block runs; if that fails, the fence decides at the commit."""
        return _Held(self, claim)

    def _hold(self, claim: Claim) -> None:
        self._held[claim] = self._clock.monotonic()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._keep(), name="leases")

    def _let_go(self, claim: Claim) -> None:
        self._held.pop(claim, None)

    def stop(self) -> None:
        """End the heartbeat."""
        if self._task is not None:
            self._task.cancel()

    async def _keep(self) -> None:
        while True:
            await self._clock.sleep(_LOOK_S)
            if not self._held:
                return
            now = self._clock.monotonic()
            due = [claim for claim, since in self._held.items() if now - since >= LEASE_RENEWAL_S]
            if not due:
                continue
            try:
                async with self._database.connection("leases") as connection:
                    await inbox.extend_many(connection, [(claim, LEASE_S) for claim in due])
            except StoreUnavailable as exc:
                log.warning("leases.store_away", error=str(exc))
                continue
            for claim in due:
                if claim in self._held:
                    self._held[claim] = now


class _Held:
    """The time that one claim is worked on; every event has one, so that it is a class and no generator."""

    __slots__ = ("_claim", "_leases")

    def __init__(self, leases: Leases, claim: Claim) -> None:
        self._leases = leases
        self._claim = claim

    def __enter__(self) -> None:
        self._leases._hold(self._claim)

    def __exit__(self, *_: object) -> None:
        self._leases._let_go(self._claim)
