"""Whose turn it is on a connection that many use: bodies one after the other, and statements that they share.

A body that asks for a shared statement steps aside until nobody is left who might ask for the same. Then the statement
runs once for all of them, and each goes on where it was, before anybody new begins.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from worker.store.sharing import Shared, without_common_keys


def _future() -> "asyncio.Future[Any]":
    return asyncio.get_running_loop().create_future()


@dataclass(eq=False, slots=True)
class Asked:
    """One body's wish. It is that body's turn again once ``answer`` has a result or an error, and not before."""

    statement: Shared[Any, Any]
    item: Any
    answer: "asyncio.Future[Any]" = field(default_factory=_future)

    @property
    def given_up(self) -> bool:
        """Whether the body was broken off while it waited."""
        return self.answer.cancelled()


class Table(Protocol):
    """What the turns are about: one open transaction after the other."""

    async def run(self, statement: Shared[Any, Any], items: Sequence[Any]) -> Sequence[Any]:
        """Run a shared statement in the open transaction."""

    async def clear(self, error: Exception) -> None:
        """Roll the open transaction back."""

    @property
    def room(self) -> int:
        """How many more bodies the open transaction may have."""

    def idle(self) -> None:
        """Hear that nobody has the turn or waits for it."""


class Turns:
    """Gives turns. When a shared statement fails, who asked alone gets its error and others get what ``spoil`` says."""

    def __init__(self, table: Table, spoil: Callable[[Exception], Exception]) -> None:
        self._table = table
        self._spoil = spoil
        self._taken = False
        self._entering: deque[asyncio.Future[None]] = deque()
        self._asking: list[Asked] = []
        self._answered: deque[tuple[Asked, Any, Exception | None]] = deque()
        self._running: asyncio.Task[None] | None = None

    @property
    def stepped_aside(self) -> bool:
        """Whether somebody is in the middle of its body and waits for its turn to come back."""
        return bool(self._asking or self._answered or self._running)

    async def take(self) -> None:
        """Wait for a turn; ``give`` ends it."""
        if not self._taken:
            self._taken = True
            return
        place: asyncio.Future[None] = _future()
        self._entering.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():
                self.give()  # it had come to us already
            raise

    def give(self) -> None:
        """End the turn. It goes to those whose statement has run, then to who waits, then to the next statement."""
        while self._answered:
            asked, result, error = self._answered.popleft()
            if error is not None and not asked.given_up:
                asked.answer.set_exception(error)
                return
            if error is None and not asked.given_up:
                asked.answer.set_result(result)
                return
            if error is None:  # its writes are in the transaction, and nobody is left who could end them
                self._begin(self._break())
                return
        while self._entering and (not self._asking or len(self._asking) < self._table.room):
            place = self._entering.popleft()
            if not place.done():
                place.set_result(None)
                return
        if self._asking:
            self._begin(self._run_next())
            return
        self._taken = False
        self._table.idle()

    async def ask(self, asked: Asked) -> Any:
        """Give the turn away until the statement has run for the item, and return its result with the turn.

        A body that is broken off meanwhile (``asked.given_up``) has no turn to give.
        """
        self._asking.append(asked)
        self.give()
        try:
            return await asked.answer
        finally:
            if asked.given_up and asked in self._asking:
                self._asking.remove(asked)

    def spoil(self, error: Exception) -> None:
        """Let no statement that waits run any more, because the transaction is gone."""
        told = [asked for asked, _, _ in self._answered] + self._asking
        self._asking = []
        self._answered = deque((asked, None, self._spoil(error)) for asked in told)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._running = asyncio.create_task(work, name="shared-statement")

    async def _run_next(self) -> None:
        chosen = without_common_keys([(asked.statement, asked.item) for asked in self._asking])
        batch = [asked for place, asked in enumerate(self._asking) if place in chosen]
        self._asking = [asked for place, asked in enumerate(self._asking) if place not in chosen]
        try:
            results = await self._table.run(batch[0].statement, [asked.item for asked in batch])
        except Exception as exc:
            await self._table.clear(exc)
            self.spoil(exc)
            alone = len(batch) == 1
            self._answered.extendleft((asked, None, exc if alone else self._spoil(exc)) for asked in reversed(batch))
        else:
            self._answered.extend((asked, result, None) for asked, result in zip(batch, results, strict=True))
        self._running = None
        self.give()

    async def _break(self) -> None:
        error = RuntimeError("broken off")
        await self._table.clear(error)
        self.spoil(error)
        self._running = None
        self.give()
