"""The table from an error and how often it happened to what follows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.problem import Cause, Problem
from worker.errors import (
    BrokerUnavailable,
    GrantRevoked,
    NotYet,
    OutcomeUnknown,
    RateLimited,
    Refused,
    Unavailable,
)
from worker.runtime.judge import Action, Policy, judge

POLICY = Policy(ladder_s=(5, 30, 120), max_attempts=4, max_age_s=1000, bug_attempts=2)
PROBLEM = Problem(cause=Cause.ECONOMIC_UNAVAILABLE, user_message="It is away.", remedy="Wait.", final=False)

ERRORS = {
    "unavailable": Unavailable(PROBLEM),
    "rate limited": RateLimited(PROBLEM, retry_after_s=17),
    "rate limited, no time given": RateLimited(PROBLEM),
    "not yet": NotYet("first the customer", delay_s=7),
    "revoked": GrantRevoked(PROBLEM),
    "refused": Refused(PROBLEM),
    "unknown": OutcomeUnknown(PROBLEM),
    "time-out": TimeoutError(),
    "broker": BrokerUnavailable("away"),
    "bug": KeyError("x"),
}


@pytest.mark.parametrize(
    ("error", "attempts", "snoozes", "age_s", "action", "delay_s"),
    [
        ("unavailable", 1, 0, 0, Action.RETRY, 5),
        ("unavailable", 2, 0, 0, Action.RETRY, 30),
        ("unavailable", 3, 0, 0, Action.RETRY, 120),
        ("unavailable", 4, 0, 0, Action.DEAD, 0),
        ("time-out", 1, 0, 0, Action.RETRY, 5),
        ("broker", 3, 0, 0, Action.RETRY, 120),
        ("bug", 1, 0, 0, Action.RETRY, 5),
        ("bug", 9, 0, 0, Action.RETRY, 5),
        ("rate limited", 1, 99, 999, Action.SNOOZE, 17),
        ("rate limited, no time given", 4, 0, 0, Action.SNOOZE, 5),
        ("rate limited", 1, 0, 1000, Action.DEAD, 0),
        ("not yet", 9, 0, 0, Action.SNOOZE, 7),
        ("not yet", 1, 0, 1001, Action.DEAD, 0),
        ("revoked", 9, 9, 9999, Action.PARK, 0),
        ("refused", 1, 0, 0, Action.DEAD, 0),
        ("unknown", 9, 0, 0, Action.SNOOZE, 30),
        ("unknown", 9, 50, 0, Action.SNOOZE, 120),
        ("unknown", 1, 0, 1000, Action.DEAD, 0),
    ],
)
def test_the_table(error: str, attempts: int, snoozes: int, age_s: float, action: Action, delay_s: float) -> None:
    decision = judge(ERRORS[error], attempts=attempts, snoozes=snoozes, age_s=age_s, policy=POLICY)
    assert (decision.action, decision.delay_s) == (action, delay_s)


def test_an_error_that_nobody_expected_ends_an_event_when_it_comes_again_and_not_for_other_tries() -> None:
    once = judge(ERRORS["bug"], attempts=7, snoozes=0, age_s=0, policy=POLICY, bugs=0)
    again = judge(ERRORS["bug"], attempts=2, snoozes=0, age_s=0, policy=POLICY, bugs=1)
    assert (once.action, again.action) == (Action.RETRY, Action.DEAD)


def test_a_longer_wait_that_e_conomic_asks_for_is_kept() -> None:
    decision = judge(Unavailable(PROBLEM, retry_after_s=90), attempts=1, snoozes=0, age_s=0, policy=POLICY)
    assert decision.delay_s == 90


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
def test_what_ends_an_event_is_final_and_what_does_not_is_not(error: Exception) -> None:
    dead = judge(error, attempts=99, snoozes=99, age_s=99_999, policy=POLICY)
    if dead.action is Action.DEAD and not isinstance(error, Refused):
        assert dead.problem.final
    assert dead.problem.user_message
    assert dead.problem.remedy


@given(
    error=st.sampled_from(list(ERRORS.values())),
    attempts=st.integers(1, 50),
    snoozes=st.integers(0, 1000),
    age_s=st.floats(0, 1e6),
    bugs=st.integers(0, 50),
)
def test_every_event_comes_to_an_end_and_waits_never_less_than_a_rung(
    error: Exception, attempts: int, snoozes: int, age_s: float, bugs: int
) -> None:
    decision = judge(error, attempts=attempts, snoozes=snoozes, age_s=age_s, policy=POLICY, bugs=bugs)
    assert decision.delay_s >= 0
    if decision.action is Action.RETRY:
        bug = isinstance(error, KeyError)
        assert bugs + 1 < POLICY.bug_attempts if bug else attempts < POLICY.max_attempts
        assert decision.delay_s >= POLICY.ladder_s[0]
    if decision.action is Action.SNOOZE:
        assert age_s < POLICY.max_age_s
        assert decision.delay_s > 0
