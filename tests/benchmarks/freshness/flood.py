"""e-conomic after an import of its own: so many webhook calls in one second, each answer timed. A process of its own.

Arguments: address, secret, calls, entities. Prints one JSON object: statuses, and the times to the answers in ms.
"""

import asyncio
import json
import sys
import time
from collections import Counter

import aiohttp

from worker.handlers.hooks.keeping import HEADER

CONNECTIONS = 100


async def flood(url: str, secret: str, calls: int, entities: int) -> dict[str, object]:
    """Call within one second; a call is timed from when it was due, so that a late client does not flatter."""
    statuses: Counter[str] = Counter()
    times: list[float] = []
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(headers={HEADER: secret}, connector=connector) as session:
        began = time.perf_counter() + 0.2

        async def call(index: int) -> None:
            due = began + index / calls
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            number = 1 + index % entities
            try:
                async with session.post(url, data=f"event=CUSTOMER_UPDATED\nold={number}\nnew={number}") as answer:
                    await answer.read()
                    statuses[str(answer.status)] += 1
            except aiohttp.ClientError as exc:
                statuses[type(exc).__name__] += 1
            times.append((time.perf_counter() - due) * 1000)

        await asyncio.gather(*(call(index) for index in range(calls)))
    return {"statuses": statuses, "times_ms": sorted(times)}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(flood(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))))
