"""Memory of one worker over many events: does it grow? ``--events 1000000`` is the run that counts, and takes a while.

The queue is kept filled a little ahead of the worker. The process's resident memory is read after each hundredth of the
events; growth is the highest of the last tenth over the highest of the tenth before the half.
"""

import argparse
import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.benchmarks.events.counting import counted
from tests.benchmarks.events.stage import Subject, api, environment_of, fill, prepare, requests, running, subjects
from tests.benchmarks.results_file import Measured, keep
from worker.servers import provide

GROWTH = 0.05
MOST_MB = 200.0
CHUNK = 2000
AHEAD = 6000


def arguments(options: Sequence[str]) -> argparse.Namespace:
    """Read the section's options."""
    parser = argparse.ArgumentParser(prog="make bench SECTION=memory ARGS=…", description=__doc__)
    parser.add_argument("--events", type=int, default=50_000, help="requests in all")
    parser.add_argument("--workspaces", type=int, default=50, help="workspaces that the requests come from")
    return parser.parse_args(options)


def resident_mb(pid: int) -> float:
    """Return a process's resident memory, by Linux' account."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))


async def measure(url: str, subject: Subject, events: int, workspaces: int, say: Callable[[str], None]) -> list[float]:
    """Return resident memory in MB after each hundredth of the events."""
    found: list[float] = []
    async with counted(url) as count, running(subject) as (process,):
        filling = asyncio.create_task(keep_filled(url, subject, events, workspaces, lambda: count.total))
        try:
            for percent in range(1, 101):
                await count.reach(events * percent // 100)
                del count.samples[:]
                found.append(resident_mb(process.pid))
                if percent % 10 == 0:
                    say(f"{events * percent // 100:10,} events   {found[-1]:6.1f} MB")
        finally:
            filling.cancel()
    return found


async def keep_filled(url: str, subject: Subject, events: int, workspaces: int, done: Callable[[], int]) -> None:
    """Publish the requests in chunks, so that the queue never holds many."""
    sent = 0
    while sent < events:
        if sent - done() < AHEAD:
            chunk = min(CHUNK, events - sent)
            await fill(url, subject, requests(chunk, workspaces))
            sent += chunk
        else:
            await asyncio.sleep(0.1)


def main(options: Sequence[str] = (), say: Callable[[str], None] = print) -> None:
    """Run, and keep how memory went."""
    args = arguments(options)
    with provide(announce=say, durable=True) as servers, api(0) as address:
        environment = environment_of(servers, address)
        asyncio.run(prepare(environment, args.workspaces))
        subject = next(each for each in subjects(Path("-"), environment) if each.name == "worker")
        found = asyncio.run(measure(servers.amqp_url, subject, args.events, args.workspaces, say))
    say(f"kept in {keep('memory', list(figures(found, args.events)))}")


def figures(found: Sequence[float], events: int) -> Iterator[Measured]:
    """Compare with the targets."""
    half, end = max(found[40:50]), max(found[90:])
    what = f"after {events:,} events"
    yield Measured(f"resident memory {what}", end, "MB", target=f"≤ {MOST_MB:g} MB", met=end <= MOST_MB)
    growth = end / half - 1
    yield Measured(
        f"growth over the second half of {events:,}", growth * 100, "%", target=f"≤ {GROWTH:.0%}", met=growth <= GROWTH
    )


if __name__ == "__main__":
    main()
