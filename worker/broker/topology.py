"""Every exchange, queue and binding the worker needs, as one frozen table; no I/O.

Queue arguments can never be changed once a queue exists, so what may have to vary (length limits, leader
placement) is left to broker policies, and what is fixed here is what the guarantees rest on.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from worker.broker.delivery import Lane

EVENTS_EXCHANGE = "pike.events"
"""The contract's exchange, shared with Pike; declared without arguments so that Pike's own declare matches."""
INTERNAL_EXCHANGE = "pike-economic.internal"
"""The way back into the lanes: from the wait ladder, for replays, import slices and released events."""
DEAD_EXCHANGE = "pike-economic.dead"
DEAD_QUEUE = "pike-economic.dead"
INTERNAL_PREFIX = "pike-economic."
LANE_QUEUES: Mapping[Lane, str] = MappingProxyType(
    {Lane.WORK: "pike-economic.work", Lane.BULK: "pike-economic.bulk", Lane.SOLO: "pike-economic.solo"}
)
DEFAULT_LADDER_S: tuple[float, ...] = (5, 30, 120, 600, 3600)

DELIVERY_LIMIT = 20
"""Deliveries of one copy before the broker takes it away: a message that kills the process ends somewhere."""
NEVER = 1_000_000_000
"""Stands for "no delivery limit": 4.x drops after 20 unless told otherwise, and only 4.x knows -1 for none."""
MAX_ROUTING_KEY = 255


@dataclass(frozen=True, slots=True)
class Exchange:
    """A durable exchange without arguments."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable quorum queue."""

    name: str
    arguments: Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Binding:
    """Messages of this exchange with this routing key reach this queue."""

    queue: str
    exchange: str
    routing_key: str


@dataclass(frozen=True, slots=True)
class Rung:
    """One fixed delay. Its queue and the exchange in front of it carry the same name, which tells the delay."""

    delay_s: float
    name: str


@dataclass(frozen=True, slots=True)
class Topology:
    """The whole table. Build it with ``build_topology``."""

    exchanges: tuple[Exchange, ...]
    queues: tuple[Queue, ...]
    bindings: tuple[Binding, ...]
    rungs: tuple[Rung, ...]
    """Shortest first."""
    types: Mapping[Lane, frozenset[str]] = field(default_factory=dict)

    def rung_for(self, delay_s: float) -> Rung:
        """Return the shortest rung that waits at least ``delay_s`` seconds, or the longest there is."""
        return next((rung for rung in self.rungs if rung.delay_s >= delay_s), self.rungs[-1])

    def return_key(self, routing_key: str, lane: Lane) -> str:
        """Return the routing key under which a waiting copy finds its way back to ``lane``.

        That is the key it came with. A key that no lane is bound for (a type that was removed, a message
        moved by hand) would wait for ever, so such a copy returns under the name of its lane's queue.
        """
        return routing_key if routing_key in self.types[lane] else LANE_QUEUES[lane]


def rung_label(delay_s: float) -> str:
    """Say a delay the way queue names do: ``50ms``, ``5s``, ``2m``, ``1h``."""
    milliseconds = round(delay_s * 1000)
    for size, unit in ((3_600_000, "h"), (60_000, "m"), (1000, "s")):
        if milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"


def build_topology(
    work_types: Iterable[str], bulk_types: Iterable[str], ladder_s: Iterable[float] = DEFAULT_LADDER_S
) -> Topology:
    """Return the table for these event types per lane and these waiting times in seconds.

    Types that begin with ``pike-economic.`` are ours alone and are not bound to the shared exchange.
    Raises ``ValueError`` for a type in both lanes, a wildcard, an over-long key, or no or doubled rungs.
    """
    types = {Lane.WORK: frozenset(work_types), Lane.BULK: frozenset(bulk_types), Lane.SOLO: frozenset[str]()}
    _check_types(types)
    rungs = tuple(Rung(delay_s, f"pike-economic.wait.{rung_label(delay_s)}") for delay_s in sorted(ladder_s))
    if not rungs or rungs[0].delay_s <= 0 or len({rung.name for rung in rungs}) != len(rungs):
        raise ValueError("the wait ladder needs at least one rung, all of them positive and different")
    return Topology(
        exchanges=_exchanges(rungs),
        queues=_queues(rungs),
        bindings=_bindings(types, rungs),
        rungs=rungs,
        types=MappingProxyType(types),
    )


def _check_types(types: Mapping[Lane, frozenset[str]]) -> None:
    both = types[Lane.WORK] & types[Lane.BULK]
    if both:
        raise ValueError(f"in both lanes: {', '.join(sorted(both))}")
    for event_type in types[Lane.WORK] | types[Lane.BULK]:
        if not event_type or len(event_type.encode()) > MAX_ROUTING_KEY or set(event_type) & set("*#"):
            raise ValueError(f"not a routing key of one event type: {event_type!r}")


def _exchanges(rungs: tuple[Rung, ...]) -> tuple[Exchange, ...]:
    # One fanout per rung: the copy keeps its routing key through the wait without any broker-side matching.
    return (
        Exchange(EVENTS_EXCHANGE, "topic"),
        Exchange(INTERNAL_EXCHANGE, "topic"),
        Exchange(DEAD_EXCHANGE, "fanout"),
        *(Exchange(rung.name, "fanout") for rung in rungs),
    )


def _queues(rungs: tuple[Rung, ...]) -> tuple[Queue, ...]:
    lanes = (Queue(name, _dead_lettering(DEAD_EXCHANGE, DELIVERY_LIMIT)) for name in LANE_QUEUES.values())
    waits = (
        Queue(
            rung.name,
            # Expiry is head-first in RabbitMQ: a queue can serve one delay only.
            _dead_lettering(INTERNAL_EXCHANGE, NEVER) | {"x-message-ttl": round(rung.delay_s * 1000)},
        )
        for rung in rungs
    )
    dead = Queue(DEAD_QUEUE, {"x-queue-type": "quorum", "x-delivery-limit": NEVER})
    # The dead queue first: at-least-once dead-lettering holds messages back while its target is missing.
    return (dead, *lanes, *waits)


def _dead_lettering(exchange: str, delivery_limit: int) -> dict[str, str | int]:
    return {
        "x-queue-type": "quorum",
        "x-delivery-limit": delivery_limit,
        "x-dead-letter-exchange": exchange,
        # Without reject-publish the broker silently falls back to at-most-once. It has no other effect here:
        # we set no length limit (a publisher without confirms would lose what is refused).
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


def _bindings(types: Mapping[Lane, frozenset[str]], rungs: tuple[Rung, ...]) -> tuple[Binding, ...]:
    bindings = [Binding(DEAD_QUEUE, DEAD_EXCHANGE, "")]
    bindings += [Binding(rung.name, rung.name, "") for rung in rungs]
    for lane, queue in LANE_QUEUES.items():
        for event_type in sorted(types[lane]):
            if not event_type.startswith(INTERNAL_PREFIX):
                bindings.append(Binding(queue, EVENTS_EXCHANGE, event_type))
            bindings.append(Binding(queue, INTERNAL_EXCHANGE, event_type))
        bindings.append(Binding(queue, INTERNAL_EXCHANGE, queue))
    return tuple(bindings)
