"""Budgets read from headers, calls spread when they run low, and delays between quick retries."""

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.economic import backoff
from worker.economic.limiter import MAX_WAIT_S, LocalLimiter, Rate, Usage, read_cost, read_rate


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("token-limit-10000-per-60-seconds: 147/10000", Rate(147, 10000, 60.0)),
        ("token-limit-5-per-1-seconds:5/5", Rate(5, 5, 1.0)),
        ("x; token-limit-10-per-60-seconds:  3 / 10 ; y", Rate(3, 10, 60.0)),
        ("L", None),
        ("", None),
        ("token-limit--per-60-seconds: 1/2", None),
        ("token-limit-10-per-60-seconds: " + "9" * 5000 + "/10", None),
    ],
)
def test_rate_headers_are_read_and_rubbish_ignored(text: str, rate: Rate | None) -> None:
    assert read_rate({"X-RateLimiting": text}) == rate


@pytest.mark.parametrize(
    ("text", "cost"), [("3", 3), (" 13 ", 13), ("L", None), ("", None), ("-1", None), ("³", None), ("9" * 5000, None)]
)
def test_costs_are_read_and_letters_ignored(text: str, cost: int | None) -> None:
    assert read_cost({"X-CallCost": text}) == cost


@given(st.text(), st.text())
def test_no_header_breaks_the_count(cost: str, rate: str) -> None:
    usage = Usage()
    usage.learn(0.1, read_cost({"X-CallCost": cost}), read_rate({"X-RateLimiting": rate}))
    assert usage.calls == 1


def test_spacing_begins_at_80_per_cent_and_grows_to_its_bound() -> None:
    spacings = [Rate(used, 10_000, 60.0).spacing_s for used in (0, 5000, 8000, 8500, 9000, 9500, 10_000, 20_000)]
    assert spacings[:3] == [0, 0, 0]
    assert spacings[2:7] == sorted(set(spacings[2:7]))
    assert spacings[-1] == spacings[-2] == 2.0
    assert Rate(0, 0, 60.0).spacing_s == 2.0


@pytest.mark.requirement("B8")
async def test_calls_that_ask_together_get_turns_one_after_the_other(clock: Any) -> None:
    limiter = LocalLimiter(clock)
    await limiter.learn("1", Rate(9000, 10_000, 60.0))
    waits = [await limiter.wait_s("1") for _ in range(20)]
    assert waits[:3] == [1.0, 2.0, 3.0]
    assert max(waits) <= MAX_WAIT_S
    assert await limiter.wait_s("2") == 0, "another agreement does not notice"


async def test_a_statement_is_forgotten_with_its_window_and_by_a_better_one(clock: Any) -> None:
    limiter = LocalLimiter(clock)
    await limiter.learn("1", Rate(10_000, 10_000, 60.0))
    assert await limiter.wait_s("1") > 0
    clock.at += 60
    assert await limiter.wait_s("1") == 0
    await limiter.learn("1", Rate(10_000, 10_000, 60.0))
    await limiter.learn("1", Rate(10, 10_000, 60.0))
    assert await limiter.wait_s("1") == 0


async def test_agreements_that_went_quiet_do_not_fill_memory(clock: Any) -> None:
    limiter = LocalLimiter(clock)
    for number in range(5000):
        clock.at += 0.1
        await limiter.learn(str(number), Rate(9000, 10_000, 60.0))
        await limiter.wait_s(str(number))
    assert len(limiter._stated) <= 1001
    assert len(limiter._next) <= 1001


@given(st.integers(1, 10_000), st.integers(0, 2**32))
def test_delays_between_quick_retries_stay_within_their_bounds(attempt: int, seed: int) -> None:
    delay = backoff.delay_s(attempt, Random(seed))
    assert 0 <= delay <= min(backoff.CAP_S, backoff.BASE_S * 2 ** min(attempt - 1, 30))


def test_delays_are_spread_over_the_whole_range() -> None:
    random = Random(1)
    delays = [backoff.delay_s(10, random) for _ in range(1000)]
    assert min(delays) < 0.1
    assert max(delays) > 1.9


@pytest.mark.parametrize(("asked", "waited"), [(0.0, 0.0), (2.0, 2.0), (2.1, None), (3600.0, None)])
def test_what_the_service_asks_for_is_waited_here_only_when_short(asked: float, waited: float | None) -> None:
    assert backoff.honoured_s(asked, 1, Random(1)) == waited
