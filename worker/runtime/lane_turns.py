"""The turns of one lane, and who is large in it: large workspaces have less at work while small ones want something."""

import asyncio

from worker.clock import Clock
from worker.runtime.pace import Pace
from worker.runtime.shares import Shares

FLOOD_S = 0.1
"""So long after a message was set aside, the queue is taken to be flooded: most of the work goes into clearing the way,
and large workspaces have only so many at work."""
FLOOD_MOST = 2
LARGE_S = 3.0
"""So long after a message of a workspace was set aside, or taken up again, it counts as large."""
COMPANY_S = 3.0
"""So long after a delivery of a workspace that is not large, large ones leave room for the next."""


class LaneTurns:
    """One lane: its turns, and who is large in it. ``wake``: something may be due, or there may be room."""

    def __init__(self, limit: int, pace: Pace, clock: Clock) -> None:
        self.shares = Shares(limit, self._most)
        self.wake = asyncio.Event()
        self._pace = pace
        self._clock = clock
        self._large: dict[str, float] = {}  # by when it was last seen to be, the longest ago first
        self._small_at = self._flooded_at = float("-inf")

    def came(self, workspace: str) -> None:
        """A delivery of this workspace came from the queue and has its turn next."""
        if workspace not in self._large:
            self._small_at = self._clock.monotonic()

    def set_aside(self, workspace: str) -> None:
        """One was set aside."""
        self._flooded_at = self._clock.monotonic()
        self._is_large(workspace)
        self.wake.set()

    def taken(self, workspace: str) -> None:
        """One was taken from the overflow."""
        self._is_large(workspace)

    def _is_large(self, workspace: str) -> None:
        self._large.pop(workspace, None)
        self._large[workspace] = self._clock.monotonic()

    def _forget_calm(self, now: float) -> None:
        """Count nobody as large who was so long ago: each one counted makes the others' share smaller."""
        while self._large and now - self._large[calmest := next(iter(self._large))] > LARGE_S:
            del self._large[calmest]

    def _most(self, workspace: str) -> int:
        """Return how many of the workspace may be at work: what e-conomic bears, and what the small ones bear."""
        most = min(self._pace.most(workspace), self.shares.limit)
        now = self._clock.monotonic()
        self._forget_calm(now)
        if workspace not in self._large:
            return most
        if now - self._flooded_at < FLOOD_S:
            most = min(most, FLOOD_MOST)
        if now - self._small_at < COMPANY_S:
            most = min(most, self._pace.beside // len(self._large))
        return max(1, most)
