"""Metrics about what all workers share, read from Postgres when somebody asks, at most every few seconds.

Every worker answers the same figures here: take the maximum over workers, not the sum.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from worker.clock import Clock
from worker.errors import StoreUnavailable
from worker.insight.room import LANES
from worker.store import figures
from worker.store.pool import Database
from worker.telemetry import metrics

FRESH_S = 5.0

# name → (help, labels)
TABLE: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "unfinished_events": ("Events in the inbox without an outcome, by state.", ("state",)),
    "oldest_unfinished_event_seconds": ("Age of the oldest such event.", ("state",)),
    "lane_unfinished_events": ("Events in the inbox that workers still have to do, by lane.", ("lane",)),
    "lane_oldest_event_seconds": ("Age of the oldest of them; 0 when there is none.", ("lane",)),
    "queue_messages": ("Messages in the lane's queue, as sampled every half minute.", ("lane",)),
    "overflow_messages": ("Messages set aside because their workspace has more than its share, by lane.", ("lane",)),
    "overflow_workspaces": ("Workspaces that have messages there.", ("lane",)),
    "overflow_oldest_message_seconds": ("Age of the oldest of them; 0 when there is none.", ("lane",)),
    "workers": ("Worker processes: running, stopping, gone (without stopping in order, last 15 minutes).", ("state",)),
    "dead_letters": ("Open dead letters, by cause.", ("cause",)),
    "unknown_outcomes": ("Writes to e-conomic of which nobody knows what became of them.", ()),
    "oldest_unknown_outcome_seconds": ("Age of the oldest of them; 0 when there is none.", ()),
    "outbox_messages": ("Messages that wait to be published.", ()),
    "outbox_oldest_message_seconds": ("Age of the oldest of them.", ()),
    "outbox_unheard_messages": ("Answers that wait because no queue is bound to their type.", ()),
    "held_agreements": ("Agreements that nobody may call now, by reason: breaker, rate.", ("because",)),
    "breakers": ("Breakers that are not closed: open, half_open (the next event tries).", ("state",)),
    "revoked_connections": ("Workspaces that wait for a reconnect.", ()),
    "hooks": (
        "Webhooks as last found: on, taken (somebody else's), no_access, not_offered, off (disconnected meanwhile).",
        ("state",),
    ),
    "pending_hints": ("Records that webhooks named and that wait to be read again.", ()),
    "oldest_pending_hint_seconds": ("Age of the oldest of them; 0 when there is none.", ()),
    "sync_overdue_seconds": ("How long the schedule's next round of some connection is overdue, at worst.", ()),
    "running_imports": ("Imports under way.", ()),
    "replayed_letters": ("Letters of replay campaigns of the last day, by how they ended.", ("state",)),
    "reconcile_lost": ("What the last zero-loss proof over everything called lost; must be 0.", ()),
    "reconcile_double": ("What the last zero-loss proof over everything called double; must be 0.", ()),
    "reconcile_age_seconds": ("Time since that proof.", ()),
}
PREFIX = "pike_economic_"


@dataclass(eq=False)
class SharedFigures(Collector):
    """Collects the table. ``refresh`` asks Postgres; ``collect`` gives what was seen last."""

    database: Database
    clock: Clock
    _rows: list[tuple[str, tuple[str, ...], float]] = field(default_factory=list)
    _seen_at: float = float("-inf")

    async def refresh(self) -> None:
        """Read anew, unless that was done just now. No figures while Postgres is away: better none than old ones."""
        if self.clock.monotonic() - self._seen_at < FRESH_S:
            return
        try:
            async with self.database.connection("figures") as connection:
                self._rows = list(_rows(await figures.read(connection, LANES)))
            metrics.STORE_UP.set(1)
        except StoreUnavailable:
            self._rows = []
            metrics.STORE_UP.set(0)
        self._seen_at = self.clock.monotonic()

    def describe(self) -> Iterable[Metric]:
        """Nothing up front: names are fixed by the table."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield every family, those without samples too."""
        for name, (text, labels) in TABLE.items():
            family = GaugeMetricFamily(PREFIX + name, text, labels=labels)
            for row_name, values, value in self._rows:
                if row_name == name:
                    family.add_metric(values, value)
            yield family


def _rows(seen: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, ...], float]]:
    for name, (_, labels) in TABLE.items():
        value = seen.get(name)
        if labels:
            for label, number in (value or {}).items():
                yield name, (label,), float(number)
        elif value is not None:
            yield name, (), float(value)
