"""The life of one delivery: process it, obey the verdict. It never ends unsettled while its channel lives."""

import asyncio
from collections.abc import Callable, Mapping
from typing import assert_never

import structlog
from aiormq.abc import DeliveredMessage

from worker import failpoints
from worker.broker.connection import Backoff
from worker.broker.delivery import Ack, Delivery, Move, Process, PutAway, Reject, Verdict
from worker.broker.frames import Uncopyable, waiting_copy
from worker.broker.publisher import PUBLISH_TIMEOUT_S, Publisher
from worker.broker.settling import Settler
from worker.broker.topology import INTERNAL_EXCHANGE, LANE_QUEUES, Topology
from worker.clock import Clock
from worker.deadlines import Deadlines
from worker.errors import BrokerError, Unroutable

log = structlog.get_logger(__name__)

HOLD_LIMIT_S = 25 * 60.0
"""Nothing may hold a delivery longer: after 30 minutes (``consumer_timeout``) the broker closes the channel."""


class Handling:
    """Handles deliveries, any number at once. ``on_damage`` hears when the wait ladder is not there."""

    def __init__(
        self,
        topology: Topology,
        publisher: Publisher,
        *,
        clock: Clock,
        hold_limit_s: float,
        on_damage: Callable[[str], None],
    ) -> None:
        self._topology = topology
        self._publisher = publisher
        self._clock = clock
        self._hold_limit_s = hold_limit_s
        self._on_damage = on_damage
        self._deadlines = Deadlines()

    async def handle(self, process: Process, delivery: Delivery, message: DeliveredMessage, settler: Settler) -> None:
        """Process the message and settle it: acknowledged, put away or rejected. Raises only our cancellation."""
        try:
            await self._obey(await self._judge(process, delivery), delivery, message, settler)
        except Exception:
            # Nothing above should raise. The dead queue is the one place that needs nothing of us.
            log.exception("broker.delivery_failed", lane=delivery.lane.value)
            settler.reject(message.delivery_tag or 0)

    async def _judge(self, process: Process, delivery: Delivery) -> Verdict:
        try:
            with self._deadlines.limit(self._hold_limit_s):
                return await process(delivery)
        except asyncio.CancelledError as exc:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            error: BaseException = exc
        except Exception as exc:
            error = exc
        log.error("broker.process_raised", message_id=delivery.message_id, exc_info=error)
        return PutAway(0, f"unexpected {type(error).__name__}")

    async def _obey(self, verdict: Verdict, delivery: Delivery, message: DeliveredMessage, settler: Settler) -> None:
        failpoints.hit("ack.decided")
        tag = message.delivery_tag or 0
        match verdict:
            case Ack():
                settler.ack(tag)
            case Reject(reason):
                log.warning("broker.rejected", message_id=delivery.message_id, reason=reason)
                settler.reject(tag)
            case PutAway(delay_s, reason, headers):
                key = self._topology.return_key(delivery.routing_key, delivery.lane)
                await self._copy_to(self._topology.rung_for(delay_s).name, key, reason, headers, message, settler)
            case Move(lane, reason, headers):
                log.warning("broker.moved", message_id=delivery.message_id, lane=lane.value, reason=reason)
                await self._copy_to(INTERNAL_EXCHANGE, LANE_QUEUES[lane], reason, headers, message, settler)
            case _:
                assert_never(verdict)

    async def _copy_to(
        self,
        exchange: str,
        key: str,
        reason: str,
        headers: Mapping[str, str],
        message: DeliveredMessage,
        settler: Settler,
    ) -> None:
        message_id = message.header.properties.message_id
        try:
            properties = waiting_copy(message, reason, headers)
        except Uncopyable as exc:
            log.warning("broker.rejected", message_id=message_id, reason=f"cannot be copied: {exc}")
            settler.reject(message.delivery_tag or 0)
            return
        backoff = Backoff()
        # While the original is ours we owe the copy; once the channel is gone, it comes back by itself.
        while settler.alive:
            try:
                await self._publisher.send(exchange, key, message.body, properties, PUBLISH_TIMEOUT_S)
            except Unroutable as exc:
                self._on_damage(f"the wait ladder is damaged: {exc}")
                return
            except BrokerError as exc:
                log.warning("broker.put_away_failed", message_id=message_id, error=str(exc))
                await self._clock.sleep(backoff.next_s())
            else:
                failpoints.hit("retry.copied")
                settler.ack(message.delivery_tag or 0)
                return
