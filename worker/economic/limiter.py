"""What an agreement's budget looks like, read from the headers of every answer, and how much to slow down.

Headers as observed on both surfaces: ``X-CallCost: 3`` and ``X-RateLimiting: token-limit-10000-per-60-seconds:
147/10000`` (used/limit). Both are optional and the cost may be a letter: anything unreadable is ignored.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_RATE = re.compile(r"token-limit-(?P<tokens>\d+)-per-(?P<window>\d+)-seconds:\s*(?P<used>\d+)\s*/\s*(?P<limit>\d+)")

SLOW_ABOVE = 0.8
"""Share of the budget from which calls are spread over the rest of the window."""


@dataclass(slots=True)
class Usage:
    """Calls made through one ``EconomicApi``, their cost in tokens, and the agreement's budget as last stated."""

    calls: int = 0
    cost: int = 0
    used: int | None = None
    limit: int | None = None
    window_s: float | None = None

    def learn(self, headers: Mapping[str, str]) -> None:
        """Read an answer's headers."""
        self.calls += 1
        cost = headers.get("X-CallCost", "")
        if cost.strip().isdigit():
            self.cost += int(cost)
        match = _RATE.search(headers.get("X-RateLimiting", ""))
        if match:
            self.used, self.limit = int(match["used"]), int(match["limit"])
            self.window_s = float(match["window"])

    @property
    def pause_s(self) -> float:
        """Return how long to wait before the next call: nothing below 80 % use, more the closer the limit is."""
        if not self.limit or self.used is None or self.window_s is None:
            return 0.0
        share = self.used / self.limit
        if share <= SLOW_ABOVE:
            return 0.0
        return min(2.0, (min(share, 1.0) - SLOW_ABOVE) / (1 - SLOW_ABOVE) * self.window_s / 30)
