"""What becomes of the worker with a second process, at half of its load, and in the database.

Rounds of three: one process, two processes on the same queue, and latency. For that, requests come one by one at half
of the rate that one process reached just before, and each one's completion is timed from its publishing; the first
second warms up, as the first requests of the other two do. Database: commits and bytes of write-ahead log over the
whole life of a worker, heartbeats and samples included, divided by its events.
"""

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from tests.benchmarks.events.counting import counted
from tests.benchmarks.events.probe import Sender, sender, times_of_answers
from tests.benchmarks.events.run import LIMIT_S, WARM_UP
from tests.benchmarks.events.stage import Subject, api, environment_of, fill, prepare, requests, running, subjects
from tests.benchmarks.results_file import Measured, keep
from worker.loop import run
from worker.servers import provide

TWO_PROCESSES = 1.4
MEDIAN_MS, WORST_MS = 15.0, 60.0
TRANSACTIONS = 0.2
STARTING = 20
"""Requests that come slowly while the process starts."""
WARM_S = 1.0
"""How long requests come at the rate before they count: connections are opened, statements prepared."""
P50, P99 = 49, 98
"""Places in a list of percentiles."""
_USE = """
select sum(xact_commit)::float8 as commits, (pg_current_wal_lsn() - '0/0'::pg_lsn)::float8 as wal
from pg_stat_database where datname = current_database()
"""
STATISTICS_S = 1.5
"""Postgres' processes report what they did when they end, and a moment later it can be read."""


@dataclass
class Results:
    """What the rounds gave."""

    one: list[float] = field(default_factory=list)
    two: list[float] = field(default_factory=list)
    commits: list[float] = field(default_factory=list)
    wal: list[float] = field(default_factory=list)
    classes: list[list[float]] = field(default_factory=list)
    """Of each round the percentiles of its latencies, in ms."""


def arguments(options: Sequence[str]) -> argparse.Namespace:
    """Read the section's options."""
    parser = argparse.ArgumentParser(prog="make bench SECTION=scale ARGS=…", description=__doc__)
    parser.add_argument("--events", type=int, default=6000, help="requests per run")
    parser.add_argument("--rounds", type=int, default=5, help="runs with one process, with two, and at half load")
    parser.add_argument("--workspaces", type=int, default=50, help="workspaces that the requests come from")
    parser.add_argument("--seconds", type=float, default=10, help="how long requests come at half load")
    return parser.parse_args(options)


async def use_of(dsn: str) -> tuple[float, float]:
    """Return commits and bytes of write-ahead log so far."""
    await asyncio.sleep(STATISTICS_S)
    connection = await asyncpg.connect(dsn)
    row = await connection.fetchrow(_USE)
    await connection.close()
    return row["commits"], row["wal"]


async def throughput(url: str, subject: Subject, bodies: Sequence[bytes], copies: int) -> float:
    """Return completions per second of so many processes after the warm-up."""
    await fill(url, subject, bodies)
    first, last = int(len(bodies) * WARM_UP), len(bodies)
    async with counted(url) as count, running(subject, copies):
        async with asyncio.timeout(LIMIT_S):
            await count.reach(last)
    return count.rate(first, last)


async def at_rate(url: str, subject: Subject, bodies: Sequence[bytes], rate: float) -> list[float]:
    """Return the milliseconds from publishing to completion of each request at this rate, after those that warm up."""
    requests_go = sender(url, "", subject.queue, subject.content_type)
    async with times_of_answers(url) as seen, running(subject), requests_go as to:
        await publish(to, bodies[:STARTING], rate=5.0)
        await wait_for(seen, STARTING)
        warm = STARTING + int(rate * WARM_S)
        await publish(to, bodies[STARTING:warm], rate)
        sent = await publish(to, bodies[warm:], rate)
        await wait_for(seen, len(bodies))
    return [(seen[event_id] - at) * 1000 for event_id, at in sent.items()]


async def publish(to: Sender, bodies: Sequence[bytes], rate: float) -> dict[str, float]:
    """Publish at a steady rate; returns when each request left. One that is late does not make the next ones later."""
    due = [to.encoded(json.loads(body)["id"], body) for body in bodies]
    sent: dict[str, float] = {}
    began = time.perf_counter()
    for n, request in enumerate(due):
        await asyncio.sleep(max(0.0, began + n / rate - time.perf_counter()))
        sent[request.message_id] = to.send(request)
    return sent


async def wait_for(seen: dict[str, float], count: int) -> None:
    """Wait until so many completions have arrived."""
    async with asyncio.timeout(LIMIT_S):
        while len(seen) < count:
            await asyncio.sleep(0.02)


def main(options: Sequence[str] = (), say: Callable[[str], None] = print) -> None:
    """Run, and keep what came of it."""
    args = arguments(options)
    with provide(announce=say, durable=True) as servers, api(0) as address:
        environment = environment_of(servers, address)
        asyncio.run(prepare(environment, args.workspaces))
        subject = next(each for each in subjects(Path("-"), environment) if each.name == "worker")
        results = Results()
        for _ in range(args.rounds):
            commits, wal = asyncio.run(use_of(servers.database_url))
            bodies = requests(args.events, args.workspaces)
            results.one.append(run(throughput(servers.amqp_url, subject, bodies, 1)))
            after = asyncio.run(use_of(servers.database_url))
            results.commits.append((after[0] - commits) / args.events)
            results.wal.append((after[1] - wal) / args.events)
            bodies = requests(args.events, args.workspaces)
            results.two.append(run(throughput(servers.amqp_url, subject, bodies, 2)))
            rate = results.one[-1] / 2
            bodies = requests(STARTING + int(rate * (WARM_S + args.seconds)), args.workspaces)
            results.classes.append(statistics.quantiles(run(at_rate(servers.amqp_url, subject, bodies, rate)), n=100))
            say(
                f"one process {results.one[-1]:8.0f} events/s   two {results.two[-1]:8.0f} events/s   "
                f"at {rate:5.0f} events/s p50 {results.classes[-1][P50]:6.1f}, p99 {results.classes[-1][P99]:6.1f} ms"
            )
    say(f"kept in {keep('scale', list(figures(results)))}")


def figures(results: Results) -> Iterator[Measured]:
    """Compare with the targets."""
    one, two = statistics.median(results.one), statistics.median(results.two)
    aim = f"≥ {TWO_PROCESSES:g} × one"
    yield Measured("events/s, two processes", two, "1/s", "one process", one, aim, two / one >= TWO_PROCESSES)
    for name, place, limit in (("p50", P50, MEDIAN_MS), ("p99", P99, WORST_MS)):
        latency = statistics.median(classes[place] for classes in results.classes)
        title = f"latency at half load ({one / 2:.0f} events/s), {name}"
        yield Measured(title, latency, "ms", target=f"≤ {limit:g} ms", met=latency <= limit)
    commits = statistics.median(results.commits)
    yield Measured("commits per event", commits, "", target=f"≤ {TRANSACTIONS:g}", met=commits <= TRANSACTIONS)
    yield Measured("write-ahead log per event", statistics.median(results.wal), "bytes")


if __name__ == "__main__":
    main()
