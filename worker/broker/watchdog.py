"""Noticing that we are deaf: connected, consuming as we believe, and yet the broker gives us nothing.

Half-open connections are the heartbeat's business. This is for the rest: client and broker disagree about whether
there is a consumer, which no reconnect logic on our side can see.
"""

from typing import Protocol

import structlog

from worker.broker.declare import QueueState
from worker.broker.delivery import Lane
from worker.broker.topology import LANE_QUEUES
from worker.clock import Clock
from worker.errors import BrokerError, BrokerUnavailable

log = structlog.get_logger(__name__)

STRIKES = 2


class DeafConsumer(BrokerError):
    """The broker says twice in a row that it does not serve us though we consume. Only a fresh process helps."""


class Watched(Protocol):
    """The session, as far as the watchdog needs it."""

    def attached(self, lane: Lane) -> bool:
        """Whether we believe that this lane is consumed."""
        ...

    async def look(self, lane: Lane) -> QueueState:
        """Ask the broker about the lane's queue."""
        ...

    def end(self, reason: str) -> None:
        """Drop the session and open another."""
        ...


class Traffic(Protocol):
    """The consumer, as far as the watchdog needs it."""

    def delivered(self, lane: Lane) -> int:
        """How many deliveries the lane has had."""
        ...

    def has_room(self, lane: Lane) -> bool:
        """Whether the lane could take another delivery."""
        ...


def find_deafness(state: QueueState, *, delivered_since: int, has_room: bool) -> str | None:
    """Return in words why this look says that we are deaf, or ``None``.

    The consumer count is that of all workers together, so with several of them it proves nothing. Messages that
    lie ready while we have room and got none do.
    """
    if state.consumers == 0:
        return f"the broker knows no consumer of {state.name}"
    if state.messages > 0 and has_room and delivered_since == 0:
        return f"{state.messages} messages lie ready in {state.name} and none is delivered"
    return None


async def watch(traffic: Traffic, session: Watched, clock: Clock, interval_s: float) -> None:
    """Look at each lane every ``interval_s``; raise ``DeafConsumer`` after two bad looks in a row.

    Ends the session and returns when the broker does not answer or a queue is gone: reconnecting declares it.
    """
    strikes = dict.fromkeys(Lane, 0)
    delivered = {lane: traffic.delivered(lane) for lane in Lane}
    while True:
        await clock.sleep(interval_s)
        for lane in Lane:
            if not session.attached(lane):
                strikes[lane] = 0
                continue
            try:
                state = await session.look(lane)
            except BrokerUnavailable as exc:
                session.end(f"no answer to the watchdog: {exc}")
                return
            if not state.exists:
                session.end(f"queue {LANE_QUEUES[lane]} is gone")
                return
            before, delivered[lane] = delivered[lane], traffic.delivered(lane)
            deafness = find_deafness(state, delivered_since=delivered[lane] - before, has_room=traffic.has_room(lane))
            # Between the question and the answer somebody may have paused.
            strikes[lane] = strikes[lane] + 1 if deafness and session.attached(lane) else 0
            if deafness and strikes[lane]:
                log.warning("broker.deaf", lane=lane.value, strike=strikes[lane], reason=deafness)
            if strikes[lane] >= STRIKES:
                raise DeafConsumer(f"consuming but not served: {deafness}")
