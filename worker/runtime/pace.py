"""How much is worked on at once, from how long it takes: adaptive concurrency. Additive increase, multiplicative
decrease, as in TCP; what is usual is the fastest that was seen, forgotten slowly.

*Per workspace*, from e-conomic's part: answers at the usual speed raise the limit step by step, an agreement that has
become slow lowers it by a tenth per round, failures halve it, and one that may not be called at all is left alone until
it may. A shrinking budget caps it.

*Of large workspaces beside small ones*, from our own part (everything but e-conomic's answers): more at work than
Postgres and this process can keep up with only wait for each other, and make the small ones wait with them.
"""

from collections import OrderedDict
from dataclasses import dataclass

from worker.clock import Clock
from worker.errors import Held, OutcomeUnknown, RateLimited, Unavailable
from worker.run import Run

SLOW = 3.0
"""So many times its usual time per call means that an agreement is slow …"""
SLOW_S = 0.25
"""… if that is also so many seconds more than usual: below that it may be our own queue."""
CALM_ABOVE = 0.8
"""Share of the budget from which fewer are at work at once, down to one when it is used up."""
FORGET = 0.0005
"""How much of the way a slower answer moves what counts as usual."""
LONGEST_PAUSE_S = 60.0
MANY = 2000
OWN_S = 0.03
"""So long may our own part of a delivery take, or twice what is usual here, before large workspaces get less."""
EVERY_S = 0.1
SMOOTH = 0.05


@dataclass(slots=True)
class _Known:
    limit: float
    usual_s: float | None = None
    since_cut: int = 0
    paused_until: float = 0.0


class Pace:
    """The limits of this process. Workspaces of which nothing is known have all: ``full``."""

    def __init__(self, full: int, clock: Clock) -> None:
        self._full = full
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._beside = float(full)
        self._own_s = self._usual_own_s = OWN_S / 2
        self._changed_at = 0.0

    @property
    def beside(self) -> int:
        """How many deliveries of large workspaces may be at work while small ones want something too."""
        return max(1, int(self._beside))

    def most(self, workspace: str) -> int:
        """Return how many deliveries of the workspace may be at work at once: at least one."""
        known = self._known.get(workspace)
        return self._full if known is None else max(1, int(known.limit))

    def paused(self) -> list[str]:
        """Return the workspaces that may not be called for some seconds."""
        now = self._clock.monotonic()
        return [workspace for workspace, known in self._known.items() if known.paused_until > now]

    def learn(self, run: Run, error: BaseException | None, took_s: float) -> None:
        """Take note of how a run went and how many seconds the delivery took."""
        if run.api is None:
            return
        usage = run.api.usage
        if error is None:
            self.took(took_s - usage.seconds)
        budget = usage.used / usage.limit if usage.limit and usage.used is not None else 0.0
        if isinstance(error, Held | RateLimited):
            wait_s = error.delay_s if isinstance(error, Held) else error.retry_after_s or 0.0
            self.stopped(run.workspace_id, wait_s)
        elif isinstance(error, Unavailable | OutcomeUnknown | TimeoutError):
            self.failed(run.workspace_id)
        elif usage.calls:
            self.answered(run.workspace_id, usage.seconds / usage.calls, budget)

    def took(self, own_s: float) -> None:
        """Our own part of a delivery took so many seconds."""
        self._own_s += SMOOTH * (own_s - self._own_s)
        self._usual_own_s = min(own_s, self._usual_own_s + FORGET * (own_s - self._usual_own_s))
        now = self._clock.monotonic()
        if now - self._changed_at >= EVERY_S:
            self._changed_at = now
            late = self._own_s > max(OWN_S, 2 * self._usual_own_s)
            self._beside = max(self._full / 8, self._beside * 0.9) if late else min(self._full, self._beside + 1)

    def stopped(self, workspace: str, wait_s: float) -> None:
        """The agreement may not be called for so many seconds: then one goes first."""
        known = self._of(workspace)
        known.limit = 1.0
        known.paused_until = self._clock.monotonic() + min(wait_s, LONGEST_PAUSE_S)

    def failed(self, workspace: str) -> None:
        """e-conomic did not answer as it should."""
        self._cut(self._of(workspace), 0.5)

    def answered(self, workspace: str, call_s: float, budget_used: float) -> None:
        """e-conomic answered: seconds per call, and the share of the budget that is used."""
        known = self._of(workspace)
        usual = known.usual_s
        known.usual_s = call_s if usual is None else min(call_s, usual + FORGET * (call_s - usual))
        known.since_cut += 1
        if usual is not None and call_s > usual * SLOW and call_s > usual + SLOW_S:
            self._cut(known, 0.9)
        elif known.limit < self._full:
            known.limit = min(known.limit + 0.5, self._full)
        if budget_used > CALM_ABOVE:
            left = max(0.0, (1 - budget_used) / (1 - CALM_ABOVE))
            known.limit = max(1.0, min(known.limit, self._full * left))

    def _cut(self, known: _Known, factor: float) -> None:
        """Lower the limit, once per round: what is at work already was begun under the limit before."""
        if known.since_cut >= known.limit or factor < 0.9:
            known.limit = max(1.0, known.limit * factor)
            known.since_cut = 0

    def _of(self, workspace: str) -> _Known:
        known = self._known.get(workspace)
        if known is None:
            known = self._known[workspace] = _Known(float(self._full))
        self._known.move_to_end(workspace)
        while len(self._known) > MANY:
            self._known.popitem(last=False)
        return known
