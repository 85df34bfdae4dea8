"""What the others feel when one workspace publishes fifty thousand requests: their p95 from publish to completion,
at a steady modest rate, without the flood and with it.

The worker is the product's own with the one-GET handler of section ``events``. The flood is published while it runs,
twice as fast as one process works; times count until its last request is completed. Everything (broker,
Postgres, API stub, worker, publishers, measuring) shares this machine.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiormq.abc import DeliveredMessage

from events.codec import CONTENT_TYPE
from tests.benchmarks.events.probe import Sender, answers, sender
from tests.benchmarks.events.stage import Subject, api, end, environment_of, prepare, request, running
from tests.benchmarks.results_file import Measured, keep
from worker.loop import run
from worker.servers import provide

FLOODER = "bench-0"
_OF_THE_FLOODER = f'"workspaceid":"{FLOODER}"'.encode()
LIMIT_S = 600.0
TARGET = 2.0
OURS = (sys.executable, "-m", "tests.benchmarks.events.ours")


@dataclass
class Seen:
    """Completions as they arrive: when each request was answered, and how often."""

    answered: dict[str, float] = field(default_factory=dict)
    times: Counter[str] = field(default_factory=Counter)
    messages: set[str] = field(default_factory=set)
    flood: int = 0

    def note(self, request_id: str, at: float, message: DeliveredMessage) -> None:
        """Take note of one completion; the same message again is the same answer."""
        answer_id = str(message.header.properties.message_id)
        if answer_id in self.messages:
            return
        self.messages.add(answer_id)
        self.times[request_id] += 1
        self.answered[request_id] = at
        self.flood += _OF_THE_FLOODER in message.body


class Others:
    """Small workspaces that publish one request after the other, evenly spread, until told to stop."""

    def __init__(self, to: Sender, workspaces: int, rate: float) -> None:
        self._to = to
        self._workspaces = workspaces
        self._rate = rate
        self.published: dict[str, float] = {}

    async def publish(self) -> None:
        """Publish until cancelled. A publish that is late does not move the next one."""
        began, number = time.perf_counter(), 0
        while True:
            await asyncio.sleep(max(0.0, began + number / self._rate - time.perf_counter()))
            body = request(1 + number % 2000, f"bench-{1 + number % self._workspaces}")
            event_id = json.loads(body)["id"]
            self.published[event_id] = self._to.send(self._to.encoded(event_id, body))
            number += 1


async def answered_all(others: Others, seen: Seen) -> None:
    """Wait until everything that the others published is answered."""
    async with asyncio.timeout(LIMIT_S):
        while not others.published.keys() <= seen.answered.keys():
            await asyncio.sleep(0.02)


def latencies(others: Others, seen: Seen, until: float = float("inf")) -> list[float]:
    """Return milliseconds from publish to completion, of those published before ``until``."""
    return [1000 * (seen.answered[event_id] - at) for event_id, at in others.published.items() if at < until]


@dataclass(frozen=True)
class Round:
    """One run: latencies of the others in milliseconds without and with the flood, and the flood's own figures."""

    alone: list[float]
    beside: list[float]
    first: list[float]
    published_s: float
    flood_s: float
    double: int


async def measure(args: argparse.Namespace, environment: dict[str, str]) -> Round:
    """Start the worker, let the others go, then send the flood beside them."""
    url = environment["PIKE_ECONOMIC_AMQP_URL"]
    worker = Subject("fairness", "pike-economic.work", OURS, environment)
    seen = Seen()
    requests_go = sender(url, "pike.events", "pike.refresh.requested", CONTENT_TYPE)
    async with (
        flooding(args, environment) as flood,
        running(worker, args.processes), answers(url, seen.note), requests_go as to,
    ):  # fmt: skip
        await during(to, args, seen, args.warm_up)
        alone = await during(to, args, seen, args.alone)
        beside = Others(to, args.workspaces, args.rate)
        publishing = asyncio.create_task(beside.publish())
        began = time.perf_counter()
        flood.stdin.write(b"go\n")
        async with asyncio.timeout(LIMIT_S):
            while seen.flood < args.flood:
                await asyncio.sleep(0.1)
        flood_s = time.perf_counter() - began
        published_s = float(await flood.stdout.readline())
        publishing.cancel()
        await asyncio.wait({publishing})
        await answered_all(beside, seen)
    double = sum(count - 1 for count in seen.times.values())
    first = latencies(beside, seen, began + published_s)
    return Round(latencies(alone, seen), latencies(beside, seen), first, published_s, flood_s, double)


@asynccontextmanager
async def flooding(args: argparse.Namespace, environment: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start the flood's publisher, ready to begin when it is sent a line."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.benchmarks.fairness.flood", str(args.flood), FLOODER, str(args.flood_rate),
        env={**os.environ, **environment}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        if await process.stdout.readline() != b"ready\n":
            raise RuntimeError("the flood's publisher did not start")
        yield process
    finally:
        await end(process)


async def during(to: Sender, args: argparse.Namespace, seen: Seen, seconds: float) -> Others:
    """Let the others publish for a while and wait for their answers."""
    others = Others(to, args.workspaces, args.rate)
    publishing = asyncio.create_task(others.publish())
    await asyncio.sleep(seconds)
    publishing.cancel()
    await asyncio.wait({publishing})
    await answered_all(others, seen)
    return others


def percentile(values: Sequence[float], share: int) -> float:
    """Return a percentile of at least two values."""
    return statistics.quantiles(values, n=100)[share - 1]


def arguments(options: Sequence[str]) -> argparse.Namespace:
    """Read the section's options."""
    parser = argparse.ArgumentParser(prog="make bench SECTION=fairness ARGS=…", description=__doc__)
    parser.add_argument("--flood", type=int, default=50_000, help="requests of the one workspace")
    parser.add_argument("--flood-rate", type=float, default=4000, help="of them a second")
    parser.add_argument("--rate", type=float, default=20, help="requests per second of the others together")
    parser.add_argument("--workspaces", type=int, default=20, help="the others")
    parser.add_argument("--latency", type=float, default=50, help="milliseconds that the API takes")
    parser.add_argument("--alone", type=float, default=30, help="seconds without the flood")
    parser.add_argument("--warm-up", type=float, default=5, help="seconds before that, not counted")
    parser.add_argument("--processes", type=int, default=1, help="worker processes")
    parser.add_argument("--rounds", type=int, default=1, help="the median round, by ratio, counts")
    return parser.parse_args(options)


def main(options: Sequence[str] = (), say: Callable[[str], None] = print) -> None:
    """Run, and keep the median round's figures."""
    args = arguments(options)
    rounds = []
    for _ in range(args.rounds):
        with provide(announce=say, durable=True) as servers, api(args.latency) as address:
            environment = {**environment_of(servers, address), "PYTHONPATH": str(Path.cwd())}
            asyncio.run(prepare(environment, args.workspaces + 1))
            rounds.append(run(measure(args, environment)))
    rounds.sort(key=lambda each: percentile(each.beside, 95) / percentile(each.alone, 95))
    say(f"kept in {keep('fairness', figures(rounds[len(rounds) // 2], args))}")


def figures(found: Round, args: argparse.Namespace) -> list[Measured]:
    """Compare the others with themselves."""
    alone, beside = percentile(found.alone, 95), percentile(found.beside, 95)
    where = f"API {args.latency:g} ms, {args.rate:g}/s of {args.workspaces} workspaces"
    return [
        Measured(f"p50 of the others alone, {where}", percentile(found.alone, 50), "ms"),
        Measured(f"p95 of the others alone, {where}", alone, "ms"),
        Measured(f"p50 of the others beside {args.flood} from one", percentile(found.beside, 50), "ms"),
        Measured(
            f"p95 of the others beside {args.flood} from one", beside, "ms", "their p95 alone", alone,
            f"≤ {TARGET:g} × without the flood", beside <= TARGET * alone,
        ),
        Measured("  of these, while the flood was published", percentile(found.first, 95), "ms"),
        Measured("slowest of the others beside the flood", max(found.beside), "ms"),
        Measured("the flood: published", args.flood / found.published_s, "events/s"),
        Measured("the flood: completed", args.flood / found.flood_s, "events/s"),
        Measured("completed more than once", found.double, "events", target="0", met=found.double == 0),
    ]  # fmt: skip


if __name__ == "__main__":
    main()
