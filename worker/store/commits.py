"""How the writes of an event are committed: in a transaction of its own, or with its neighbours' (``group_commit``).

Either way all of an event's writes, its end in the inbox and its answers are committed at once or not at all.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from worker import failpoints
from worker.errors import WorkerError
from worker.store import endings, inbox
from worker.store.endings import End
from worker.store.inbox import Claim
from worker.store.outbox import OutboxMessage, OutboxRow
from worker.store.pool import Connection, Database


@dataclass(frozen=True, slots=True)
class Ending(End):
    """What the commit says about the event besides the handler's own writes; without an outcome it is a checkpoint.

    ``announce`` hears of the outgoing messages once they are committed.
    """

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
            written, lost = await write_endings(connection, [ending])
            if lost:
                raise inbox.fence_lost(ending.claim)
            pass_by("before_commit", [ending])
        pass_by("committed", [ending])
        ending.announce(written[0])


def pass_by(step: str, given: Sequence[Ending]) -> None:
    """Come past the failpoint ``step`` of each event's finish or checkpoint."""
    for ending in given:
        failpoints.hit("checkpoint" if ending.outcome is None else "finish", step)


async def write_endings(connection: Connection, given: Sequence[Ending]) -> tuple[list[list[OutboxRow]], set[Claim]]:
    """Write what the endings say; returns the outgoing rows per ending, and the claims that are no longer valid."""
    rows, lost = await endings.write(
        connection,
        given,
        [message for ending in given for message in ending.messages],
    )
    following = iter(rows)
    return [[next(following) for _ in ending.messages] for ending in given], lost
