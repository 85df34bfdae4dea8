"""Calling a consumer for each message as it is read, without a task of the channel's for each.

aiormq makes a coroutine of every consumer's callback, and a task of that for each message, about which it keeps books
(``Channel._on_deliver_frame``, aiormq 7.2). Ours only hands the message over, which costs less than the task would.
A newer aiormq that does not bear that shows no answers, and every section fails. The worker itself has
``broker/deliveries.py`` instead.
"""

from collections.abc import Callable
from typing import Any, cast

from aiormq.abc import ConsumerCallback, DeliveredMessage
from aiormq.channel import Channel

HandOver = Callable[[DeliveredMessage], None]


class _NoTask:
    """Stands for the task that is not made."""

    def add_done_callback(self, _callback: object) -> None:
        """Nobody has to wait for what is over."""


_NO_TASK = _NoTask()


async def consume(channel: Channel, queue: str, hand_over: HandOver, **options: Any) -> str:
    """Consume from the queue, with ``basic_consume``'s options; returns the consumer's tag.

    ``hand_over`` may not wait and may not raise: it runs in the channel's reader.
    """

    def handed_over(message: DeliveredMessage) -> _NoTask:
        hand_over(message)
        return _NO_TASK

    _expect_no_task(channel)
    consumer = cast("ConsumerCallback", handed_over)
    tag = str((await channel.basic_consume(queue, consumer, **options)).consumer_tag)
    if tag in channel.consumers:
        channel.consumers[tag] = consumer  # in place of aiormq's coroutine around it, which had a task until now
    return tag


def _expect_no_task(channel: Channel) -> None:
    """Let the channel take what stands for a task as one."""
    if "create_task" in vars(channel):
        return  # it consumed before
    make_task = channel.create_task

    def create_task(work: Any) -> Any:
        return work if work is _NO_TASK else make_task(work)

    channel.create_task = create_task  # type: ignore[assignment, method-assign]
