"""Delays between quick retries of safe calls: exponential with full jitter, capped. Pure: randomness is given."""

from random import Random

BASE_S = 0.2
CAP_S = 2.0
"""Quick retries hold a delivery, so they stay within seconds; longer waiting is the worker's ladder."""


def delay_s(attempt: int, random: Random, *, base_s: float = BASE_S, cap_s: float = CAP_S) -> float:
    """Return a delay before retry ``attempt`` (from 1): evenly between 0 and base·2^(attempt-1), at most the cap."""
    ceiling = min(cap_s, base_s * 2 ** min(attempt - 1, 30))
    return random.uniform(0, ceiling)


def honoured_s(retry_after_s: float | None, attempt: int, random: Random) -> float | None:
    """Return the delay to wait here, or ``None`` when the service asks for longer than a quick retry may take."""
    if retry_after_s is None:
        return delay_s(attempt, random)
    return retry_after_s if retry_after_s <= CAP_S else None
