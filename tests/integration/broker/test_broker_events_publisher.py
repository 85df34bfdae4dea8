"""The publisher for Pike's services: what it promises while all is well, and what it says when it is not."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import urlsplit, urlunsplit

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from broker_kit import until
from tcp_proxy import TcpProxy

from events import ImportCancelRequested, ImportRequested
from events.codec import CONTENT_TYPE, decode
from events.imports import ImportContinue
from events.publisher import NoListener, NotAccepted, NotConfirmed, Publisher, new_event

pytestmark = pytest.mark.requirement("B18")

WANTED = ImportRequested(entities=("products",))
Taken = Callable[[], Awaitable[AbstractIncomingMessage]]


@pytest.fixture
async def channel(amqp_url: str) -> AsyncIterator[AbstractChannel]:
    """A channel beside the publisher's."""
    connection = await aio_pika.connect(amqp_url)
    yield await connection.channel()
    await connection.close()


@pytest.fixture
async def queue(channel: AbstractChannel) -> AsyncIterator[AbstractQueue]:
    """What stands for the integration: a queue bound to one type."""
    exchange = await channel.declare_exchange("pike.events", "topic", durable=True)
    queue = await channel.declare_queue("integration", durable=True)
    await queue.bind(exchange, "pike.import.requested")
    yield queue
    await channel.queue_delete("integration")
    await channel.exchange_delete("pike.events")


@pytest.fixture
async def pike(amqp_url: str) -> AsyncIterator[Publisher]:
    async with Publisher(amqp_url, source="/pike/tests") as pike:
        yield pike


async def test_published_event_is_persistent_and_reads_as_it_was_made(pike: Publisher, queue: AbstractQueue) -> None:
    event = await pike.publish(WANTED, workspace_id="ws-1", subject="finance", causation_id="click-7")
    message = await queue.get(no_ack=True)
    assert message.message_id == event.id
    assert (message.content_type, message.delivery_mode) == (CONTENT_TYPE, 2)
    assert decode(message.body, message.headers, message.content_type) == event
    assert (event.source, event.workspace_id, event.causation_id) == ("/pike/tests", "ws-1", "click-7")


async def test_event_that_no_queue_takes_is_told_and_the_publisher_goes_on(
    pike: Publisher, queue: AbstractQueue
) -> None:
    with pytest.raises(NoListener, match=r"has not been started on this virtual host yet.*pike-economic run"):
        await pike.publish(ImportCancelRequested(import_id="i-1"), workspace_id="ws-1")
    await pike.publish(WANTED, workspace_id="ws-1", event_id="after")
    assert (await queue.get(no_ack=True)).message_id == "after"


async def test_missing_exchange_is_told_and_a_later_publish_arrives(pike: Publisher, channel: AbstractChannel) -> None:
    with pytest.raises(NoListener, match="has not been started") as caught:
        await pike.publish(WANTED, workspace_id="ws-1", event_id="e-1")
    assert caught.value.event_id == "e-1"
    exchange = await channel.declare_exchange("pike.events", "topic", durable=True)
    queue = await channel.declare_queue(exclusive=True)
    await queue.bind(exchange, "pike.#")
    await pike.publish(WANTED, workspace_id="ws-1")


async def test_many_tasks_share_one_publisher_and_one_id_twice_is_two_confirmed_copies(
    pike: Publisher, queue: AbstractQueue, channel: AbstractChannel
) -> None:
    ids = [f"e-{number}" for number in range(200)] + ["e-7"]
    await asyncio.gather(*(pike.publish(WANTED, workspace_id="ws-1", event_id=event_id) for event_id in ids))
    got = [(await queue.get(no_ack=True)).message_id for _ in ids]
    assert sorted(filter(None, got)) == sorted(ids)


async def test_lost_connection_is_repeated_under_the_same_id(proxy: TcpProxy, queue: AbstractQueue) -> None:
    async with Publisher(proxy.url, source="/pike/tests") as pike:
        await pike.publish(WANTED, workspace_id="ws-1", event_id="before")
        proxy.freeze()
        publishing = asyncio.create_task(pike.publish(WANTED, workspace_id="ws-1", event_id="during"))
        await asyncio.sleep(0)
        proxy.refuse()
        proxy.cut()
        proxy.thaw()
        seen = proxy.accepted
        proxy.refuse(False)
        await publishing
        assert proxy.accepted > seen
    got = [(await queue.get(no_ack=True)).message_id for _ in range(2)]
    assert got == ["before", "during"]


async def test_silent_broker_is_a_doubt_that_names_the_way_out(proxy: TcpProxy, queue: AbstractQueue) -> None:
    async with Publisher(proxy.url, source="/pike/tests", timeout_s=0.6) as pike:
        await pike.publish(WANTED, workspace_id="ws-1")
        proxy.freeze()
        with pytest.raises(NotConfirmed, match=r"e-2 within 0\.6 s.*again with the same id"):
            await pike.publish(WANTED, workspace_id="ws-1", event_id="e-2")
        proxy.thaw()


async def test_nobody_at_the_address_is_a_doubt_with_its_reason() -> None:
    async with Publisher("amqp://guest:secret-word@127.0.0.1:1/", source="/pike/tests", timeout_s=0.3) as pike:
        with pytest.raises(NotConfirmed, match=r"127\.0\.0\.1:1 did not confirm .*Connect call failed") as caught:
            await pike.publish(WANTED, workspace_id="ws-1")
    assert "secret-word" not in str(caught.value) + repr(pike)


@pytest.mark.parametrize(
    ("change", "sentence"), [("login", "refused the login"), ("vhost", "does not open the virtual")]
)
async def test_wrong_address_is_told_at_once(amqp_url: str, change: str, sentence: str) -> None:
    parts = urlsplit(amqp_url)
    if change == "login":
        parts = parts._replace(netloc=f"guest:secret-word@{parts.netloc.rpartition('@')[2]}")
    else:
        parts = parts._replace(path="/no-such-host")
    async with Publisher(urlunsplit(parts), source="/pike/tests") as pike:
        with pytest.raises(NotAccepted, match=sentence) as caught:
            await pike.publish(WANTED, workspace_id="ws-1")
    assert "secret-word" not in str(caught.value)


async def test_what_the_integration_would_not_read_is_refused_before_it_is_sent(pike: Publisher) -> None:
    with pytest.raises(NotAccepted, match='"workspaceid" must be'):
        await pike.publish(WANTED, workspace_id="two words")
    with pytest.raises(NotAccepted, match="is not an event that services publish"):
        await pike.publish(ImportContinue(import_id="i-1"), workspace_id="ws-1")


async def test_cancelled_publish_is_cancelled_and_not_repeated(proxy: TcpProxy, queue: AbstractQueue) -> None:
    async with Publisher(proxy.url, source="/pike/tests") as pike:
        await pike.publish(WANTED, workspace_id="ws-1")
        proxy.freeze()
        publishing = asyncio.create_task(pike.send(new_event(WANTED, source="/pike/tests", workspace_id="ws-1")))
        await until(lambda: bool(pike._turns), "the publish under way")
        publishing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await publishing
        proxy.thaw()
