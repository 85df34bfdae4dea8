"""Emptying the broker's dead queue into somewhere better: what handlers could not even put away ends there."""

import asyncio

import structlog
from aio_pika.abc import AbstractConnection
from aiormq.abc import AbstractChannel as UnderlayChannel
from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic

from worker.broker.connection import RPC_TIMEOUT_S, Address, broker_errors, close_quietly, open_channel
from worker.broker.delivery import HandleDead
from worker.broker.frames import to_dead
from worker.broker.topology import DEAD_QUEUE
from worker.errors import BrokerError, StoreUnavailable

log = structlog.get_logger(__name__)


async def drain_dead(connection: AbstractConnection, address: Address, handle: HandleDead, limit: int) -> int:
    """Hand over up to ``limit`` dead messages, oldest first; return how many were handled and acknowledged.

    Each is acknowledged after ``handle`` returned. One whose handling raises stays in the queue and does not hold
    up the others; ``StoreUnavailable`` ends the round and is raised, as is ``BrokerUnavailable``.
    """
    channel = await open_channel(connection, address)
    underlay = await channel.get_underlay_channel()
    handled = 0
    try:
        for _ in range(limit):
            message = await _get(underlay, address)
            if message is None:
                break
            if await _hand_over(message, handle):
                with broker_errors("acknowledging a dead message", address):
                    await underlay.basic_ack(message.delivery_tag or 0)
                handled += 1
    finally:
        await close_quietly(channel)  # returns what is not acknowledged
    return handled


async def _get(channel: UnderlayChannel, address: Address) -> DeliveredMessage | None:
    with broker_errors(f"reading {DEAD_QUEUE}", address):
        async with asyncio.timeout(RPC_TIMEOUT_S):
            message = await channel.basic_get(DEAD_QUEUE)
    return None if isinstance(message.delivery, Basic.GetEmpty) else message


async def _hand_over(message: DeliveredMessage, handle: HandleDead) -> bool:
    delivery, death = to_dead(message)
    try:
        await handle(delivery, death)
    except (StoreUnavailable, BrokerError):
        raise
    except Exception:
        log.exception("broker.dead_not_handled", message_id=delivery.message_id, reason=death.reason)
        return False
    return True
