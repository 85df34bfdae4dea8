"""Who may begin now: every workspace has a share of what is under way in this process.

``limit`` deliveries are at work at once, whoever they are from, so that a workspace that is alone has all of it. When
the limit is reached, one that has less than its share (the limit divided by the workspaces that want something) begins
all the same, beside the others, up to twice the limit: it need not wait until somebody else has ended. Who has more
waits, and the one with the least at work goes first. Knows no broker, no database and no clock.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable

PATIENT = 16
"""How many deliveries of one workspace may wait for their turn here, or as many as may be at work if that is less;
what comes beyond is overflow."""


class Shares:
    """The turns of one lane. ``most`` says how many a workspace may have at work now, whatever its share is."""

    def __init__(self, limit: int, most: Callable[[str], int]) -> None:
        self.limit = limit
        self._patient = min(PATIENT, limit)
        self._most = most
        self._at_work: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self.at_work = 0
        """How many have their turn now."""
        self.waiting = 0
        """How many wait for their turn."""

    def room(self) -> int:
        """Return how many more should be here: as many as can begin, and half as many again to follow them."""
        return max(self.limit + self.limit // 2 - self.at_work - self.waiting, 0)

    def crowded(self, workspace: str) -> bool:
        """Whether so many of this workspace wait already that another one should not."""
        return len(self._waiting.get(workspace, ())) >= self._patient

    def full(self) -> list[str]:
        """Return the workspaces of which enough wait already: more would not help them."""
        return [workspace for workspace, waiting in self._waiting.items() if len(waiting) * 2 >= self._patient]

    def turn(self, workspace: str) -> "_Turn":
        """Be at work for this workspace; waits until it may."""
        return _Turn(self, workspace)

    async def _take(self, workspace: str) -> None:
        if workspace in self._waiting or not self._may_begin(workspace):
            await self._wait(workspace)
        else:
            self._begin(workspace)

    def _may_begin(self, workspace: str) -> bool:
        mine = self._at_work[workspace]
        return self._has_room(mine) and mine < self._most(workspace)

    def _has_room(self, mine: int) -> bool:
        """Return whether there is room for a workspace that has so many at work."""
        if self.at_work < self.limit:
            return True
        # about how many want something: those at work; who only waits is counted by its own try here
        share = max(1, self.limit // max(1, len(self._at_work) + (mine == 0)))
        return mine < share and self.at_work < 2 * self.limit

    def _begin(self, workspace: str) -> None:
        self._at_work[workspace] += 1
        self.at_work += 1

    async def _wait(self, workspace: str) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(workspace, deque()).append(turn)
        self.waiting += 1
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._end(workspace)  # it was our turn, and we do not take it
            else:
                self._forget(workspace, turn)
            raise

    def _forget(self, workspace: str, turn: asyncio.Future[None]) -> None:
        waiting = self._waiting[workspace]
        waiting.remove(turn)
        self.waiting -= 1
        if not waiting:
            del self._waiting[workspace]

    def _end(self, workspace: str) -> None:
        self.at_work -= 1
        if self._at_work[workspace] == 1:
            del self._at_work[workspace]
        else:
            self._at_work[workspace] -= 1
        while self._waiting and (following := self._next()) is not None:
            turn = self._waiting[following][0]
            self._forget(following, turn)
            self._begin(following)
            turn.set_result(None)
            if self.at_work >= self.limit:
                break  # one for one: who has less than its share and waits has the turn after that

    def _next(self) -> str | None:
        """Return whose turn is next: of those who may begin the one with the least at work."""
        least = min(self._waiting, key=self._at_work.__getitem__)
        if not self._has_room(self._at_work[least]):
            return None  # nor has anybody who has more at work
        if self._at_work[least] < self._most(least):
            return least
        able = [workspace for workspace in self._waiting if self._may_begin(workspace)]
        return min(able, key=self._at_work.__getitem__, default=None)


class _Turn:
    """One delivery's time at work; every delivery has one, so that it is a class and no generator."""

    __slots__ = ("_shares", "_workspace")

    def __init__(self, shares: Shares, workspace: str) -> None:
        self._shares = shares
        self._workspace = workspace

    async def __aenter__(self) -> None:
        await self._shares._take(self._workspace)

    async def __aexit__(self, *_: object) -> None:
        self._shares._end(self._workspace)
