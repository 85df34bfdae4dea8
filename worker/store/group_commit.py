"""Commits the writes of events that happen to be ready at the same time together.

Walk of an event's finish: its body waits at the entrance from its first statement on; a runner lets all that wait into
one transaction, where they write (``group``), and sees it through: the endings of all are written and the transaction is
committed. Meanwhile the next runner begins the group of those who came later.
"""

import asyncio
from collections import deque
from types import TracebackType
from typing import Any

import structlog

from worker.cadence import Cadence
from worker.errors import StoreUnavailable
from worker.store.commits import Part, Spoiled
from worker.store.group import Body, Group, turn_away
from worker.store.pool import Database, unavailable

log = structlog.get_logger()

MAX_PARTS = 64
"""Events in one commit at most, so that no single transaction grows long."""
AT_ONCE = 2
"""Commits under way at most. Only one group at a time writes anything but its endings, which touch nothing but the events'
own rows: so no two can wait for each other. No handler may lock rows of running events."""


class GroupCommit:
    """See ``Commits``.

    An event alone commits at once. Under load events gather while the groups before are being committed. A failure inside
    a group rolls all of it back; whoever caused it gets the error, the others ``Spoiled``.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: deque[Body] = deque()
        self._gathering = False
        """Whether a runner has yet to let in who waits."""
        self._runners = set[asyncio.Task[None]]()
        self._committing = 0
        self._one_less = asyncio.Event()
        self._cadence = Cadence()

    @property
    def idle(self) -> bool:
        """Whether nobody waits and nothing is under way."""
        return not self._waiting and not self._runners

    def open(self, what: str) -> "_Opened":
        """See ``Commits``."""
        return _Opened(self, what)

    async def join(self, body: Body) -> Any:
        """See ``Entrance``."""
        self._waiting.append(body)
        self._send_runner()
        return await body.entry

    def _send_runner(self) -> None:
        if not self._gathering:
            self._gathering = True
            runner = asyncio.create_task(self._run(), name="group-commit")
            self._runners.add(runner)
            runner.add_done_callback(self._runners.discard)

    async def _run(self) -> None:
        """See one group through, and let the next one begin as soon as this one takes nobody in any more."""
        group = None
        try:
            group = await self._gather()
        except Exception:  # nothing above should raise; whoever waits must not wait for ever
            log.exception("group_commit.failed")
        self._gathering = False
        if self._waiting:
            self._send_runner()
        if group is not None:
            await self._commit(group)

    async def _gather(self) -> Group | None:
        """Return a group that has something to commit, when whoever waited has written there."""
        try:
            group = await Group.begin(self._database)
        except Exception as exc:
            self._turn_away(exc)
            return None
        try:
            await self._cadence.turn()  # with the transaction begun: nobody then waits for that
            await self._fill(group)
        except Exception as exc:
            group.break_up(exc)
            await group.roll_back()
            raise
        if group.broken is not None or not group.size:
            await group.roll_back()
            return None
        return group

    async def _commit(self, group: Group) -> None:
        self._committing += 1
        try:
            await group.commit()
        finally:
            self._committing -= 1
            self._one_less.set()

    async def _fill(self, group: Group) -> None:
        """Let in who waits, when there is room for another commit."""
        while self._committing >= AT_ONCE:
            self._one_less.clear()
            await self._one_less.wait()
        bodies = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_PARTS))]
        try:
            left_out = await group.take_in(bodies)
        except Exception as bug:
            group.break_up(bug)
            turn_away(bodies, group.spoiled())
            raise
        self._waiting.extendleft(reversed(left_out))

    def _turn_away(self, error: Exception) -> None:
        """Tell those who wait that there is no transaction to be had."""
        bodies, self._waiting = self._waiting, deque()
        away = isinstance(error, StoreUnavailable)
        turn_away(bodies, error if away else Spoiled(f"{type(error).__name__} at the beginning"))


class _Opened:
    """One event's block; every event has one, so that it is a class and no generator."""

    __slots__ = ("_body", "_part", "_what")

    def __init__(self, entrance: GroupCommit, what: str) -> None:
        self._what = what
        self._body = Body(entrance)
        self._part = Part(self._body)

    async def __aenter__(self) -> Part:
        return self._part

    async def __aexit__(
        self, _kind: type[BaseException] | None, exc: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if exc is not None:
            away = unavailable(self._what, exc)
            self._body.fail(away or exc)
            if away is not None:
                raise away from exc
            return
        try:
            ending = self._part.ended(self._what)
        except RuntimeError as bug:
            self._body.fail(bug)
            raise
        await self._body.end(ending)
