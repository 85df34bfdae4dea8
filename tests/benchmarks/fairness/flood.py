"""One workspace publishes a great many requests, as fast as one publisher with confirms can; prints the seconds."""

import asyncio
import os
import sys
import time

import aio_pika

from tests.benchmarks.events.stage import request

IN_FLIGHT = 500


async def main(count: int, workspace: str) -> None:
    """Publish so many requests and print the seconds it took."""
    os.nice(10)  # publishers have machines of their own: here they should not take the worker's processor time
    connection = await aio_pika.connect(os.environ["PIKE_ECONOMIC_AMQP_URL"])
    async with connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange("pike.events", ensure=False)
        began = time.perf_counter()
        for start in range(0, count, IN_FLIGHT):
            await asyncio.gather(
                *(
                    exchange.publish(
                        aio_pika.Message(
                            request(1 + n % 2000, workspace), content_type="application/cloudevents+json",
                            message_id=f"flood-{n}", delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                        ),
                        "pike.refresh.requested",
                    )
                    for n in range(start, min(start + IN_FLIGHT, count))
                )
            )  # fmt: skip
        print(f"{time.perf_counter() - began:.2f}", flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
