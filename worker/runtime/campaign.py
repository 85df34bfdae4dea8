"""A replay of many letters: a frozen set, sent one, then ten, then the rest, each step after the outcomes before it.

Everything is in the database: a command that is killed loses nothing, another one goes on where it stopped. One
command holds a campaign at a time, by a lease that it prolongs while it works.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from worker.clock import Clock
from worker.errors import WorkerError
from worker.runtime.replay import send, watched
from worker.store import dead_letters, replays
from worker.store.pool import Database
from worker.store.replays import Campaign, Counts

STEPS = (1, 10)
"""Sizes of the careful steps; the rest follows in one."""

LEASE_S = 15.0
POLL_S = 0.2


class CampaignTaken(WorkerError):
    """Another command holds the campaign, took it over, or ended it. The text says so to a person."""


class Next(StrEnum):
    """What a campaign does next."""

    SEND = "send"
    WAIT = "wait"
    HALT = "halt"
    FINISH = "finish"


@dataclass(frozen=True, slots=True)
class Begun:
    """A new campaign: the letters it got, and why it did not get the others (letter → campaign that has it)."""

    id: UUID
    letters: list[UUID]
    taken: dict[UUID, UUID]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run of a campaign ended. ``halted_because`` is a sentence."""

    counts: Counts
    halted_because: str | None


def decide(counts: Counts, max_failure_share: float) -> Next:
    """Say what comes next from how far the campaign is. Pure.

    The share of failures is that of the step under way: of one letter in the first, of eleven in the second, of all
    that were sent in the last.
    """
    bound = _bound(counts.tried)
    whole = counts.tried + counts.waiting
    step = whole if bound is None else min(bound, whole)
    if counts.waiting and counts.bad > max_failure_share * max(counts.tried if bound is None else step, 1):
        return Next.HALT
    if counts.waiting and (counts.tried not in step_ends() or not counts.pending):
        return Next.SEND
    return Next.WAIT if counts.pending else Next.FINISH


def step_ends() -> list[int]:
    """Return how many letters have been sent at the end of each careful step: 1, 11."""
    return [sum(STEPS[: index + 1]) for index in range(len(STEPS))]


def _bound(tried: int) -> int | None:
    """Return how many letters have been sent at the end of the step under way; ``None`` in the last one."""
    return next((bound for bound in step_ends() if tried <= bound), None)


async def begin(
    database: Database,
    letter_ids: Sequence[UUID],
    *,
    selection: dict[str, Any],
    rate_per_s: float,
    max_failure_share: float,
    by: str,
) -> Begun:
    """Freeze a selection. Letters that wait in another campaign stay with it; closed ones are left out."""
    campaign_id = uuid4()
    async with database.transaction("begin replays") as connection:
        got = await replays.create(
            connection,
            campaign_id,
            selection=selection,
            letter_ids=letter_ids,
            rate_per_s=rate_per_s,
            max_failure_share=max_failure_share,
            by=by,
        )
        others = await replays.taken(connection, [letter_id for letter_id in letter_ids if letter_id not in set(got)])
        if not got:
            await replays.end(connection, campaign_id, halted_because=None)
    return Begun(campaign_id, got, others)


@dataclass
class Runner:
    """Runs one campaign from wherever it is. ``patience_s`` is how long a step's outcomes may take."""

    database: Database
    clock: Clock
    campaign_id: UUID
    by: str
    patience_s: float = 300.0
    on_progress: Callable[[Counts], None] = lambda _counts: None
    owner: str = field(default_factory=lambda: str(uuid4()))

    async def run(self) -> Ended:
        """Go on until the campaign is finished or halted. Raises ``CampaignTaken``."""
        async with self._held() as campaign:
            waiting_since: float | None = None
            while True:
                counts = await self._look()
                self.on_progress(counts)
                match decide(counts, campaign.max_failure_share):
                    case Next.SEND:
                        waiting_since = None
                        await self._send_next()
                        await self.clock.sleep(1 / campaign.rate_per_s)
                    case Next.WAIT:
                        waiting_since = waiting_since or self.clock.monotonic()
                        if self.clock.monotonic() - waiting_since >= self.patience_s:
                            return await self._end(counts, self._too_slow(counts))
                        await self.clock.sleep(POLL_S)
                    case Next.HALT:
                        return await self._end(counts, _too_many(counts, campaign.max_failure_share))
                    case Next.FINISH:
                        return await self._end(counts, None)

    @asynccontextmanager
    async def _held(self) -> AsyncIterator[Campaign]:
        """Take the campaign; one whose command died is waited for until its lease has ended."""
        campaign = await self._take()
        if campaign is None:
            raise CampaignTaken(
                f"Another command is running campaign {self.campaign_id}, or it has ended; see: dead replay --resume"
            )
        try:
            yield campaign
        finally:
            async with self.database.connection("let go of replays") as connection:
                await replays.let_go(connection, self.campaign_id, self.owner)

    async def _take(self) -> Campaign | None:
        for last in (False, True):
            async with self.database.transaction("hold replays") as connection:
                await replays.reopen(connection, self.campaign_id)
                held = await replays.hold(connection, self.campaign_id, self.owner, LEASE_S)
                campaign = await replays.find(connection, self.campaign_id)
            if held or campaign is None or campaign.state != "running":
                return campaign if held else None
            if not last:
                await self.clock.sleep(campaign.lease_left_s + POLL_S)
        return None

    async def _look(self) -> Counts:
        async with self.database.transaction("look at replays") as connection:
            await self._still_mine(connection)
            return await replays.settle(connection, self.campaign_id)

    async def _send_next(self) -> None:
        """Send one letter and note it, in one commit: a kill leaves it either sent and noted or neither."""
        async with self.database.transaction("replay in campaign") as connection:
            await self._still_mine(connection)
            letter_id = await replays.next_letter(connection, self.campaign_id)
            if letter_id is None:
                return
            (letter,) = await dead_letters.search(connection, ids=[letter_id], state=None)
            if await send(connection, letter, self.by, self.campaign_id):
                await replays.mark_sent(connection, self.campaign_id, letter_id, watched(letter))
            else:
                await replays.mark_skipped(connection, self.campaign_id, letter_id)

    async def _still_mine(self, connection: Any) -> None:
        if not await replays.hold(connection, self.campaign_id, self.owner, LEASE_S):
            raise CampaignTaken(f"Another command took campaign {self.campaign_id} over; this one has stopped.")

    async def _end(self, counts: Counts, halted_because: str | None) -> Ended:
        async with self.database.transaction("end replays") as connection:
            await self._still_mine(connection)
            await replays.end(connection, self.campaign_id, halted_because=halted_because)
        return Ended(counts, halted_because)

    def _too_slow(self, counts: Counts) -> str | None:
        if not counts.waiting:
            return None  # all are sent; what is still pending is at work or on the wait ladder
        return (
            f"Stopped: {_letters(counts.pending)} sent again had no outcome within {self.patience_s:g} s. "
            f"Is a worker running (pike-economic status)? {_letters(counts.waiting)} not sent."
        )


def _too_many(counts: Counts, share: float) -> str:
    return (
        f"Stopped: {counts.bad} of {_letters(counts.tried)} sent again failed, more than {share:.0%}. "
        f"{_letters(counts.waiting)} not sent. Put the cause right first: pike-economic dead list --groups"
    )


def _letters(count: int) -> str:
    return f"{count} letter" if count == 1 else f"{count} letters"
