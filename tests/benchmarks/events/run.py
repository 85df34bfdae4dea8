"""Runs the subjects one after the other on the same servers: fill the queue, start the subject, count its completions.

Every subject does the same job for each request: validate, one GET of a 2 kB customer, one transaction, one confirmed
completion event, one acknowledgement. ``raw`` does none of it but consume, publish with confirm and acknowledge. The
worker also runs against an API that takes its time. Rounds are interleaved, so that a machine that grows slower or
faster favours nobody; the median of the rounds counts.
"""

import argparse
import asyncio
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.benchmarks.events.counting import counted
from tests.benchmarks.events.stage import (
    Subject,
    api,
    cpu_s,
    environment_of,
    fill,
    prepare,
    requests,
    running,
    subjects,
)
from tests.benchmarks.results_file import Measured, keep
from worker.loop import run
from worker.servers import provide

WARM_UP = 0.2
"""Share of the events that are not timed: processes start, pools fill, statements are prepared."""
LIMIT_S = 180.0
TARGETS = {"faststream": 2.5, "celery": 2.5, "raw": 0.7}
"""What the worker should reach, as a multiple of each peer's events per second."""
SLOW = "worker, slow API"
SLOW_TARGET = 0.9
"""What the worker should reach of its own events per second when the API takes its time."""


@dataclass
class Result:
    """A subject's runs: events per second, and processor time of its process per event in µs."""

    rates: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """The median."""
        return statistics.median(self.rates)


async def measure(url: str, subject: Subject, bodies: Sequence[bytes]) -> tuple[float, float]:
    """Return completions per second after the warm-up, and processor time per event in µs."""
    await fill(url, subject, bodies)
    first, last = int(len(bodies) * WARM_UP), len(bodies)
    async with counted(url) as count, running(subject) as (process,):
        try:
            async with asyncio.timeout(LIMIT_S):
                await count.reach(first)
                used, begun = cpu_s(process.pid), count.total
                await count.reach(last)
                used = cpu_s(process.pid) - used
        except TimeoutError:
            raise RuntimeError(f"{subject.name}: {count.total} of {last} completions in {LIMIT_S:g} s") from None
    return count.rate(first, last), used * 1e6 / (last - begun)


def arguments(options: Sequence[str]) -> argparse.Namespace:
    """Read the section's options."""
    parser = argparse.ArgumentParser(prog="make bench SECTION=events ARGS=…", description=__doc__)
    parser.add_argument("--events", type=int, default=6000, help="requests per run")
    parser.add_argument("--rounds", type=int, default=5, help="runs per subject; the median counts")
    parser.add_argument("--workspaces", type=int, default=50, help="workspaces that the requests come from")
    parser.add_argument("--latency", type=float, default=50, help="milliseconds that the slow API takes")
    parser.add_argument("--peers", type=Path, default=Path(".venv-peers"), help="environment of FastStream and Celery")
    parser.add_argument("--only", default="", help="subjects, separated by commas")
    return parser.parse_args(options)


def main(options: Sequence[str] = (), say: Callable[[str], None] = print) -> None:
    """Run, and keep the medians with their ratios."""
    args = arguments(options)
    with provide(announce=say, durable=True) as servers, api(0) as address, api(args.latency) as slow:
        environment = environment_of(servers, address)
        asyncio.run(prepare(environment, args.workspaces))
        found = subjects(args.peers, environment)
        worker = next(subject for subject in found if subject.name == "worker")
        waiting = {name: slow for name in worker.environment if name.endswith(("LEGACY_URL", "OPENAPI_URL"))}
        # beside the run that it is compared with: half a minute later the machine may be another
        found.insert(1 + found.index(worker), replace(worker, name=SLOW, environment=worker.environment | waiting))
        chosen = [subject for subject in found if not args.only or subject.name in args.only.split(",")]
        results = {subject.name: Result() for subject in chosen}
        for _ in range(args.rounds):
            for subject in chosen:
                bodies = requests(args.events, args.workspaces)
                rate, cpu_us = run(measure(servers.amqp_url, subject, bodies))
                results[subject.name].rates.append(rate)
                results[subject.name].cpu_us.append(cpu_us)
                say(f"{subject.name:18} {rate:8.0f} events/s {cpu_us:8.0f} µs of its process")
    if "worker" in results:
        say(f"kept in {keep('events', list(figures(results, args.latency)))}")


def figures(results: Mapping[str, Result], latency_ms: float) -> Iterator[Measured]:
    """Compare the worker with each peer, and with itself where the API is slow."""
    ours = results["worker"].rate
    for name, target in TARGETS.items():
        if name in results:
            theirs = results[name].rate
            aim = f"≥ {target:g} × {name}"
            yield Measured("events/s, one process", ours, "1/s", name, theirs, aim, ours / theirs >= target)
    if SLOW in results:
        slow = results[SLOW].rate
        yield Measured(
            f"events/s, API takes {latency_ms:g} ms", slow, "1/s", "0 ms", ours, f"≥ {SLOW_TARGET:g} × 0 ms",
            slow / ours >= SLOW_TARGET,
        )  # fmt: skip
    for name, result in results.items():
        if name != "celery":  # whose parent process does no work
            yield Measured(f"processor time per event, {name}", statistics.median(result.cpu_us), "µs")


if __name__ == "__main__":
    main()
