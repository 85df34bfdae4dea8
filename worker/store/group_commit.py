"""Commits the writes of events that happen to be ready at the same time together.

Walk of an event's finish: it takes its turn on the open group's connection, writes, and is kept; when nobody wants a
turn any more and the group before has been committed, the endings of all are written and the group is committed.
Where a body begins with a statement that others may share, it steps aside for them (``turns``).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from worker.errors import StoreUnavailable, WorkerError
from worker.store import inbox
from worker.store.commits import Ending, Part, Spoiled, pass_by, write_endings
from worker.store.inbox import Claim
from worker.store.outbox import OutboxRow
from worker.store.pool import Connection, Database, translated
from worker.store.sharing import Joint, Shared
from worker.store.turns import Asked, Turns
from worker.telemetry.metrics import COMMIT_BATCH

MAX_PARTS = 64
"""Events in one commit at most, so that no single transaction grows long."""


class GroupCommit:
    """See ``Commits``.

    A group commits as soon as the one before it has and nobody waits to join: an event alone commits at once, and under
    load groups fill while commits are under way. A failure inside a group rolls all of it back; whoever caused it gets
    the error, the others ``Spoiled``.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turns = Turns(self, _spoiled)
        self._wanting = 0
        self._open: _Group | None = None
        self._committing: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def open(self, what: str) -> AsyncIterator[Part]:
        """See ``Commits``."""
        self._wanting += 1
        try:
            await self._turns.take()
            shared = _Connection(self._turns)
            try:
                group = shared.group = self._open or await self._begin()
                part = Part(shared)
                try:
                    async with translated(what):
                        yield part
                    committed = group.keep(part.ended(what))
                except BaseException as exc:
                    if shared.used and shared.has_turn:
                        await self._give_up(group, exc)
                    raise
                if group.size >= MAX_PARTS and self._committing is not None:
                    await asyncio.wait({self._committing})
            finally:
                if shared.has_turn:
                    self._turns.give()
        finally:
            self._wanting -= 1
            self.idle()
        await asyncio.shield(committed)

    async def run(self, statement: Shared[Any, Any], items: Sequence[Any]) -> Sequence[Any]:
        """See ``Table``."""
        if self._open is None:
            raise Spoiled("the group was rolled back")
        async with translated("a shared statement"):
            return await statement.many(self._open.connection, items)

    async def clear(self, error: Exception) -> None:
        """See ``Table``."""
        group, self._open = self._open, None
        if group is not None:
            await group.roll_back(error)

    @property
    def room(self) -> int:
        """See ``Table``."""
        return MAX_PARTS - (self._open.size if self._open is not None else 0)

    def idle(self) -> None:
        """Commit the open group if it is due."""
        group = self._open
        if group is None or self._committing is not None or self._turns.stepped_aside:
            return
        if self._wanting and group.size < MAX_PARTS:
            return
        self._open = None
        self._committing = asyncio.create_task(self._commit(group), name="group-commit")

    async def _begin(self) -> "_Group":
        self._open = group = await _Group.begin(self._database)
        return group

    async def _give_up(self, group: "_Group", exc: BaseException) -> None:
        if self._open is group:
            self._open = None
            self._turns.spoil(exc if isinstance(exc, Exception) else Spoiled(type(exc).__name__))
        await group.roll_back(exc)

    async def _commit(self, group: "_Group") -> None:
        try:
            await group.commit()
        finally:
            self._committing = None
            self.idle()


def _spoiled(exc: Exception) -> Exception:
    """Return what those get who are not to blame."""
    return StoreUnavailable(str(exc)) if isinstance(exc, StoreUnavailable) else Spoiled(f"{_name(exc)} of a neighbour")


def _name(exc: BaseException) -> str:
    return type(exc).__name__


class _FencesLost(Exception):
    def __init__(self, claims: set[Claim]) -> None:
        super().__init__(f"{len(claims)} claims are no longer valid")
        self.claims = claims


class _Connection(Joint):
    """The group's connection in one body's hands. It knows whether it was used, and whether it is the body's turn."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self.group: _Group | None = None
        self.used = False
        self.has_turn = True

    async def share(self, statement: Shared[Any, Any], item: Any) -> Any:
        """See ``Joint``. Only a body's first statement is shared: nothing may come between what it wrote and the rest."""
        if self.used:
            return (await statement.many(self._connection, [item]))[0]
        self.used = True
        asked = Asked(statement, item)
        try:
            return await self._turns.ask(asked)
        finally:
            self.has_turn = not asked.given_up

    @property
    def _connection(self) -> Connection:
        if self.group is None:
            raise RuntimeError("the group has not begun")
        return self.group.connection

    def __getattr__(self, name: str) -> Any:
        self.used = True
        return getattr(self._connection, name)


class _Group:
    """One open transaction and the parts that have been done in it."""

    def __init__(self, stack: AsyncExitStack, connection: Connection) -> None:
        self._stack = stack
        self.connection = connection
        self._parts: list[tuple[Ending, asyncio.Future[None]]] = []

    @classmethod
    async def begin(cls, database: Database) -> "_Group":
        stack = AsyncExitStack()
        return cls(stack, await stack.enter_async_context(database.transaction("group commit")))

    @property
    def size(self) -> int:
        return len(self._parts)

    def keep(self, ending: Ending) -> "asyncio.Future[None]":
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # whoever waits may have been cancelled; an error that nobody hears is no error then
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._parts.append((ending, future))
        return future

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
            for (ending, future), rows in zip(self._parts, written, strict=True):
                ending.announce(rows)
                if not future.done():
                    future.set_result(None)

    async def _write_and_leave(self) -> list[list[OutboxRow]]:
        COMMIT_BATCH.observe(len(self._parts))
        try:
            written, lost = await write_endings(self.connection, [ending for ending, _ in self._parts])
        except BaseException as exc:
            await self._leave(exc)
            raise
        if lost:
            error = _FencesLost(lost)
            await self._leave(error)
            raise error
        pass_by("before_commit", [ending for ending, _ in self._parts])
        await self._leave(None)
        pass_by("committed", [ending for ending, _ in self._parts])
        return written

    async def roll_back(self, exc: BaseException) -> None:
        """Roll back because a body failed."""
        with contextlib.suppress(StoreUnavailable, WorkerError):
            await self._leave(exc)
        self._fail(lambda _: Spoiled(f"{type(exc).__name__} of a neighbour"))

    async def _leave(self, exc: BaseException | None) -> None:
        """End the transaction: commit without, roll back with an exception. Raises ``StoreUnavailable``."""
        if exc is None:
            await self._stack.aclose()
            return
        try:
            await self._stack.__aexit__(type(exc), exc, exc.__traceback__)
        except StoreUnavailable:
            raise
        except BaseException as raised:
            if raised is not exc:
                raise

    def _fail(self, error_for: Callable[[Ending], Exception]) -> None:
        for ending, future in self._parts:
            if not future.done():
                future.set_exception(error_for(ending))
