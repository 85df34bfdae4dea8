"""One look for many: whoever asks within a moment gets what the one before was given."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Seen = TypeVar("Seen")


class Shared(Generic[Seen]):
    """Keeps what was seen for ``fresh_s``, by key. Streams of many browsers cost Postgres as much as one."""

    def __init__(self, fresh_s: float) -> None:
        self._fresh_s = fresh_s
        self._kept: dict[Hashable, tuple[float, Seen]] = {}
        self._locks: dict[Hashable, asyncio.Lock] = {}

    async def get(self, key: Hashable, look: Callable[[], Awaitable[Seen]]) -> Seen:
        """Return what was seen a moment ago, else look. Keys are choices on a page, never what people type: few."""
        async with self._locks.setdefault(key, asyncio.Lock()):
            kept = self._kept.get(key)
            if kept is None or time.monotonic() - kept[0] > self._fresh_s:
                kept = self._kept[key] = (time.monotonic(), await look())
            return kept[1]
