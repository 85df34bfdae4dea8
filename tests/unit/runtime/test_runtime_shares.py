"""Turns by workspace: a workspace alone has everything, a small one never waits behind a large one."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.runtime.shares import PATIENT, Shares

LARGE, SMALL = "large", "small"


def plenty(_workspace: str) -> int:
    return 1000


class Field:
    """Deliveries that hold their turn until they are told to end."""

    def __init__(self, shares: Shares) -> None:
        self.shares = shares
        self.at_work: Counter[str] = Counter()
        self.order: list[str] = []
        self._ends: dict[str, list[asyncio.Event]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def send(self, workspace: str, count: int = 1) -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(self._deliver(workspace)) for _ in range(count)]
        self._tasks += tasks
        await asyncio.sleep(0)
        return tasks

    async def _deliver(self, workspace: str) -> None:
        async with self.shares.turn(workspace):
            self.at_work[workspace] += 1
            self.order.append(workspace)
            end = asyncio.Event()
            self._ends.setdefault(workspace, []).append(end)
            try:
                await end.wait()
            finally:
                self.at_work[workspace] -= 1

    async def end(self, workspace: str, count: int = 1) -> None:
        for _ in range(count):
            self._ends[workspace].pop(0).set()
        for _ in range(4):
            await asyncio.sleep(0)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def test_one_that_is_alone_has_the_whole_limit_and_no_more() -> None:
    field = Field(Shares(10, plenty))
    await field.send(LARGE, 30)
    assert (field.at_work[LARGE], field.shares.waiting) == (10, 20)
    await field.end(LARGE, 3)
    assert (field.at_work[LARGE], field.shares.waiting) == (10, 17)
    await field.close()


async def test_a_small_one_begins_at_once_though_the_limit_is_reached() -> None:
    field = Field(Shares(10, plenty))
    await field.send(LARGE, 30)
    await field.send(SMALL, 7)
    assert field.at_work[SMALL] == 5, "half of the limit is the share of one of two"
    assert field.at_work[LARGE] == 10
    await field.close()


async def test_there_are_never_more_than_twice_the_limit() -> None:
    field = Field(Shares(10, plenty))
    await field.send(LARGE, 30)
    for number in range(30):
        await field.send(f"small {number}")
    assert field.shares.at_work == 20
    await field.close()


async def test_whoever_has_least_at_work_goes_first() -> None:
    field = Field(Shares(4, plenty))
    await field.send(LARGE, 20)
    for number in range(6):
        await field.send(f"small {number}")
    field.order.clear()
    await field.end(LARGE, 4)
    assert field.order[:2] == ["small 4", "small 5"], "the others are at work already"
    await field.close()


async def test_one_that_may_have_fewer_waits_though_there_is_room() -> None:
    most = {LARGE: 2}
    field = Field(Shares(10, lambda workspace: most.get(workspace, 1000)))
    await field.send(LARGE, 5)
    assert field.at_work[LARGE] == 2
    most[LARGE] = 4
    await field.end(LARGE)
    assert field.at_work[LARGE] == 4
    await field.close()


async def test_a_delivery_that_is_broken_off_gives_its_turn_on() -> None:
    field = Field(Shares(1, plenty))
    (first,) = await field.send(LARGE)
    waiting, following = [*await field.send(SMALL), *await field.send("third")]
    first.cancel()
    waiting.cancel()  # its turn has come, or comes now: either way it goes on to the third
    await asyncio.gather(first, waiting, return_exceptions=True)
    await asyncio.sleep(0)
    assert field.at_work["third"] == 1
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    assert (field.shares.at_work, field.shares.waiting, field.shares.full()) == (0, 0, [])


async def test_crowded_and_full_say_how_many_wait() -> None:
    limit = 2 * PATIENT
    field = Field(Shares(limit, plenty))
    await field.send(LARGE, limit + PATIENT // 2 - 1)
    assert (field.shares.crowded(LARGE), field.shares.full()) == (False, [])
    await field.send(LARGE)
    assert field.shares.full() == [LARGE]
    await field.send(LARGE, PATIENT // 2)
    assert field.shares.crowded(LARGE)
    assert not field.shares.crowded(SMALL)
    await field.close()


async def test_where_few_are_at_work_few_wait() -> None:
    field = Field(Shares(2, plenty))
    await field.send(LARGE, 3)
    assert not field.shares.crowded(LARGE)
    await field.send(LARGE)
    assert field.shares.crowded(LARGE)
    await field.close()


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=80), st.integers(1, 6))
def test_whatever_comes_nobody_is_forgotten(steps: list[tuple[str, bool]], limit: int) -> None:
    """Everybody gets a turn in the end, and the books are empty then."""

    async def play() -> None:
        shares, done = Shares(limit, plenty), []

        async def deliver(workspace: str) -> None:
            async with shares.turn(workspace):
                assert shares.at_work <= 2 * limit
                await asyncio.sleep(0)
                done.append(workspace)

        tasks = []
        for workspace, breaks_off in steps:
            task = asyncio.create_task(deliver(workspace))
            await asyncio.sleep(0)
            if breaks_off:
                task.cancel()
            tasks.append(task)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert len(done) >= sum(not breaks_off for _, breaks_off in steps)
        assert (shares.at_work, shares.waiting, shares.full()) == (0, 0, [])

    asyncio.run(play())


async def test_turns_are_given_back_by_whoever_raises() -> None:
    shares = Shares(1, plenty)

    async def fail() -> None:
        async with shares.turn(LARGE):
            raise ValueError("odd")

    with pytest.raises(ValueError, match="odd"):
        await fail()
    assert shares.at_work == 0
