"""Poison: an event that kills the process is found by the claims it never ended, and is then worked on alone.

Only claims count, not deliveries: a restarted broker hands everything out again, and none of it has killed anybody.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from worker.store.inbox import Claim

SOLO_AFTER = 2
"""So many claims that never ended send an event to the solo lane; one more, of which only it can be guilty, ends it."""


def deaths(claim: Claim) -> int:
    """Return how many earlier claims of this event ended neither well nor badly: their process went away."""
    return max(claim.attempts - 1 - ended_tries(claim.history), 0)


def ended_tries(history: tuple[Mapping[str, Any], ...]) -> int:
    """Return how many counted tries have ended. The last note carries the number on: the history itself is cut."""
    return int(history[-1].get("ended", 0)) if history else 0


class Company:
    """Who may be at work at the same time in this process: any number side by side, or one delivery alone.

    Whoever wants to be alone goes before those who come later, so that a busy process gets to it.
    """

    def __init__(self) -> None:
        self._beside = 0
        self._alone = asyncio.Lock()
        self._empty = asyncio.Event()
        self._empty.set()

    def beside_others(self) -> "_Beside":
        """Work next to others; waits while somebody is alone, or wants to be."""
        return _Beside(self)

    async def _join(self) -> None:
        if self._alone.locked():
            async with self._alone:
                pass
        self._beside += 1
        self._empty.clear()

    def _leave(self) -> None:
        self._beside -= 1
        if not self._beside:
            self._empty.set()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Work when all others have ended, with nobody beside."""
        async with self._alone:
            await self._empty.wait()
            yield


class _Beside:
    """The time of one delivery next to others; every delivery has one, so that it is a class and no generator."""

    __slots__ = ("_company",)

    def __init__(self, company: Company) -> None:
        self._company = company

    async def __aenter__(self) -> None:
        await self._company._join()

    async def __aexit__(self, *_: object) -> None:
        self._company._leave()
