"""The operations room: everything an operator looks at first, as plain data for ``status`` and the console."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from worker.broker.delivery import Lane
from worker.runtime.tally import NOT_FINAL
from worker.store import operations
from worker.store.overview import overview
from worker.store.pool import Connection
from worker.telemetry.metrics import WAITS

LANES = tuple(lane.value for lane in Lane)
SPAN_S = 15 * 60.0
"""What rates and latencies are about, unless asked otherwise."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Critical time in seconds, from first receipt to final outcome, estimated from classes; ``None``: no events."""

    p50_s: float | None
    p95_s: float | None
    p99_s: float | None


async def room(connection: Connection, span_s: float = SPAN_S) -> dict[str, Any]:
    """Return the whole room. Stable keys; times aware, ages in seconds, rates per minute."""
    work = await operations.work(connection, span_s)
    critical = await operations.critical_times(connection, span_s)
    return {
        **await overview(connection, LANES),
        "span_s": span_s,
        "work": [
            {"event_type": kind, **_rates(outcomes, span_s), **asdict(latency(critical.get(kind, ())))}
            for kind, outcomes in work.items()
        ],
    }


async def history(connection: Connection, span_s: float = 3600.0) -> dict[str, Any]:
    """Return what charts draw: queue depth and oldest age per lane, and deliveries by outcome, over time."""
    return {
        "lanes": await operations.lane_history(connection, span_s),
        "throughput": await operations.throughput_history(connection, span_s),
    }


def latency(counts: Sequence[int]) -> Latency:
    """Return percentiles of counts by class (``metrics.WAITS``)."""
    return Latency(*(percentile(counts, share) for share in (0.5, 0.95, 0.99)))


def percentile(counts: Sequence[int], share: float) -> float | None:
    """Return the value below which this share lies, evenly spread inside its class; ``None`` of nothing.

    Beyond the last bound nothing is known: then it is that bound.
    """
    wanted, seen = sum(counts) * share, 0
    if not wanted:
        return None
    for place, count in enumerate(counts):
        if count and seen + count >= wanted:
            if place == len(WAITS):
                break
            below = WAITS[place - 1] if place else 0.0
            return below + (WAITS[place] - below) * (wanted - seen) / count
        seen += count
    return float(WAITS[-1])


def _rates(outcomes: Mapping[str, int], span_s: float) -> dict[str, Any]:
    final = sum(count for outcome, count in outcomes.items() if outcome not in NOT_FINAL)
    return {
        "per_minute": round(final * 60 / span_s, 2),
        "ended": final - outcomes.get("dead", 0),
        "dead": outcomes.get("dead", 0),
        "again": sum(outcomes.get(outcome, 0) for outcome in ("retry", "snooze")),
    }
