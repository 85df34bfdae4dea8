"""``python -m tests.simulation --runs 5000 --seed 1``: run seeds, print the speed, and the seed of every failure."""

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.run import Result, describe, simulate
from tests.simulation.scenario import draw

_BATCH = 25


def main() -> int:
    """Parse and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1, help="the first seed; the runs take it and those after it")
    parser.add_argument("--trace", action="store_true", help="print every step; for one run")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes; 1 runs in this one")
    parser.add_argument(
        "--break", dest="broken", default="", help="break a guard on purpose: see tests/simulation/mutants.py"
    )
    parser.add_argument("--stop", action="store_true", help="stop at the first failure")
    options = parser.parse_args()
    began = time.perf_counter()
    seeds = range(options.seed, options.seed + options.runs)
    if options.trace:
        return _replay(options.seed, options.broken)
    failed, faults, events, done = 0, Counter[str](), 0, 0
    for result in _results(seeds, options.jobs, options.broken):
        done, events = done + 1, events + result.events
        faults.update(result.faults)
        if result.violations:
            failed += 1
            seconds = time.perf_counter() - began
            print(f"seed {result.seed} fails after {seconds:.1f} s: {result.violations[0]}", flush=True)
            if options.stop:
                break
    seconds = time.perf_counter() - began
    print(", ".join(f"{kind} {count}" for kind, count in sorted(faults.items())) or "no faults")
    print(f"{done} runs, {events} events, {failed} failed, {seconds:.1f} s, {done / seconds * 60:.0f} runs/minute")
    if failed:
        print("replay one with: python -m tests.simulation --runs 1 --trace --seed N")
    return 1 if failed else 0


def _results(seeds: range, jobs: int, broken: str) -> Iterator[Result]:
    batches = [list(seeds[start : start + _BATCH]) for start in range(0, len(seeds), _BATCH)]
    if jobs <= 1 or len(batches) == 1:
        for batch in batches:
            yield from _some(batch, broken)
        return
    with ProcessPoolExecutor(jobs) as pool:
        try:
            for results in pool.map(_some, batches, [broken] * len(batches)):
                yield from results
        finally:
            pool.shutdown(cancel_futures=True)


def _some(seeds: Iterable[int], broken: str) -> list[Result]:
    from tests.simulation.mutants import mutated

    with mutated(broken):
        return [simulate(seed) for seed in seeds]


def _replay(seed: int, broken: str) -> int:
    from tests.simulation.mutants import mutated

    print(f"seed {seed}: {describe(draw(seed))}")
    with mutated(broken):
        result = simulate(seed, tracing=True)
    print("\n".join(result.trace))
    print("\n".join(f"VIOLATED {what}" for what in result.violations) or "all promises kept")
    return 1 if result.violations else 0


if __name__ == "__main__":
    sys.exit(main())
