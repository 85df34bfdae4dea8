"""``python -m tests.capacity``: the figures that ``deploy/capacity.md`` quotes; options change what is asked."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

from tests.capacity.costs import COSTS
from tests.capacity.model import BUDGETS, KINDS, Found, Plan, simulate

SEED = 1
PROCESSORS = (4, 6, 8, 12)
COMMITS = (1500, 3000, 6000)
FULL = 0.7
"""Share of a resource that may be used at the peak; beyond it queues grow out of hand."""


def report(plan: Plan, seed: int) -> str:
    """Return the whole report."""
    return "\n".join(
        [*_asked(plan, seed), "", *_sizes(plan, seed), "", *_budgets(plan, seed), "", *_storage(plan, seed)]
    )


def _asked(plan: Plan, seed: int) -> Iterator[str]:
    rounds = f"a round every {plan.round_every_s / 60:g} min" if plan.round_every_s else "no rounds"
    yield f"{plan.agreements:,} agreements, {plan.hours:g} h, seed {seed}, sample {plan.sample:g}; {rounds}"
    for name, chosen in (("with rounds", plan), ("without rounds", _without_rounds(plan))):
        found = simulate(chosen, seed)
        peak = ", ".join(f"{kind} {found.peak_per_s[kind]:,.0f}/s" for kind in KINDS if found.count[kind])
        yield f"{name}: {sum(found.count.values()):,} events; in the busiest minute {peak}"
        yield (
            f"  which takes {found.processors_at_peak:.1f} processors, {found.commits_at_peak:,.0f} commits/s, "
            f"{found.wal_at_peak / 1e6:.1f} MB/s of log, {found.calls_at_peak:,.0f} calls/s"
        )
        yield (
            f"  so that a peak uses {FULL:.0%}: {found.processors_at_peak / FULL:.0f} processors, "
            f"{found.commits_at_peak / FULL:,.0f} durable commits/s"
        )


def _without_rounds(plan: Plan) -> Plan:
    return replace(plan, round_every_s=float("inf"))


def _sizes(plan: Plan, seed: int) -> Iterator[str]:
    grain_s = max(COSTS["push"].commits / (each * plan.sample) for each in COMMITS)
    yield "waits for us in seconds (p50 / p95 / worst) by processors and commits/s, without rounds"
    yield f"(the sample's grain is {grain_s:.2f} s: what is below that is nothing)"
    for commits in COMMITS:
        for processors in PROCESSORS:
            found = simulate(replace(_without_rounds(plan), processors=processors, commits_per_s=commits), seed)
            told = "   ".join(f"{kind} {_waits(found, kind)}" for kind in ("push", "refresh"))
            yield f"{processors:3} processors {commits:5} commits/s   {told}"


def _waits(found: Found, kind: str) -> str:
    return " / ".join(f"{found.p(kind, share):7.2f}" for share in (0.5, 0.95, 1.0))


def _budgets(plan: Plan, seed: int) -> Iterator[str]:
    yield "waits for the agreement's own budget in seconds (p99 / worst), and the share that waits at all"
    for budget in BUDGETS:
        found = simulate(replace(_without_rounds(plan), budget=budget, processors=1e6, commits_per_s=1e9), seed)
        for kind in ("push", "import"):
            waits = found.for_budget[kind]
            share = sum(wait > 0 for wait in waits) / max(1, len(waits))
            worst = found.p(kind, 1.0, "for_budget")
            yield f"{budget.name:16} {kind:7} {found.p(kind, 0.99, 'for_budget'):8.1f} / {worst:8.1f}   {share:6.2%}"


def _storage(plan: Plan, seed: int) -> Iterator[str]:
    found = simulate(plan, seed)
    for name, kinds in (("requests", ("push", "refresh", "import")), ("rounds", ("round",))):
        size = sum(found.count[kind] * COSTS[kind].table_bytes for kind in kinds)
        log = sum(found.count[kind] * COSTS[kind].wal_bytes for kind in kinds)
        yield f"this afternoon's {name}: {size / 1e9:.1f} GB of tables and indexes, {log / 1e9:.1f} GB of log"


def main(options: Sequence[str]) -> None:
    """Print the report."""
    plan = Plan()
    parser = argparse.ArgumentParser(prog="python -m tests.capacity", description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--agreements", type=int, default=plan.agreements)
    parser.add_argument("--pushes", type=float, default=plan.pushes, help="invoices per agreement, on average")
    parser.add_argument("--refreshes", type=float, default=plan.refreshes)
    parser.add_argument(
        "--imports", type=float, default=plan.imports, help="share of agreements that import everything"
    )
    parser.add_argument("--hours", type=float, default=plan.hours)
    parser.add_argument("--round-every", type=float, default=plan.round_every_s, help="seconds (SYNC_EVERY_S)")
    parser.add_argument("--sample", type=float, default=plan.sample, help="share of the agreements that is simulated")
    args = parser.parse_args(options)
    asked = Plan(
        agreements=args.agreements, sample=args.sample, hours=args.hours, pushes=args.pushes,
        refreshes=args.refreshes, imports=args.imports, round_every_s=args.round_every,
    )  # fmt: skip
    sys.stdout.write(report(asked, args.seed) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
