"""One open transaction, the bodies that work in it, and what they left: the inside of a group commit.

A body is what an event's handler writes. Those that begin with the same shared statement are given its results at the
same moment and go on side by side; from a body's next statement on it has the connection for itself until it ends.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from worker.errors import StoreUnavailable, WorkerError
from worker.store import inbox
from worker.store.commits import Ending, Spoiled, pass_by, write_endings
from worker.store.inbox import Claim
from worker.store.outbox import OutboxRow
from worker.store.pool import Connection, Database, translated
from worker.store.sharing import Joint, Shared, without_common_keys
from worker.telemetry.metrics import COMMIT_BATCH


class Entrance(Protocol):
    """Where bodies wait for a group."""

    async def join(self, body: "Body") -> Any:
        """Wait to be let into a group; returns the result of the shared statement that the body asked for."""


class Body(Joint):
    """A group's connection in one body's hands. It is in no group before it uses it."""

    def __init__(self, entrance: Entrance) -> None:
        self._entrance = entrance
        self.group: Group | None = None
        self.asked: tuple[Shared[Any, Any], Any] | None = None
        """The shared statement that it began with, and its item."""
        self.ending: Ending | None = None
        """Set when it ends before it was in a group: then it has nothing to write but this."""
        self.entry: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        """Done when it may go on, with the shared statement's result if it asked for one."""
        self.committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._used = False
        self._has_turn = False

    async def share(self, statement: Shared[Any, Any], item: Any) -> Any:
        """See ``Joint``. Only a body's first statement is shared: nothing may come between what it wrote and the rest."""
        if self.group is None:
            self.asked, self._used = (statement, item), True
            return await self._entrance.join(self)
        connection = await self._take_turn()
        return (await statement.many(connection, [item]))[0]

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any, **options: Any) -> Any:
            return await getattr(await self._take_turn(), name)(*args, **options)

        return call

    async def _take_turn(self) -> Connection:
        """Have the connection for itself from now on until the body ends."""
        while True:
            if self.group is None:
                if self.entry.done():
                    self.entry = asyncio.get_running_loop().create_future()
                await self._entrance.join(self)
            group = self.need_group()
            if not self._has_turn:
                await group.turn.acquire()
                self._has_turn = True
            if group.broken is None:
                self._used = True
                return group.connection
            if self._used:
                raise group.spoiled()
            self.leave()  # it has written nothing there: the next group will do

    def need_group(self) -> "Group":
        """Return the group that let it in."""
        if self.group is None:
            raise RuntimeError("the body was let into no group")
        return self.group

    def leave(self) -> None:
        """Be in the group no longer."""
        group, self.group = self.need_group(), None
        if self._has_turn:
            self._has_turn = False
            group.turn.release()
        group.left(self)

    async def end(self, ending: Ending) -> None:
        """Return once everything is committed. Raises what ``Commits`` says."""
        # whoever waits may have been cancelled; an error that nobody hears is no error then
        self.committed.add_done_callback(lambda done: done.cancelled() or done.exception())
        if self.group is None:
            self.ending = ending
            await self._entrance.join(self)
        else:
            try:
                self.group.keep(ending, self.committed)
            finally:
                self.leave()
        await self.committed

    def fail(self, error: BaseException) -> None:
        """End without a result. What it may have written has to be rolled back, and with it all of the group."""
        if self.group is not None:
            if self._used:
                self.group.break_up(error)
            self.leave()


class Group:
    """One open transaction and the parts that have been done in it."""

    def __init__(self, transaction: AbstractAsyncContextManager[Connection], connection: Connection) -> None:
        self._transaction = transaction
        self.connection = connection
        self.turn = asyncio.Lock()
        """Held by the one body, or the shared statement, that uses the connection."""
        self.broken: BaseException | None = None
        """Why nothing of it can be committed any more."""
        self._inside: set[Body] = set()
        self._empty = asyncio.Event()
        self._parts: list[tuple[Ending, asyncio.Future[None]]] = []

    @classmethod
    async def begin(cls, database: Database) -> "Group":
        """Open a transaction. Raises ``StoreUnavailable``."""
        transaction = database.transaction("group commit")
        return cls(transaction, await transaction.__aenter__())

    @property
    def size(self) -> int:
        """How many bodies have ended in it."""
        return len(self._parts)

    def keep(self, ending: Ending, committed: "asyncio.Future[None]") -> None:
        """Take note of a body's end. Raises what its neighbours get when one of them has broken the group."""
        if self.broken is not None:
            raise self.spoiled()
        self._parts.append((ending, committed))

    def break_up(self, error: BaseException) -> None:
        """Let nothing of this group be committed; the first reason counts."""
        self.broken = self.broken or error

    def spoiled(self) -> Exception:
        """Return what those get who are not to blame."""
        if isinstance(self.broken, StoreUnavailable):
            return StoreUnavailable(str(self.broken))
        return Spoiled(f"{type(self.broken).__name__} of a neighbour")

    def left(self, body: Body) -> None:
        """Hear that a body has left."""
        self._inside.discard(body)
        if not self._inside:
            self._empty.set()

    # --- letting bodies in -----------------------------------------------------------------------------

    async def take_in(self, bodies: Sequence[Body]) -> list[Body]:
        """Let bodies do their work here, and return when all have left; returns those that it could not take in."""
        asking = [body for body in bodies if body.asked is not None]
        for body in bodies:
            if body.ending is not None and not body.entry.done():
                self._parts.append((body.ending, body.committed))
                body.entry.set_result(None)
        while asking and self.broken is None:
            asking = await self._share(asking)
        using = [body for body in bodies if body.asked is None and body.ending is None]
        if self.broken is not None:
            return asking + using
        for body in using:
            if self._enter(body):
                body.entry.set_result(None)
        await self._wait_until_empty()
        return []

    def _enter(self, body: Body) -> bool:
        """Let a body in, unless it was broken off while it waited."""
        if body.entry.done():
            return False
        body.group = self
        self._inside.add(body)
        self._empty.clear()
        return True

    async def _wait_until_empty(self) -> None:
        if self._inside:
            await self._empty.wait()

    async def _share(self, asking: Sequence[Body]) -> list[Body]:
        """Run the first one's statement for all that may share it, and let them end; returns the others."""
        chosen = without_common_keys([body.asked for body in asking if body.asked is not None])
        sharing = [body for place, body in enumerate(asking) if place in chosen and self._enter(body)]
        others = [body for place, body in enumerate(asking) if place not in chosen]
        asked = [body.asked for body in sharing if body.asked is not None]
        if not asked:
            return others
        try:
            async with self.turn:
                with translated("a shared statement"):
                    results = await asked[0][0].many(self.connection, [item for _, item in asked])
            answers = list(zip(sharing, results, strict=True))
        except Exception as exc:
            self.break_up(exc)
            turn_away(sharing, error=exc if len(sharing) == 1 else self.spoiled())
        else:
            if self.broken is not None:  # one was broken off meanwhile, and what it wrote cannot be told apart
                turn_away(sharing, error=self.spoiled())
            for body, result in answers:
                if not body.entry.done():
                    body.entry.set_result(result)
        await self._wait_until_empty()
        return others

    # --- ending ----------------------------------------------------------------------------------------

    async def commit(self) -> None:
        """Write the endings and commit; settle every part, whatever happens."""
        try:
            written = await self._write_and_leave()
        except _FencesLost as exc:
            lost = exc.claims
            self._fail(
                lambda e: inbox.fence_lost(e.claim) if e.claim in lost else Spoiled("a neighbour lost its fence")
            )
        except StoreUnavailable as exc:
            reason = str(exc)
            self._fail(lambda _: StoreUnavailable(reason))
        except BaseException as exc:
            reason = f"{type(exc).__name__} in a group commit"
            self._fail(lambda _: Spoiled(reason))
            if not isinstance(exc, Exception):
                raise
        else:
            try:  # the answers first: what the bodies still have to do may wait until those are on their way
                for (ending, _), rows in zip(self._parts, written, strict=True):
                    ending.announce(rows)
            finally:
                for _, committed in self._parts:
                    if not committed.done():
                        committed.set_result(None)

    async def _write_and_leave(self) -> list[list[OutboxRow]]:
        COMMIT_BATCH.observe(len(self._parts))
        endings = [ending for ending, _ in self._parts]
        try:
            with translated("the endings of a group"):
                written, lost = await write_endings(self.connection, endings)
        except BaseException as exc:
            await self._leave(exc)
            raise
        if lost:
            error = _FencesLost(lost)
            await self._leave(error)
            raise error
        pass_by("before_commit", endings)
        await self._leave(None)
        pass_by("committed", endings)
        return written

    async def roll_back(self) -> None:
        """Undo everything because a body failed, and tell those that had ended."""
        with contextlib.suppress(StoreUnavailable, WorkerError):
            await self._leave(self.broken or Spoiled("nobody is left"))
        turn_away(list(self._inside), error=self.spoiled())
        self._fail(lambda _: self.spoiled())

    async def _leave(self, exc: BaseException | None) -> None:
        """End the transaction: commit without, roll back with an exception. Raises ``StoreUnavailable``."""
        try:
            await self._transaction.__aexit__(type(exc) if exc else None, exc, exc.__traceback__ if exc else None)
        except StoreUnavailable:
            raise
        except BaseException as raised:
            if raised is not exc:
                raise

    def _fail(self, error_for: Callable[[Ending], Exception]) -> None:
        for ending, committed in self._parts:
            if not committed.done():
                committed.set_exception(error_for(ending))


class _FencesLost(Exception):
    def __init__(self, claims: set[Claim]) -> None:
        super().__init__(f"{len(claims)} claims are no longer valid")
        self.claims = claims


def turn_away(bodies: Iterable[Body], error: Exception) -> None:
    """Tell those that still wait to be let in why they are not."""
    for body in bodies:
        if not body.entry.done():
            body.entry.set_exception(error)
