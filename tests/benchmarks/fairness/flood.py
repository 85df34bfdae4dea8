"""One workspace publishes a great many requests at a steady rate, confirmed; prints the seconds that it took.

Everything is encoded beforehand, and the process has the lowest priority: publishers have machines of their own, and
here this one should not take the worker's processor time. Says ``ready`` and waits for a line before it begins.
"""

import asyncio
import os
import sys
import time

from events.codec import CONTENT_TYPE
from tests.benchmarks.events.probe import sender
from tests.benchmarks.events.stage import request
from worker.broker import batch
from worker.loop import run

EVERY_S = 0.01
"""A write has what is due by then."""
IN_FLIGHT = 2000
"""Unconfirmed at most: a broker that cannot keep up slows the publisher down."""


async def main(count: int, workspace: str, rate: float) -> None:
    """Publish so many requests, so many a second, and print the seconds it took."""
    os.nice(19)
    url = os.environ["PIKE_ECONOMIC_AMQP_URL"]
    async with sender(url, "pike.events", "pike.refresh.requested", CONTENT_TYPE, confirms=True) as to:
        ready = [to.encoded(f"flood-{n}", request(1 + n % 2000, workspace)) for n in range(count)]
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        began, sent, on_their_way = time.perf_counter(), 0, list[tuple[batch.Confirms, int]]()
        while sent < count:
            due = min(count, int((time.perf_counter() - began) * rate) + 1)
            while on_their_way and due - on_their_way[0][1] > IN_FLIGHT:
                await _confirmed(on_their_way.pop(0)[0])
            if due > sent:
                on_their_way.append((await batch.send(to.channel, ready[sent:due]), sent))
                sent = due
            await asyncio.sleep(EVERY_S)
        for confirms, _ in on_their_way:
            await _confirmed(confirms)
        print(f"{time.perf_counter() - began:.2f}", flush=True)


async def _confirmed(confirms: batch.Confirms) -> None:
    await confirms.over
    failed = [error for error in confirms.end() if error is not None]
    if failed:
        raise RuntimeError(f"{len(failed)} of the flood were not confirmed: {failed[0]!r}")


if __name__ == "__main__":
    run(main(int(sys.argv[1]), sys.argv[2], float(sys.argv[3])))
