"""Everything the workers answered, kept in a durable queue of the suite's own so that a broker restart loses none."""

import asyncio
from collections import defaultdict
from contextlib import suppress

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from events.codec import decode

QUEUE = "chaos.answers"
ENDS = {
    "pike.invoice.created": {"economic.invoice.synced", "economic.invoice.sync_failed"},
    "pike.refresh.requested": {"economic.refresh.completed", "economic.refresh.failed"},
}
"""Request type → the answers of which there must be exactly one."""


class Answers:
    """Request id → ids and types of the answers that end it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.ends: dict[str, dict[str, str]] = defaultdict(dict)
        self.other: dict[str, int] = defaultdict(int)

    async def declare(self) -> None:
        """Make the queue before anything is answered."""
        connection = await aio_pika.connect(self._url)
        async with connection:
            channel = await connection.channel()
            queue = await channel.declare_queue(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
            await queue.bind("pike.events", "economic.#")

    async def collect(self) -> None:
        """Read until cancelled; reconnects for as long as it takes."""
        while True:
            with suppress(aio_pika.exceptions.AMQPError, ConnectionError, OSError, RuntimeError):
                connection = await aio_pika.connect(self._url)
                async with connection:
                    channel = await connection.channel()
                    await channel.set_qos(prefetch_count=500)
                    queue = await channel.get_queue(QUEUE)
                    async with queue.iterator() as messages:
                        async for message in messages:
                            await self._take(message)
            await asyncio.sleep(0.5)

    async def _take(self, message: AbstractIncomingMessage) -> None:
        event = decode(message.body, dict(message.headers), message.content_type)
        request = event.correlation_id or ""
        if any(event.type in ends for ends in ENDS.values()):
            self.ends[request][event.id] = event.type
        else:
            self.other[event.type] += 1
        await message.ack()
