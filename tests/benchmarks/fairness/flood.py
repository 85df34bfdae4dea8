"""One workspace publishes a great many requests at a steady rate, confirmed; prints the seconds that it took.

Everything is encoded beforehand, and the process has the lowest priority: publishers have machines of their own, and
here this one should not take the worker's processor time. Says ``ready`` and waits for a line before it begins.
"""

import asyncio
import os
import sys
import time

import aio_pika
from aiormq.channel import Channel
from pamqp.commands import Basic

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
    async with await aio_pika.connect(os.environ["PIKE_ECONOMIC_AMQP_URL"]) as connection:
        channel = await (await connection.channel(on_return_raises=True)).get_underlay_channel()
        assert isinstance(channel, Channel)
        ready = [_encoded(channel, n, request(1 + n % 2000, workspace)) for n in range(count)]
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        began, sent, on_their_way = time.perf_counter(), 0, list[tuple[batch.Confirms, int]]()
        while sent < count:
            due = min(count, int((time.perf_counter() - began) * rate) + 1)
            while on_their_way and due - on_their_way[0][1] > IN_FLIGHT:
                await _confirmed(on_their_way.pop(0)[0])
            if due > sent:
                on_their_way.append((await batch.send(channel, ready[sent:due]), sent))
                sent = due
            await asyncio.sleep(EVERY_S)
        for confirms, _ in on_their_way:
            await _confirmed(confirms)
        print(f"{time.perf_counter() - began:.2f}", flush=True)


def _encoded(channel: Channel, number: int, body: bytes) -> batch.Encoded:
    properties = Basic.Properties(
        content_type="application/cloudevents+json", message_id=f"flood-{number}", delivery_mode=2
    )
    return batch.encode(channel, "pike.events", "pike.refresh.requested", body, properties)


async def _confirmed(confirms: batch.Confirms) -> None:
    await confirms.over
    failed = [error for error in confirms.end() if error is not None]
    if failed:
        raise RuntimeError(f"{len(failed)} of the flood were not confirmed: {failed[0]!r}")


if __name__ == "__main__":
    run(main(int(sys.argv[1]), sys.argv[2], float(sys.argv[3])))
