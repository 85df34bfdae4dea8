"""What the consumer hands over (``Delivery``) and the three things that may be done with it (``Verdict``)."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class Lane(StrEnum):
    """Queues of their own, so that a person who waits is never behind somebody's import, nor near what kills."""

    WORK = "work"
    BULK = "bulk"
    SOLO = "solo"
    """For what killed its process twice: one at a time."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message as it came from the broker; nothing in it has been checked."""

    body: bytes
    headers: Mapping[str, object]
    content_type: str | None
    message_id: str | None
    routing_key: str
    lane: Lane
    redelivered: bool
    delivery_count: int
    """Earlier deliveries of this copy that were not acknowledged, by the broker's own count; 0 on the first.

    A copy that comes back from the wait ladder starts at 0 again: attempts are counted in the store.
    """


@dataclass(frozen=True, slots=True)
class Ack:
    """Done with it: the broker may forget the message."""


@dataclass(frozen=True, slots=True)
class PutAway:
    """Not now: a confirmed copy waits on the first rung of at least ``delay_s``, then the original is acknowledged.

    Longer than the longest rung means the longest rung. The copy returns to the same lane byte for byte.
    """

    delay_s: float
    reason: str
    headers: Mapping[str, str] = field(default_factory=dict)
    """Set on the copy, over those that the original came with."""


@dataclass(frozen=True, slots=True)
class Reject:
    """Last resort, for what cannot even be put away: the broker dead-letters it into the dead queue."""

    reason: str


@dataclass(frozen=True, slots=True)
class Move:
    """Into another lane, now: a confirmed copy goes there, then the original is acknowledged."""

    lane: Lane
    reason: str
    headers: Mapping[str, str] = field(default_factory=dict)


Verdict = Ack | PutAway | Move | Reject
Process = Callable[[Delivery], Awaitable[Verdict]]


class Arrival(Protocol):
    """A delivery that somebody has taken on before it was processed."""

    def done(self) -> None:
        """Acknowledge: the message is safe elsewhere."""

    def proceed(self) -> None:
        """Process it after all."""


Divert = Callable[[Delivery, Arrival], bool]
"""Whether a delivery is taken on as it arrives. Called for each, so that it may not take long and does not wait."""


@dataclass(frozen=True, slots=True)
class DeathInfo:
    """Why the broker moved a message to the dead queue, from its ``x-death`` header."""

    reason: str
    """``rejected``, ``delivery_limit``, ``expired``, ``maxlen``, or ``unknown`` without the header."""
    queue: str | None
    count: int
    died_at: datetime | None


HandleDead = Callable[[Delivery, DeathInfo], Awaitable[None]]
