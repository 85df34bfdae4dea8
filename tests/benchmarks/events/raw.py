"""The floor: consume a delivery, publish a completion with confirm, acknowledge. No validation, API or database."""

import asyncio
import os

import aio_pika
from aio_pika.abc import AbstractIncomingMessage


async def main() -> None:
    """Consume until ended."""
    url = os.environ["PIKE_ECONOMIC_AMQP_URL"]
    consuming = await aio_pika.connect(url)
    publishing = await aio_pika.connect(url)
    channel = await consuming.channel()
    await channel.set_qos(prefetch_count=int(os.environ["BENCH_PREFETCH"]))
    out = await publishing.channel(publisher_confirms=True, on_return_raises=True)
    exchange = await out.get_exchange("pike.events", ensure=False)
    queue = await channel.get_queue(os.environ["BENCH_QUEUE"], ensure=False)
    counter = 0

    async def on_message(message: AbstractIncomingMessage) -> None:
        nonlocal counter
        counter += 1
        completion = aio_pika.Message(
            b"x" * 500,
            message_id=f"{os.getpid()}-{counter}",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        await exchange.publish(completion, "economic.refresh.completed", mandatory=True)
        await message.ack()

    await queue.consume(on_message)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
