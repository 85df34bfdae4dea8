"""From an error and how often it happened to what follows. Pure: a table, no clock, no I/O."""

import asyncio
from dataclasses import dataclass
from enum import StrEnum

from schemas.problem import Cause, Problem
from worker.errors import (
    BrokerError,
    GrantRevoked,
    Held,
    NotYet,
    OutcomeUnknown,
    RateLimited,
    Refused,
    Unavailable,
    WithProblem,
)


class Action(StrEnum):
    """What happens to the event next."""

    RETRY = "retry"  # again, later; the attempt counts
    SNOOZE = "snooze"  # not now; the attempt does not count
    PARK = "park"  # held until a person reconnects
    DEAD = "dead"  # dead letter and failed event


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, when, and how to explain it."""

    action: Action
    problem: Problem
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Policy:
    """Bounds of patience. Delays are the rungs of the wait ladder, in seconds."""

    ladder_s: tuple[float, ...] = (5, 30, 120, 600, 3600)
    max_attempts: int = 8
    max_age_s: float = 24 * 3600
    bug_attempts: int = 3


INTERNAL = Problem(
    cause=Cause.INTERNAL_ERROR,
    user_message="Something went wrong on our side while working on this.",
    remedy="Our engineers have been told. Nothing was lost; the request can be sent again once it is fixed.",
)

_TIME_OUT = Problem(
    cause=Cause.ECONOMIC_UNAVAILABLE,
    user_message="This took longer than it may.",
    remedy="It is tried again by itself.",
    final=False,
)


def judge(  # noqa: PLR0911  # one row of the table, one return
    error: BaseException, *, attempts: int, snoozes: int, age_s: float, policy: Policy, bugs: int = 0
) -> Decision:
    """Decide what follows a failed try.

    ``attempts`` counts this try; ``snoozes`` counts tries that were given back; ``bugs`` counts earlier tries that
    ended in an error nobody expected; ``age_s`` is the time since the event was first received.
    """
    problem = problem_of(error)
    match error:
        case GrantRevoked():
            return Decision(Action.PARK, problem)
        case Refused():
            return Decision(Action.DEAD, problem)
        case RateLimited():
            return _unless_too_old(problem, error.retry_after_s or policy.ladder_s[0], age_s, policy)
        case NotYet() | Held():
            return _unless_too_old(problem, error.delay_s, age_s, policy)
        case OutcomeUnknown():
            return _unless_too_old(problem, _rung(policy, snoozes + 1), age_s, policy)
        case Unavailable() | TimeoutError() | asyncio.TimeoutError() | BrokerError():
            return _retry(problem, attempts, policy.max_attempts, policy, getattr(error, "retry_after_s", None))
        case _:
            # tries that e-conomic's absence took are not held against it: one odd error must not end an event
            return _retry(problem, bugs + 1, policy.bug_attempts, policy, None)


def problem_of(error: BaseException) -> Problem:
    """Return the explanation that an error carries, or one that admits that it is ours."""
    if isinstance(error, WithProblem):
        return error.problem
    if isinstance(error, TimeoutError):
        return _TIME_OUT
    if isinstance(error, NotYet):
        return _TIME_OUT.model_copy(update={"user_message": f"Waiting: {error}."})
    return INTERNAL


def _retry(problem: Problem, attempts: int, limit: int, policy: Policy, asked_s: float | None) -> Decision:
    if attempts >= limit:
        return Decision(Action.DEAD, problem.model_copy(update={"final": True}))
    return Decision(Action.RETRY, problem, max(_rung(policy, attempts - 1), asked_s or 0.0))


def _unless_too_old(problem: Problem, delay_s: float, age_s: float, policy: Policy) -> Decision:
    if age_s >= policy.max_age_s:
        return Decision(Action.DEAD, problem.model_copy(update={"final": True}))
    return Decision(Action.SNOOZE, problem, delay_s)


def _rung(policy: Policy, index: int) -> float:
    return policy.ladder_s[min(max(index, 0), len(policy.ladder_s) - 1)]
