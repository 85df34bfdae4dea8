"""What metrics cost the event path: the same worker with and without them, turn by turn on the same servers.

With: everything in ``worker.telemetry.metrics``, heartbeats and samples, and a scrape every five seconds. Without: none
of it. Processor time per event is compared, not events per second: it hardly moves when the machine has other work.
Beside it stands what one event's metric calls take in a loop of their own.
"""

import argparse
import asyncio
import statistics
import sys
import timeit
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import aiohttp

from tests.benchmarks.events import run as events
from tests.benchmarks.events import stage
from tests.benchmarks.events.counting import counted
from tests.benchmarks.results_file import Measured, keep
from worker.runtime.tally import Tally
from worker.servers import provide
from worker.servers.process import free_port
from worker.telemetry import metrics

TARGET = 0.02
SCRAPE_S = 5.0


def arguments(options: Sequence[str]) -> argparse.Namespace:
    """Read the section's options."""
    parser = argparse.ArgumentParser(prog="make bench SECTION=metrics ARGS=…", description=__doc__)
    parser.add_argument("--events", type=int, default=6000, help="requests per run")
    parser.add_argument("--rounds", type=int, default=6, help="runs with and runs without; pairs are compared")
    parser.add_argument("--workspaces", type=int, default=50, help="workspaces that the requests come from")
    return parser.parse_args(options)


async def measure(url: str, subject: stage.Subject, bodies: Sequence[bytes]) -> tuple[float, float]:
    """Return processor time per event in µs after the warm-up, and events per second."""
    await stage.fill(url, subject, bodies)
    first, last = int(len(bodies) * events.WARM_UP), len(bodies)
    async with counted(url) as count, stage.running(subject) as (process,):
        scraping = asyncio.create_task(scrape(subject.environment.get("BENCH_SCRAPE", "")))
        try:
            async with asyncio.timeout(events.LIMIT_S):
                await count.reach(first)
                began, before = stage.cpu_s(process.pid), count.total
                await count.reach(last)
            used = stage.cpu_s(process.pid) - began
        finally:
            scraping.cancel()
    return used * 1e6 / (last - before), count.rate(first, last)


async def scrape(address: str) -> None:
    """Ask for the metrics as Prometheus would, only more often."""
    async with aiohttp.ClientSession() as session:
        while address:
            await asyncio.sleep(SCRAPE_S)
            async with session.get(address) as answer:
                await answer.read()


def one_event_us(loops: int = 20_000) -> float:
    """Return what the metric calls of one event take: a delivery, an API call, a claim, a commit, an answer."""
    tally = Tally()

    def event() -> None:
        tally.observe("work", "pike.refresh.requested", "refreshed", 0.01, 0.02)
        metrics.api_calls("customers", "2xx").inc()
        metrics.api_duration("customers").observe(0.01)
        metrics.API_COST.inc(3)
        metrics.CLAIM_BATCH.observe(5)
        metrics.COMMIT_BATCH.observe(5)
        metrics.sent("confirmed").inc()

    return min(timeit.repeat(event, number=loops, repeat=5)) / loops * 1e6


def main(options: Sequence[str] = (), say: Callable[[str], None] = print) -> None:
    """Run pairs, and keep the median of their differences."""
    args = arguments(options)
    with provide(announce=say, durable=True) as servers, stage.api(0) as address:
        environment = stage.environment_of(servers, address)
        asyncio.run(stage.prepare(environment, args.workspaces))
        base = next(each for each in stage.subjects(Path("-"), environment) if each.name == "worker")
        port = free_port()
        variants = {
            "without": replace(base, environment=base.environment | {"BENCH_METRICS": "off"}),
            "with": replace(
                base,
                environment=base.environment
                | {"PIKE_ECONOMIC_HTTP_PORT": str(port), "BENCH_SCRAPE": f"http://127.0.0.1:{port}/metrics"},
            ),
        }
        cpu: dict[str, list[float]] = {name: [] for name in variants}
        rates: dict[str, list[float]] = {name: [] for name in variants}
        for turn in range(args.rounds):
            # the order changes, so that a machine that grows slower or faster favours neither
            for name in list(variants) if turn % 2 == 0 else list(variants)[::-1]:
                bodies = stage.requests(args.events, args.workspaces)
                used, rate = asyncio.run(measure(servers.amqp_url, variants[name], bodies))
                cpu[name].append(used)
                rates[name].append(rate)
                say(f"{name:8} {used:8.0f} µs of processor time per event {rate:8.0f} events/s")
    say(f"kept in {keep('metrics', list(figures(cpu, rates)))}")


def figures(cpu: dict[str, list[float]], rates: dict[str, list[float]]) -> Iterator[Measured]:
    """Compare, and say how much the figures scatter."""
    without, with_ = statistics.median(cpu["without"]), statistics.median(cpu["with"])
    pairs = [a / b - 1 for a, b in zip(cpu["with"], cpu["without"], strict=True)]
    cost, alone = statistics.median(pairs), one_event_us()
    spread = (max(cpu["without"]) - min(cpu["without"])) / without
    yield Measured("processor time per event, with metrics", with_, "µs", "without", without)
    yield Measured("cost of metrics, median of pairs", cost * 100, "%", target="< 2 %", met=cost < TARGET)
    yield Measured("scatter of the runs without", spread * 100, "%")
    yield Measured("one event's metric calls alone", alone, "µs")
    yield Measured("these, of the event", alone / without * 100, "%", target="< 2 %", met=alone / without < TARGET)
    yield Measured(
        "events/s with metrics", statistics.median(rates["with"]), "1/s", "without", statistics.median(rates["without"])
    )


if __name__ == "__main__":
    main(sys.argv[1:])
