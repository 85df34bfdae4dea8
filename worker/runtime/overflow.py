"""What is done with deliveries of a workspace that has more under way than its share, and with those set aside before.

A message that would have to wait behind too many of its own workspace is written to the overflow (one statement for
many) and only then acknowledged: RabbitMQ's queue stays short, and those of others come through. Whenever there is
room, messages are taken from the overflow, evenly from all workspaces, and given the same life as any delivery; the
row goes when the delivery has ended. Nothing is claimed before it has its turn, so waiting spends no attempt.

Crash table. Between writing and acknowledging: it comes again, and the inbox knows it. While at work: the row's lease
runs out and another process takes it. Between the outcome and the row's end: taken again, and the inbox knows it.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Protocol

import structlog

from events.attributes import WORKSPACE
from worker import failpoints
from worker.broker.delivery import Ack, Arrival, Delivery, Lane, Move, Process, PutAway, Reject, Verdict
from worker.broker.publisher import Outgoing
from worker.broker.topology import INTERNAL_EXCHANGE, LANE_QUEUES
from worker.clock import Clock
from worker.errors import BrokerError, StoreUnavailable
from worker.loop import end_tasks
from worker.runtime.coalescing import Coalescer
from worker.runtime.identity import texts
from worker.runtime.lane_turns import LaneTurns
from worker.runtime.pace import Pace
from worker.runtime.setting_aside import SettingAside
from worker.runtime.shares import Shares
from worker.store import overflow
from worker.store.overflow import OverflowRow, SetAside
from worker.store.pool import Database
from worker.telemetry import metrics

log = structlog.get_logger()

MANY = 200
LEASE_S = 120.0
POLL_S = 2.0
"""How often it is looked whether something is due when nothing is known to be: another worker's, or a repeat."""
STORE_PAUSE_S = 1.0
AGAIN_S = 30.0
"""When a message whose work ended in a way that nobody expected is tried again."""
_WORKSPACE = re.compile(rb'"workspaceid"\s*:\s*"(' + WORKSPACE.pattern.encode() + rb')"')
_HEADERS = ("cloudEvents_workspaceid", "cloudEvents:workspaceid")


class Sender(Protocol):
    """The publisher, as far as it is needed here."""

    async def publish(self, msg: Outgoing) -> None:
        """Return when the broker has it safely."""
        ...


def workspace_of(delivery: Delivery) -> str:
    """Return whose delivery it seems to be, without reading it properly; empty when that cannot be told.

    Good enough to take turns by. Whose it is, is decided when it is decoded.
    """
    for name in _HEADERS:
        value = delivery.headers.get(name)
        if isinstance(value, str) and WORKSPACE.fullmatch(value):
            return value
    match = _WORKSPACE.search(delivery.body)
    return match[1].decode() if match else ""


class Overflow:
    """Between consumer and ``process``: ``receive`` is called by the consumer, ``run`` works off what was set aside."""

    def __init__(
        self,
        database: Database,
        process: Process,
        sender: Sender,
        clock: Clock,
        pace: Pace,
        limits: Mapping[Lane, int],
    ) -> None:
        """``limits``: how many deliveries of a lane are at work at once. Lanes without one know no turns."""
        self._database = database
        self._process = process
        self._sender = sender
        self._clock = clock
        self._pace = pace
        self._lanes = {lane: LaneTurns(limit, pace, clock) for lane, limit in limits.items()}
        self._tasks: set[asyncio.Task[None]] = set()
        self._leased: set[int] = set()
        self._stopping = False
        self._aside = SettingAside(self._put, self._was_kept)
        self._puts = Coalescer[SetAside, None](self._put_many, key=id, limit=MANY, shared=(StoreUnavailable,))
        self._deletes = Coalescer[int, None](
            self._delete_many, key=lambda row_id: row_id, limit=MANY, shared=(StoreUnavailable,)
        )

    @property
    def at_work(self) -> int:
        """How many messages from the overflow are being worked on, or wait for their turn."""
        return len(self._tasks)

    def divert(self, delivery: Delivery, arrival: Arrival) -> bool:
        """Take a delivery on whose workspace has so many waiting here that it is to be set aside at once."""
        lane = self._lanes.get(delivery.lane)
        workspace = workspace_of(delivery) if lane is not None else ""
        if lane is None or not workspace or not lane.shares.crowded(workspace):
            return False
        self._aside.add(_row_for(workspace, delivery), arrival)
        return True

    def _was_kept(self, message: SetAside) -> None:
        metrics.set_aside(message.lane).inc()
        self._lanes[Lane(message.lane)].set_aside(message.workspace_id)

    async def receive(self, delivery: Delivery) -> Verdict:
        """Work on a delivery when it is its workspace's turn, or set it aside and be done with it."""
        lane = self._lanes.get(delivery.lane)
        if lane is None:
            return await self._process(delivery)
        workspace = workspace_of(delivery)
        if workspace and lane.shares.crowded(workspace) and await self._set_aside(workspace, delivery):
            return Ack()
        lane.came(workspace)
        async with lane.shares.turn(workspace):
            return await self._process(delivery)

    async def _set_aside(self, workspace: str, delivery: Delivery) -> bool:
        """Write the message down; False when that cannot be, and it has to wait for its turn here."""
        message = _row_for(workspace, delivery)
        try:
            await self._puts(message)
        except StoreUnavailable as exc:
            log.warning("overflow.store_away", error=str(exc))
            return False
        except Exception as exc:  # something in it that Postgres cannot hold, such as a zero byte in a header
            log.warning("overflow.not_kept", message_id=delivery.message_id, error=repr(exc))
            return False
        failpoints.hit("overflow.kept")
        self._was_kept(message)
        return True

    async def _put(self, messages: Sequence[SetAside]) -> None:
        async with self._database.connection("set aside") as connection:
            await overflow.put(connection, messages)

    async def _put_many(self, messages: Sequence[SetAside]) -> list[None]:
        await self._put(messages)
        return [None] * len(messages)

    async def _delete_many(self, ids: Sequence[int]) -> list[None]:
        async with self._database.connection("overflow settled") as connection:
            await overflow.delete(connection, ids)
        return [None] * len(ids)

    # --- working off -----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Work off what is in the overflow until ``stop``; survives Postgres being away."""
        feeding = [
            asyncio.create_task(self._feed(lane, state), name=f"overflow-{lane.value}")
            for lane, state in self._lanes.items()
        ]
        try:
            await asyncio.gather(*feeding)
        finally:
            await end_tasks(*feeding)

    async def _feed(self, lane: Lane, state: LaneTurns) -> None:
        while not self._stopping:
            room = state.shares.room()
            if room < max(1, state.shares.limit // 2):
                await self._wait(state, POLL_S)
                continue
            try:
                rows = await self._take(lane, state.shares, room)
            except StoreUnavailable as exc:
                log.warning("overflow.store_away", error=str(exc))
                await self._clock.sleep(STORE_PAUSE_S)
                continue
            for row in rows:
                self._begin(lane, state, row)
            if not rows:
                await self._wait(state, POLL_S)

    async def _take(self, lane: Lane, shares: Shares, room: int) -> list[OverflowRow]:
        without = {*shares.full(), *self._pace.paused()}
        async with self._database.connection("overflow") as connection:
            return await overflow.take(connection, lane.value, room, without=sorted(without), lease_s=LEASE_S)

    async def _wait(self, state: LaneTurns, seconds: float) -> None:
        state.wake.clear()
        try:
            await asyncio.wait_for(state.wake.wait(), seconds)
        except TimeoutError:
            return

    def _begin(self, lane: Lane, state: LaneTurns, row: OverflowRow) -> None:
        state.taken(row.message.workspace_id)
        self._leased.add(row.id)
        task = asyncio.create_task(self._work(lane, state, row), name=f"overflow-{lane.value}")
        self._tasks.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            state.wake.set()

        task.add_done_callback(ended)

    async def _work(self, lane: Lane, state: LaneTurns, row: OverflowRow) -> None:
        """Give it the life of a delivery; whatever goes wrong, the row stays and its lease runs out."""
        delivery = _delivery(lane, row.message)
        try:
            async with state.shares.turn(row.message.workspace_id):
                verdict = await self._process(delivery)
        except Exception as exc:
            log.exception("overflow.process_raised", message_id=delivery.message_id)
            verdict = PutAway(AGAIN_S, f"unexpected {type(exc).__name__}")
        try:
            await self._settle(row, verdict)
        except (StoreUnavailable, BrokerError) as exc:
            log.warning("overflow.later", message_id=delivery.message_id, error=str(exc))

    async def _settle(self, row: OverflowRow, verdict: Verdict) -> None:
        match verdict:
            case PutAway(delay_s, _, headers):
                await self._later([(row.id, delay_s, dict(headers))])
            case Reject(reason):
                log.warning("overflow.rejected", message_id=row.message.message_id, reason=reason)
                await self._later([(row.id, AGAIN_S, {})])
            case Move(lane, _, headers):
                await self._sender.publish(_outgoing(row, lane, headers))
                await self._deletes(row.id)
            case Ack():
                failpoints.hit("overflow.done")
                await self._deletes(row.id)
        self._leased.discard(row.id)

    async def _later(self, waits: Sequence[tuple[int, float, dict[str, str]]]) -> None:
        async with self._database.connection("overflow later") as connection:
            await overflow.later(connection, waits)

    # --- ending ----------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Take nothing more; what is at work goes on."""
        self._stopping = True
        for state in self._lanes.values():
            state.wake.set()

    async def close(self) -> None:
        """Break off what is still at work and give what was taken to the other workers at once."""
        self.stop()
        await self._aside.close()
        await end_tasks(*self._tasks)
        if self._leased:
            try:
                async with asyncio.timeout(STORE_PAUSE_S):
                    await self._later([(row_id, 0.0, {}) for row_id in self._leased])
            except (StoreUnavailable, TimeoutError) as exc:
                log.warning("overflow.not_given_back", messages=len(self._leased), error=str(exc))


def _row_for(workspace: str, delivery: Delivery) -> SetAside:
    return SetAside(
        lane=delivery.lane.value,
        workspace_id=workspace,
        routing_key=delivery.routing_key,
        message_id=delivery.message_id,
        content_type=delivery.content_type,
        headers=texts(delivery.headers),
        body=delivery.body,
    )


def _delivery(lane: Lane, message: SetAside) -> Delivery:
    return Delivery(
        body=message.body,
        headers=message.headers,
        content_type=message.content_type,
        message_id=message.message_id,
        routing_key=message.routing_key,
        lane=lane,
        redelivered=False,
        delivery_count=0,
    )


def _outgoing(row: OverflowRow, lane: Lane, headers: Mapping[str, str]) -> Outgoing:
    message = row.message
    return Outgoing(
        exchange=INTERNAL_EXCHANGE,
        routing_key=LANE_QUEUES[lane],
        body=message.body,
        message_id=message.message_id or f"overflow-{row.id}",
        headers={**message.headers, **headers},
        content_type=message.content_type or "",
    )
