"""The same job on FastStream: inbox, upsert and outbox in one plain transaction, confirmed publish, outbox delete."""

import asyncio
import os

import aiohttp
import asyncpg
from faststream import AckPolicy, FastStream
from faststream.rabbit import Channel, ExchangeType, RabbitBroker, RabbitExchange, RabbitQueue
from faststream.rabbit.schemas import QueueType

from tests.benchmarks.events import peer_job as job

QUEUE = os.environ["BENCH_QUEUE"]
PREFETCH = int(os.environ["BENCH_PREFETCH"])
broker = RabbitBroker(
    os.environ["PIKE_ECONOMIC_AMQP_URL"],
    default_channel=Channel(prefetch_count=PREFETCH, publisher_confirms=True, on_return_raises=True),
    logger=None,
)
app = FastStream(broker, logger=None)
exchange = RabbitExchange("pike.events", type=ExchangeType.TOPIC, durable=True, declare=False)  # type: ignore[arg-type]
state: dict[str, object] = {}
p = ["$1", "$2", "$3", "$4", "$5", "$6", "$7", "$8"]
INBOX, UPSERT = job.INBOX.format(*p), job.UPSERT.format(*p)
OUTBOX, OUTBOX_DELETE = job.OUTBOX.format(*p), job.OUTBOX_DELETE.format(*p)


@app.on_startup
async def start() -> None:
    """Open the pools."""
    state["pool"] = await asyncpg.create_pool(os.environ["PIKE_ECONOMIC_DATABASE_URL"], min_size=1, max_size=30)
    state["http"] = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64))


@broker.subscriber(
    RabbitQueue(QUEUE, declare=False, durable=True, queue_type=QueueType.QUORUM), ack_policy=AckPolicy.NACK_ON_ERROR
)  # type: ignore[call-arg]
async def handle(event: job.Event) -> None:
    """Do the job."""
    pool, http = state["pool"], state["http"]
    url = f"{os.environ['PIKE_ECONOMIC_LEGACY_URL']}/customers/{event.data.external_number}"
    async with http.get(url, headers={"X-AppSecretToken": "x", "X-AgreementGrantToken": "y"}) as answer:  # type: ignore[attr-defined]
        customer = job.Customer.model_validate_json(await answer.read())
    event_id, body = job.completion(event)
    async with pool.acquire() as connection, connection.transaction():  # type: ignore[attr-defined]
        if await connection.execute(INBOX, event.id) == "INSERT 0 0":
            return
        await connection.execute(UPSERT, *job.values(customer))
        row = await connection.fetchval(OUTBOX, event_id, body)
    await broker.publish(
        body,
        exchange=exchange,
        routing_key="economic.refresh.completed",
        mandatory=True,
        persist=True,
        message_id=event_id,
        content_type="application/cloudevents+json",
    )
    async with pool.acquire() as connection:  # type: ignore[attr-defined]
        await connection.execute(OUTBOX_DELETE, row)


if __name__ == "__main__":
    if os.environ.get("BENCH_UVLOOP"):
        import uvloop

        uvloop.install()
    asyncio.run(app.run())
