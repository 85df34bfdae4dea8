"""Many calls at once become one, and every caller gets its own answer."""

import asyncio
from collections.abc import Sequence

import pytest

from worker import cadence
from worker.errors import StoreUnavailable
from worker.runtime.coalescing import Coalescer


class Calls:
    """Doubles numbers in batches; 13 is bad, 99 takes the whole store away."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.entered = asyncio.Event()

    async def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        self.entered.set()
        await self.gate.wait()
        if 99 in items:
            raise StoreUnavailable("away")
        if 13 in items:
            raise ValueError("13")
        return [item * 2 for item in items]


def coalescer(calls: Calls, limit: int = 100, at_once: int = 1) -> Coalescer[int, int]:
    return Coalescer(calls, key=lambda item: item % 1000, limit=limit, shared=(StoreUnavailable,), at_once=at_once)


async def test_a_call_alone_goes_through_at_once() -> None:
    calls = Calls()
    assert await coalescer(calls)(4) == 8
    assert calls.batches == [[4]]


async def test_calls_that_come_while_a_batch_is_at_work_are_the_next_batch() -> None:
    calls = Calls()
    calls.gate.clear()
    double = coalescer(calls)
    first = asyncio.create_task(double(1))
    await calls.entered.wait()
    rest = [asyncio.create_task(double(n)) for n in (2, 3, 4)]
    await asyncio.sleep(0)
    calls.gate.set()
    assert await asyncio.gather(first, *rest) == [2, 4, 6, 8]
    assert calls.batches == [[1], [2, 3, 4]]


async def test_where_two_batches_may_be_at_work_a_third_waits_for_one_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cadence, "LEAST_S", 0.0)  # only rounds of the loop to wait for
    calls = Calls()
    calls.gate.clear()
    double = coalescer(calls, at_once=2)
    asked = []
    for n in (1, 2, 3, 4):
        calls.entered.clear()
        asked.append(asyncio.create_task(double(n)))
        if n <= 2:
            await asyncio.wait_for(calls.entered.wait(), 5)
    for _ in range(2 * cadence.ROUNDS):
        await asyncio.sleep(0)
    assert calls.batches == [[1], [2]]
    calls.gate.set()
    assert await asyncio.gather(*asked) == [2, 4, 6, 8]
    assert calls.batches == [[1], [2], [3, 4]]


@pytest.mark.parametrize("at_once", [1, 2])
async def test_a_batch_that_is_broken_off_leaves_nobody_behind(at_once: int) -> None:
    calls = Calls()
    calls.gate.clear()
    double = coalescer(calls, at_once=at_once)
    first = [asyncio.create_task(double(n)) for n in (1, 2)]
    await calls.entered.wait()
    next(task for task in asyncio.all_tasks() if task.get_name() == "coalescer").cancel()
    told = await asyncio.gather(*first, return_exceptions=True)
    assert [type(each) for each in told] == [asyncio.CancelledError] * 2
    calls.gate.set()
    assert await asyncio.gather(*(double(n) for n in (3, 4))) == [6, 8]
    assert await asyncio.gather(*(double(n) for n in (5, 6))) == [10, 12]


async def test_no_batch_is_larger_than_the_limit() -> None:
    calls = Calls()
    double = coalescer(calls, limit=10)
    assert await asyncio.gather(*(double(100 + n) for n in range(35))) == [2 * (100 + n) for n in range(35)]
    assert [len(batch) for batch in calls.batches] == [10, 10, 10, 5]


async def test_the_same_key_is_never_twice_in_one_batch() -> None:
    calls = Calls()
    double = coalescer(calls)
    assert await asyncio.gather(double(7), double(1007), double(8)) == [14, 2014, 16]
    assert calls.batches == [[7, 8], [1007]]


async def test_a_bad_item_fails_alone() -> None:
    calls = Calls()
    double = coalescer(calls)
    results = await asyncio.gather(double(1), double(13), double(2), return_exceptions=True)
    assert (results[0], results[2]) == (2, 4)
    assert isinstance(results[1], ValueError)


async def test_trouble_that_is_nobodys_own_reaches_all_at_once() -> None:
    calls = Calls()
    double = coalescer(calls)
    results = await asyncio.gather(double(1), double(99), return_exceptions=True)
    assert [type(result) for result in results] == [StoreUnavailable, StoreUnavailable]
    assert len(calls.batches) == 1


async def test_a_caller_that_gave_up_is_left_out_and_harms_nobody() -> None:
    calls = Calls()
    calls.gate.clear()
    double = coalescer(calls)
    first = asyncio.create_task(double(1))
    await calls.entered.wait()
    gone, stays = asyncio.create_task(double(2)), asyncio.create_task(double(3))
    await asyncio.sleep(0)
    gone.cancel()
    calls.gate.set()
    assert await asyncio.gather(first, stays) == [2, 6]
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert calls.batches == [[1], [3]]
