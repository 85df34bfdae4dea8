"""The capacity plan quotes what the simulation says, and the simulation says something."""

import re
from dataclasses import replace
from pathlib import Path

from tests.capacity.__main__ import SEED, report
from tests.capacity.costs import COSTS
from tests.capacity.model import BUDGETS, Plan, simulate

PAGE = (Path(__file__).parents[3] / "deploy" / "capacity.md").read_text()
SMALL = Plan(sample=0.005, hours=1.0)


def test_the_page_quotes_the_simulation_for_its_seed() -> None:
    quoted = re.search(r"<!-- capacity:begin -->\n```\n(.*?)\n```\n<!-- capacity:end -->", PAGE, re.DOTALL)
    assert quoted is not None
    assert quoted[1] == report(Plan(), SEED), "write it anew: python -m tests.capacity"


def test_the_page_quotes_the_measured_costs() -> None:
    told = {
        row[0].split()[0]: row[1:] for row in re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \| (.+?) \|", PAGE, re.MULTILINE)
    }
    for kind, cost in COSTS.items():
        processor, commits, _ = told[kind]
        seconds = float(processor.split()[0]) / (1000 if processor.endswith("ms") else 1)
        assert (round(seconds, 4), float(commits)) == (round(cost.cpu_s, 4), cost.commits), kind


def test_the_same_seed_gives_the_same_and_another_something_else() -> None:
    first, again, other = (simulate(SMALL, seed) for seed in (1, 1, 2))
    assert (first.count, first.waits) == (again.count, again.waits)
    assert first.waits != other.waits


def test_every_event_waits_and_none_is_dropped() -> None:
    found = simulate(SMALL, 1)
    for kind, count in found.count.items():
        assert len(found.waits[kind]) == round(count * SMALL.sample)
        assert min(found.waits[kind], default=0.0) >= 0


def test_less_of_anything_makes_waits_longer() -> None:
    plenty = simulate(replace(SMALL, processors=1e6, commits_per_s=1e9), 1)
    assert plenty.p("push", 1.0) < 0.01
    for scarce in (replace(SMALL, processors=0.5), replace(SMALL, commits_per_s=200)):
        assert simulate(scarce, 1).p("push", 0.95) > 10


def test_the_narrow_budget_holds_up_who_sends_much_and_the_wide_one_does_not() -> None:
    busy = replace(SMALL, pushes=60)
    wide, narrow = (simulate(replace(busy, budget=budget), 1) for budget in BUDGETS)
    assert max(narrow.for_budget["push"]) > max(wide.for_budget["push"])
    assert max(narrow.for_budget["push"]) > 10
