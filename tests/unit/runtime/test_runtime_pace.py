"""Adaptive concurrency: slower when e-conomic slows down, a halt when it asks for one, back to normal by itself."""

import asyncio
from datetime import UTC, datetime

import pytest

from worker.runtime.pace import LONGEST_PAUSE_S, MANY, Pace

FULL = 40
W = "acme"


class StillClock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.at = 1000.0

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def pace(clock: StillClock) -> Pace:
    made = Pace(FULL, clock)
    for _ in range(50):
        made.answered(W, 0.05, 0.1)
    return made


def test_a_workspace_nobody_knows_has_everything(pace: Pace) -> None:
    assert (pace.most("new"), pace.most(W)) == (FULL, FULL)


def test_answers_that_became_slow_lower_the_limit_and_usual_ones_raise_it_again(pace: Pace) -> None:
    for _ in range(200):
        pace.answered(W, 2.0, 0.1)
    lowered = pace.most(W)
    assert lowered < FULL / 2
    for _ in range(2 * FULL):
        pace.answered(W, 0.05, 0.1)
    assert pace.most(W) == FULL


def test_the_limit_falls_once_per_round_not_with_every_answer(pace: Pace) -> None:
    for _ in range(FULL // 2):
        pace.answered(W, 2.0, 0.1)
    assert pace.most(W) == int(FULL * 0.9)


def test_a_little_slower_changes_nothing(pace: Pace) -> None:
    for _ in range(200):
        pace.answered(W, 0.2, 0.1)  # four times as slow, but no more than our own queue makes it
    assert pace.most(W) == FULL


def test_failures_halve_it_down_to_one(pace: Pace) -> None:
    pace.failed(W)
    assert pace.most(W) == FULL // 2
    for _ in range(20):
        pace.failed(W)
    assert pace.most(W) == 1


def test_one_that_may_not_be_called_is_left_alone_until_it_may(pace: Pace, clock: StillClock) -> None:
    pace.stopped(W, 30.0)
    assert (pace.most(W), pace.paused()) == (1, [W])
    clock.at += 31
    assert pace.paused() == []
    pace.stopped(W, 3600.0)
    clock.at += LONGEST_PAUSE_S + 1
    assert pace.paused() == [], "somebody looks again within a minute"


@pytest.mark.parametrize(("used", "most"), [(0.8, FULL), (0.9, FULL // 2), (0.999, 1), (1.2, 1)])
def test_a_shrinking_budget_caps_it(pace: Pace, used: float, most: int) -> None:
    pace.answered(W, 0.05, used)
    assert pace.most(W) == most


def test_large_ones_get_less_when_our_own_part_takes_long_and_more_when_it_does_not(
    pace: Pace, clock: StillClock
) -> None:
    for _ in range(100):
        clock.at += 0.01
        pace.took(0.01)
    assert pace.beside == FULL
    for _ in range(1000):
        clock.at += 0.01
        pace.took(0.2)
    assert pace.beside == FULL // 8, "they always get some"
    for _ in range(1000):
        clock.at += 0.01
        pace.took(0.01)
    assert pace.beside == FULL


def test_where_our_own_part_is_always_long_that_is_usual(clock: StillClock) -> None:
    pace = Pace(FULL, clock)
    for _ in range(20_000):
        clock.at += 0.01
        pace.took(0.08)
    assert pace.beside == FULL


def test_only_so_many_workspaces_are_remembered(pace: Pace) -> None:
    pace.failed(W)
    for number in range(MANY):
        pace.failed(f"workspace {number}")
    assert pace.most(W) == FULL
