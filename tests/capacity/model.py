"""A month's end on paper: requests of many agreements against budgets, processors and a database. Seeded, quick.

A sample of the agreements is simulated event by event; processors and database are scaled down with it, budgets are
each agreement's own. Work waits first for its agreement's tokens, then for a processor, then for Postgres' commits.
e-conomic's own time for its calls comes on top. What is told of the whole is the sample's, scaled up.
"""

import heapq
import random
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.capacity.costs import COSTS, TOKENS_PER_CALL, Cost

KINDS = ("push", "refresh", "import", "round")


@dataclass(frozen=True)
class Budget:
    """A bucket of tokens: how many it holds and how many come back per second."""

    name: str
    holds: float
    per_s: float


BUDGETS = (Budget("10,000 a minute", 10_000, 10_000 / 60), Budget("2,000 + 30/s", 2_000, 30))


@dataclass(frozen=True)
class Plan:
    """What is asked of the system in the afternoon that is simulated, and what it has."""

    agreements: int = 100_000
    sample: float = 0.1
    hours: float = 4.0
    pushes: float = 12.0
    """Invoices per agreement, on average; log-normal, so that some send hundreds. Each sends them in one go."""
    spread: float = 1.2
    refreshes: float = 3.0
    imports: float = 0.01
    """Share of the agreements that import everything."""
    round_every_s: float = 900.0
    processors: float = 8.0
    commits_per_s: float = 3000.0
    """Durable commits per second that Postgres bears, by disk."""
    budget: Budget = BUDGETS[0]
    costs: Mapping[str, Cost] = field(default_factory=lambda: COSTS)


@dataclass
class Found:
    """What came of a run: of the whole, not of the sample."""

    count: dict[str, int]
    peak_per_s: dict[str, float]
    waits: dict[str, list[float]]
    """Seconds that each event waited for us: for a processor or for Postgres."""
    for_budget: dict[str, list[float]]
    """Seconds that each event waited for its agreement's tokens."""
    processors_at_peak: float
    commits_at_peak: float
    wal_at_peak: float
    calls_at_peak: float

    def p(self, kind: str, share: float, of: str = "waits") -> float:
        """Return a percentile of a kind's waits."""
        values = sorted(getattr(self, of)[kind])
        return values[min(int(len(values) * share), len(values) - 1)] if values else 0.0


@dataclass
class _Agreement:
    tokens: float
    at: float = 0.0


def simulate(plan: Plan, seed: int) -> Found:
    """Play the afternoon."""
    rng = random.Random(seed)
    arrivals = _arrivals(plan, rng)
    agreements = [_Agreement(plan.budget.holds) for _ in range(round(plan.agreements * plan.sample))]
    waits: dict[str, list[float]] = defaultdict(list)
    for_budget: dict[str, list[float]] = defaultdict(list)
    minutes: dict[str, dict[int, int]] = {kind: defaultdict(int) for kind in KINDS}
    processor_free = database_free = 0.0
    queue = [(at, number, at, kind, owner, False) for number, (at, kind, owner) in enumerate(arrivals)]
    heapq.heapify(queue)
    while queue:
        now, number, came, kind, owner, paid = heapq.heappop(queue)
        cost = plan.costs[kind]
        if not paid:
            minutes[kind][int(came // 60)] += 1
            wait = _pay(agreements[owner], plan.budget, cost.calls * TOKENS_PER_CALL, now)
            for_budget[kind].append(wait)
            if wait > 0:
                heapq.heappush(queue, (now + wait, number, now + wait, kind, owner, True))
                continue
        processor_free = max(now, processor_free) + cost.cpu_s / (plan.processors * plan.sample)
        database_free = max(processor_free, database_free) + cost.commits / (plan.commits_per_s * plan.sample)
        waits[kind].append(database_free - came)
    return _told(plan, minutes, waits, for_budget)


def _arrivals(plan: Plan, rng: random.Random) -> list[tuple[float, str, int]]:
    end = plan.hours * 3600
    found: list[tuple[float, str, int]] = []
    for owner in range(round(plan.agreements * plan.sample)):
        # mean of a log-normal is exp(mu + sigma²/2)
        count = int(
            rng.lognormvariate(0, plan.spread) * plan.pushes / 2.718281828 ** (plan.spread**2 / 2) + rng.random()
        )
        began = rng.triangular(0, end, end * 0.6)
        found += [(began + number * 0.2, "push", owner) for number in range(count)]
        found += [(rng.triangular(0, end, end * 0.6), "refresh", owner) for _ in range(_poisson(rng, plan.refreshes))]
        if rng.random() < plan.imports:
            found.append((rng.uniform(0, end), "import", owner))
        at = rng.uniform(0, plan.round_every_s)
        while at < end:
            found.append((at, "round", owner))
            at += plan.round_every_s
    return found


def _poisson(rng: random.Random, mean: float) -> int:
    count, time = 0, rng.expovariate(1)
    while time < mean:
        count, time = count + 1, time + rng.expovariate(1)
    return count


def _pay(agreement: _Agreement, budget: Budget, tokens: float, now: float) -> float:
    """Take tokens, also those that are yet to come, and return after how many seconds they are there."""
    agreement.tokens = min(budget.holds, agreement.tokens + (now - agreement.at) * budget.per_s)
    agreement.at = now
    agreement.tokens -= tokens
    return max(0.0, -agreement.tokens / budget.per_s)


def _told(
    plan: Plan,
    minutes: Mapping[str, Mapping[int, int]],
    waits: dict[str, list[float]],
    for_budget: dict[str, list[float]],
) -> Found:
    whole = 1 / plan.sample
    peak = max(
        {minute for kind in KINDS for minute in minutes[kind]},
        key=lambda minute: sum(minutes[kind].get(minute, 0) * plan.costs[kind].cpu_s for kind in KINDS),
    )
    per_s = {kind: minutes[kind].get(peak, 0) / 60 * whole for kind in KINDS}

    def at_peak(part: str) -> float:
        return sum(per_s[kind] * float(getattr(plan.costs[kind], part)) for kind in KINDS)

    return Found(
        count={kind: round(sum(minutes[kind].values()) * whole) for kind in KINDS},
        peak_per_s=per_s,
        waits=waits,
        for_budget=for_budget,
        processors_at_peak=at_peak("cpu_s"),
        commits_at_peak=at_peak("commits"),
        wal_at_peak=at_peak("wal_bytes"),
        calls_at_peak=at_peak("calls"),
    )
