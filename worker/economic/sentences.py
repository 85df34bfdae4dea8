"""Trouble that is nobody's fault in Pike, in words for people: away, too fast, revoked, unknown."""

from datetime import UTC, datetime, timedelta

from schemas.problem import Cause, EconomicDetail, Problem
from worker.errors import GrantRevoked, OutcomeUnknown, RateLimited, Unavailable

_UNAVAILABLE = Problem(
    cause=Cause.ECONOMIC_UNAVAILABLE,
    user_message="e-conomic does not answer as it should at the moment.",
    remedy="Nothing has to be done: it is tried again by itself.",
    final=False,
)

_RATE_LIMITED = Problem(
    cause=Cause.RATE_LIMITED,
    user_message="e-conomic asks Pike to slow down. Paused for a moment.",
    remedy="Nothing has to be done: Pike goes on by itself.",
    final=False,
)

_REVOKED = Problem(
    cause=Cause.GRANT_REVOKED,
    user_message="e-conomic no longer accepts Pike's access to this agreement.",
    remedy="A superuser of the agreement must reconnect it under Workspace settings → Integrations. "
    "Waiting requests then go on by themselves.",
    final=False,
)

_OUTCOME_UNKNOWN = Problem(
    cause=Cause.OUTCOME_UNKNOWN,
    user_message="e-conomic gave no clear answer, so it is not known yet whether it took this. Checking e-conomic.",
    remedy="Nothing has to be done: Pike looks it up by its reference and never sends it twice.",
    final=False,
)


def unavailable(detail: str, retry_after_s: float | None = None) -> Unavailable:
    """Make the error for an answer that cannot be used. ``detail`` is for engineers and holds no token."""
    return Unavailable(_UNAVAILABLE, detail, retry_after_s)


def rate_limited(detail: str, retry_after_s: float | None, now: datetime) -> RateLimited:
    """Make the error for a 429; it says when work goes on, if e-conomic said how long to wait."""
    problem = _RATE_LIMITED
    if retry_after_s is not None:
        resumes = (now + timedelta(seconds=retry_after_s)).astimezone(UTC)
        text = f"e-conomic asks Pike to slow down. Paused, resumes at about {resumes:%H:%M} UTC."
        problem = problem.model_copy(update={"user_message": text})
    return RateLimited(problem, detail, retry_after_s)


def revoked(detail: str, economic: EconomicDetail) -> GrantRevoked:
    """Make the error for a 401."""
    return GrantRevoked(_REVOKED.model_copy(update={"economic": economic}), detail)


def outcome_unknown(detail: str) -> OutcomeUnknown:
    """Make the error for a write whose answer was lost."""
    return OutcomeUnknown(_OUTCOME_UNKNOWN, detail)
