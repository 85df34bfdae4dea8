"""The budget of an agreement, shared by all workers (B8): a bucket of tokens in Postgres, taken in slices.

e-conomic states with every answer how much is used. Below half of it nobody has to ask anybody. Above, a process takes
slices of some tens of tokens from the shared bucket and spends them by itself, so that a call costs no round trip of
its own. Imports leave the last fifth to people. Who finds the bucket empty does not wait in place for long: the event
is given back and comes again.
"""

from dataclasses import dataclass

from schemas.problem import Cause, Problem
from worker.clock import Clock
from worker.economic.limiter import MAX_WAIT_S, Rate
from worker.errors import Held, StoreUnavailable
from worker.store import gates
from worker.store.pool import Database

ASK_ABOVE = 0.5
"""Share of the budget from which slices are taken."""
KEEP_FOR_PEOPLE = 0.2
KEEP_FOR_OTHERS = 0.02
"""Other programs call the same agreement: the very last tokens are left alone."""
SLICE_CALLS = 20
SLICE_S = 10.0
"""How long a slice may be spent; what is left then is forgotten, and comes back with time."""
CALL_COST = 3.0
"""Tokens of a usual call, as observed."""
_MANY = 1000

_EMPTY = Problem(
    cause=Cause.RATE_LIMITED,
    user_message="This agreement has used up the calls that e-conomic allows for the moment.",
    remedy="Nothing has to be done: this waits and goes on by itself.",
    final=False,
)


@dataclass(slots=True)
class _Known:
    """What this process knows of an agreement's budget, and the slices it holds, per kind of call."""

    rate: Rate
    stated_at: float
    slices: dict[bool, tuple[float, float]]


class SharedBudget:
    """A ``Limiter`` over Postgres. While Postgres is away it lets calls go: e-conomic's own 429 is the last word."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._known: dict[str, _Known] = {}

    async def wait_s(self, agreement: str, *, bulk: bool = False) -> float:
        """See ``Limiter``."""
        known = self._known.get(agreement)
        now = self._clock.monotonic()
        if known is None or not agreement.isdigit() or not known.rate.limit:
            return 0.0
        used = known.rate.used / known.rate.limit
        if now - known.stated_at >= known.rate.window_s or used < ASK_ABOVE:
            return 0.0
        tokens, until = known.slices.get(bulk, (0.0, 0.0))
        if until > now and tokens >= CALL_COST:
            known.slices[bulk] = (tokens - CALL_COST, until)
            return 0.0
        return await self._take_slice(int(agreement), known, bulk=bulk)

    async def _take_slice(self, agreement: int, known: _Known, *, bulk: bool) -> float:
        rate, keep = known.rate, KEEP_FOR_PEOPLE if bulk else KEEP_FOR_OTHERS
        try:
            async with self._database.transaction("budget") as connection:
                reserved = await gates.reserve(
                    connection,
                    agreement,
                    want=SLICE_CALLS * CALL_COST,
                    keep_share=keep,
                    stated_left=float(rate.limit - rate.used),
                    budget=float(rate.limit),
                    window_s=rate.window_s,
                )
        except StoreUnavailable:
            return 0.0
        now = self._clock.monotonic()
        if reserved.tokens:
            known.slices[bulk] = (reserved.tokens - CALL_COST, now + SLICE_S)
            return 0.0
        if reserved.wait_s > MAX_WAIT_S:
            raise Held(_EMPTY, delay_s=min(reserved.wait_s, rate.window_s))
        return reserved.wait_s

    async def learn(self, agreement: str, rate: Rate) -> None:
        """See ``Limiter``."""
        now = self._clock.monotonic()
        known = self._known.get(agreement)
        if known is None:
            self._known[agreement] = _Known(rate, now, {})
        else:
            known.rate, known.stated_at = rate, now
        if len(self._known) > _MANY:
            self._known = {key: kept for key, kept in self._known.items() if now - kept.stated_at < kept.rate.window_s}

    def left(self) -> dict[str, float]:
        """Return the share of its budget that each agreement has left, of those that stated it within their window."""
        now = self._clock.monotonic()
        return {
            agreement: max(0.0, 1 - known.rate.used / known.rate.limit)
            for agreement, known in self._known.items()
            if known.rate.limit and now - known.stated_at < known.rate.window_s
        }
