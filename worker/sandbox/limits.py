"""The rate limit of one grant and the memory of idempotent calls.

Headers as observed in 2026: ``X-RateLimiting: token-limit-10000-per-60-seconds: 147/10000`` on every answer. The first
answer to an ``Idempotency-Key`` is kept for one hour; a changed body or URL is refused.
"""

import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from worker.sandbox.answers import Answer, ApiError

IDEMPOTENCY_TTL = timedelta(hours=1)
_MAX_KEPT = 100_000


class RateLimit:
    """Counts what calls cost within a window. ``size`` and ``window_s`` may be changed at any time."""

    def __init__(self, now: Callable[[], datetime], size: int = 10_000, window_s: int = 60) -> None:
        self.now, self.size, self.window_s = now, size, window_s
        self.used = 0
        self._started: datetime | None = None

    def restart(self) -> None:
        """Begin a new window."""
        self._started, self.used = None, 0

    def _roll(self) -> datetime:
        now = self.now()
        if self._started is None or (now - self._started).total_seconds() >= self.window_s:
            self._started, self.used = now, 0
        return now

    def check(self) -> None:
        """Raise the 429 when the window's tokens are spent."""
        now = self._roll()
        if self.used >= self.size and self._started is not None:
            left = self.window_s - (now - self._started).total_seconds()
            wait = str(max(1, math.ceil(left)))
            raise ApiError(429, "You have exceeded your rate limit.", "TooManyRequests", headers={"Retry-After": wait})

    def spend(self, cost: int) -> dict[str, str]:
        """Count a call and return the two headers that every answer carries."""
        self._roll()
        self.used += cost
        limit = f"token-limit-{self.size}-per-{self.window_s}-seconds: {min(self.used, self.size)}/{self.size}"
        return {"X-CallCost": str(cost), "X-RateLimiting": limit}


@dataclass(frozen=True, slots=True)
class _Kept:
    url: str
    body: bytes
    answer: Answer
    until: datetime


class IdempotencyStore:
    """First answers per (grant, key)."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()

    def replay(self, grant: str, key: str, url: str, body: bytes) -> Answer | None:
        """Return the kept answer, or None for a key to be used first. Raises 400 for a key used otherwise."""
        kept = self._kept.get((grant, key))
        if kept is None or kept.until <= self.now():
            return None
        if kept.url != url:
            raise ApiError(400, "The idempotency key was used with another URL.", "URLChanged")
        if kept.body != hashlib.sha256(body).digest():
            raise ApiError(400, "The idempotency key was used with another payload.", "PayloadChanged")
        first = kept.answer
        headers = first.headers | {"X-ResultFromCache": "true"}
        return Answer(first.status, first.body, first.content_type, headers, cost=first.cost)

    def keep(self, grant: str, key: str, url: str, body: bytes, answer: Answer) -> None:
        """Remember an answer. Whether the service keeps refusals is not known; the sandbox does, but no 5xx."""
        if answer.status >= 500:
            return
        self._kept[grant, key] = _Kept(url, hashlib.sha256(body).digest(), answer, self.now() + IDEMPOTENCY_TTL)
        if len(self._kept) > _MAX_KEPT:
            self._kept.popitem(last=False)

    def forget(self) -> None:
        """Forget everything, as if an hour had passed."""
        self._kept.clear()
