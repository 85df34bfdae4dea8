"""How the writes of an event are committed: in a transaction of its own, or together with those of its neighbours.

Either way all of an event's writes, its end in the inbox and its answers are committed at once or not at all.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from worker.errors import StoreUnavailable, WorkerError
from worker.store import inbox, outbox
from worker.store.inbox import Claim
from worker.store.outbox import OutboxMessage, OutboxRow
from worker.store.pool import Connection, Database, translated

MAX_PARTS = 64
"""Events in one commit at most, so that no single transaction grows long."""


@dataclass(frozen=True, slots=True)
class Ending:
    """What the commit says about the event besides the handler's own writes.

    ``outcome`` is ``None`` for a checkpoint: the event goes on and its lease is prolonged by ``lease_s``.
    ``announce`` hears of the outgoing messages once they are committed.
    """

    claim: Claim
    outcome: str | None
    lease_s: float
    messages: Sequence[OutboxMessage]
    announce: Callable[[Sequence[OutboxRow]], None]


class Spoiled(WorkerError):
    """A neighbour's failure rolled this event's writes back with its own: do it again, in a transaction of its own."""


@dataclass(slots=True)
class Part:
    """One event's share of a transaction. The user sets ``ending`` before leaving the block."""

    connection: Connection
    ending: Ending | None = None

    def ended(self, what: str) -> Ending:
        """Return the ending; a block that was left without one is a bug."""
        if self.ending is None:
            raise RuntimeError(f"{what}: the block was left without an ending")
        return self.ending


class Commits(Protocol):
    """Opens transactions for events. Leaving the block returns when everything is committed.

    Raises ``FenceLost`` when the claim is no longer valid, ``StoreUnavailable``, and ``Spoiled``.
    """

    def open(self, what: str) -> AbstractAsyncContextManager[Part]:
        """Open a transaction, or a part of one."""


class OwnTransaction:
    """One transaction per event."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def open(self, what: str) -> AsyncIterator[Part]:
        """See ``Commits``."""
        async with self._database.transaction(what) as connection:
            part = Part(connection)
            yield part
            ending = part.ended(what)
            written, lost = await _write_endings(connection, [ending])
            if lost:
                raise inbox.fence_lost(ending.claim)
        ending.announce(written[0])


class GroupCommit:
    """Commits the writes of events that happen to be ready at the same time together.

    Bodies run one after the other on the open group's connection. A group commits as soon as the one before it has
    and nobody waits to join: an event alone commits at once, and under load groups fill while commits are under way.
    A failure inside a group rolls all of it back; whoever caused it gets the error, the others ``Spoiled``.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turn = asyncio.Lock()
        self._wanting = 0
        self._open: _Group | None = None
        self._committing: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def open(self, what: str) -> AsyncIterator[Part]:
        """See ``Commits``."""
        self._wanting += 1
        try:
            async with self._turn:
                group = self._open or await self._begin()
                part = group.part()
                try:
                    async with translated(what):
                        yield part
                    committed = group.keep(part.ended(what))
                except BaseException as exc:
                    if part.connection.used:
                        self._open = None
                        await group.roll_back(exc)
                    raise
                if group.full and self._committing is not None:
                    await asyncio.wait({self._committing})
        finally:
            self._wanting -= 1
            self._commit_if_due()
        await asyncio.shield(committed)

    async def _begin(self) -> "_Group":
        self._open = group = await _Group.begin(self._database)
        return group

    def _commit_if_due(self) -> None:
        group = self._open
        if group is None or self._committing is not None or (self._wanting and not group.full):
            return
        self._open = None
        self._committing = asyncio.create_task(self._commit(group), name="group-commit")

    async def _commit(self, group: "_Group") -> None:
        try:
            await group.commit()
        finally:
            self._committing = None
            self._commit_if_due()


class _FencesLost(Exception):
    def __init__(self, claims: set[Claim]) -> None:
        super().__init__(f"{len(claims)} claims are no longer valid")
        self.claims = claims


class _Watched:
    """A connection that knows whether it was used."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.used = False

    def __getattr__(self, name: str) -> Any:
        self.used = True
        return getattr(self._connection, name)


class _Group:
    """One open transaction and the parts that have been done in it."""

    def __init__(self, stack: AsyncExitStack, connection: Connection) -> None:
        self._stack = stack
        self._connection = connection
        self._parts: list[tuple[Ending, asyncio.Future[None]]] = []

    @classmethod
    async def begin(cls, database: Database) -> "_Group":
        stack = AsyncExitStack()
        return cls(stack, await stack.enter_async_context(database.transaction("group commit")))

    @property
    def full(self) -> bool:
        return len(self._parts) >= MAX_PARTS

    def part(self) -> Part:
        return Part(_Watched(self._connection))

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
        try:
            written, lost = await _write_endings(self._connection, [ending for ending, _ in self._parts])
        except BaseException as exc:
            await self._leave(exc)
            raise
        if lost:
            error = _FencesLost(lost)
            await self._leave(error)
            raise error
        await self._leave(None)
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


async def _write_endings(connection: Connection, endings: Sequence[Ending]) -> tuple[list[list[OutboxRow]], set[Claim]]:
    """Write what the endings say; returns the outgoing rows per ending, and the claims that are no longer valid."""
    finished = [(ending.claim, ending.outcome) for ending in endings if ending.outcome is not None]
    going_on = [(ending.claim, ending.lease_s) for ending in endings if ending.outcome is None]
    lost = set[Claim]()
    if finished:
        lost |= await inbox.finish_many(connection, finished)
    if going_on:
        lost |= await inbox.extend_many(connection, going_on)
    if lost:
        return [], lost
    rows = iter(await outbox.append(connection, [message for ending in endings for message in ending.messages]))
    return [[next(rows) for _ in ending.messages] for ending in endings], lost
