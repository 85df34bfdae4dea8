"""Time limits watched together behave like ``asyncio.timeout``, without a timer for each."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from worker.deadlines import Deadlines


async def for_ever() -> None:
    await asyncio.Event().wait()


async def limited(limits: Deadlines, seconds: float, work: Callable[[], Awaitable[None]] = for_ever) -> str:
    try:
        with limits.limit(seconds):
            await work()
    except TimeoutError:
        return "too late"
    return "in time"


async def test_what_takes_too_long_is_broken_off_and_the_task_goes_on() -> None:
    assert await limited(Deadlines(), 0.02) == "too late"
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)  # nothing is left over that would break this off


async def test_each_is_broken_off_by_its_own_limit_whatever_the_order() -> None:
    limits, ended = Deadlines(), []

    async def one(seconds: float) -> None:
        assert await limited(limits, seconds) == "too late"
        ended.append(seconds)

    await asyncio.gather(*(one(seconds) for seconds in (0.09, 0.03, 0.06)))
    assert ended == [0.03, 0.06, 0.09]


async def test_many_that_keep_their_limits_share_one_timer_and_leave_nothing() -> None:
    limits = Deadlines()

    async def quick() -> None:
        await asyncio.sleep(0)

    assert set(await asyncio.gather(*(limited(limits, 60, quick) for _ in range(500)))) == {"in time"}
    assert limits._limits == {}


async def test_a_long_limit_is_noticed_though_others_come_and_go() -> None:
    limits = Deadlines()

    async def quick() -> None:
        await asyncio.sleep(0.002)

    long = asyncio.create_task(limited(limits, 0.05))
    while not long.done():
        assert await limited(limits, 60, quick) == "in time"
    assert await long == "too late"


async def test_a_cancellation_from_outside_stays_one() -> None:
    task = asyncio.create_task(limited(Deadlines(), 60))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_inner_limit_leaves_the_outer_one_alone_and_both_at_once_are_the_outer_ones() -> None:
    limits = Deadlines()

    async def inner() -> None:
        assert await limited(limits, 0.02) == "too late"
        await for_ever()

    assert await limited(limits, 0.06, inner) == "too late"

    async def together() -> None:
        await limited(limits, 0.02)
        raise AssertionError("the outer limit was over too")

    assert await limited(limits, 0.02, together) == "too late"


async def test_an_error_of_the_work_passes() -> None:
    async def broken() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await limited(Deadlines(), 60, broken)
