"""What an agreement's budget looks like, read from the headers of every answer, and how much to slow down.

Headers as observed on both surfaces: ``X-CallCost: 3`` and ``X-RateLimiting: token-limit-10000-per-60-seconds:
147/10000`` (used/limit). Both are optional and the cost may be a letter: anything unreadable is ignored.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from worker.clock import Clock

_RATE = re.compile(
    r"token-limit-\d{1,12}-per-(?P<window>\d{1,9})-seconds:\s*(?P<used>\d{1,12})\s*/\s*(?P<limit>\d{1,12})"
)

SLOW_ABOVE = 0.8
"""Share of the budget from which calls are spread out."""
MAX_SPACING_S = 2.0
"""Distance between calls when the budget is used up; at that pace a window costs a fraction of its tokens."""
MAX_WAIT_S = 5.0
"""No call waits longer than this here, however many want to go."""
_MANY = 1000


@dataclass(frozen=True, slots=True)
class Rate:
    """Tokens used of those allowed in a window of so many seconds."""

    used: int
    limit: int
    window_s: float

    @property
    def spacing_s(self) -> float:
        """Return the distance to keep between calls: none up to 80 %, then more the closer the limit is."""
        share = self.used / self.limit if self.limit else 1.0
        excess = (min(share, 1.0) - SLOW_ABOVE) / (1 - SLOW_ABOVE)
        return min(MAX_SPACING_S, excess * self.window_s / 30) if excess > 0 else 0.0


def read_rate(headers: Mapping[str, str]) -> Rate | None:
    """Return what ``X-RateLimiting`` states, or ``None``."""
    match = _RATE.search(headers.get("X-RateLimiting", ""))
    return Rate(int(match["used"]), int(match["limit"]), float(match["window"])) if match else None


def read_cost(headers: Mapping[str, str]) -> int | None:
    """Return what ``X-CallCost`` states, or ``None`` when it is absent or not a number."""
    text = headers.get("X-CallCost", "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


@dataclass(slots=True)
class Usage:
    """Calls made through one ``EconomicApi``, their cost in tokens, and the agreement's budget as last stated."""

    calls: int = 0
    cost: int = 0
    seconds: float = 0.0
    """How long the answered calls took together."""
    used: int | None = None
    limit: int | None = None
    window_s: float | None = None

    def learn(self, seconds: float, cost: int | None, rate: Rate | None) -> None:
        """Count an answer: how long it took, and what its headers state."""
        self.calls += 1
        self.seconds += seconds
        self.cost += cost or 0
        if rate is not None:
            self.used, self.limit, self.window_s = rate.used, rate.limit, rate.window_s


class Limiter(Protocol):
    """A budget per agreement: of this process alone (``LocalLimiter``), or shared by all."""

    async def wait_s(self, agreement: str, *, bulk: bool) -> float:
        """Return how long the next call of the agreement has to wait; its turn is taken by asking.

        ``bulk``: the call belongs to an import, which leaves the last of the budget to people. Raises ``Held`` when the
        wait is too long to be sat out.
        """
        ...

    async def learn(self, agreement: str, rate: Rate) -> None:
        """Remember what an answer stated."""
        ...


class LocalLimiter:
    """The budgets as this process has seen them. A statement counts for the length of its window."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stated: dict[str, tuple[Rate, float]] = {}
        self._next: dict[str, float] = {}

    async def wait_s(self, agreement: str, *, bulk: bool = False) -> float:  # noqa: ARG002  # one pace for both here
        """Return how long to wait: calls that ask at the same time get turns one after the other."""
        now = self._clock.monotonic()
        rate, stated_at = self._stated.get(agreement, (None, 0.0))
        if rate is None or now - stated_at >= rate.window_s or not rate.spacing_s:
            self._next.pop(agreement, None)
            return 0.0
        turn = max(self._next.get(agreement, 0.0), now + rate.spacing_s)
        turn = min(turn, now + MAX_WAIT_S)
        self._next[agreement] = turn + rate.spacing_s
        return turn - now

    async def learn(self, agreement: str, rate: Rate) -> None:
        """Remember what an answer stated; forgets agreements whose window has passed when there are many."""
        now = self._clock.monotonic()
        self._stated[agreement] = (rate, now)
        if len(self._stated) > _MANY:
            self._stated = {key: kept for key, kept in self._stated.items() if now - kept[1] < kept[0].window_s}
            self._next = {key: at for key, at in self._next.items() if key in self._stated}
