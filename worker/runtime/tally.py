"""What this process did: since it started, and since somebody last asked."""

from bisect import bisect_left
from dataclasses import dataclass, field

from worker.telemetry import metrics

NOT_FINAL = frozenset(
    {"retry", "snooze", "parked", "fenced", "duplicate", "held", "set apart", "broken off", "store away", "failed"}
)
"""Outcomes of a delivery after which its event still waits for its own, or had it before."""


@dataclass(slots=True)
class Fresh:
    """What was done for one event type. ``critical`` counts final outcomes by class of their critical time."""

    outcomes: dict[str, int] = field(default_factory=dict)
    critical: list[int] = field(default_factory=lambda: [0] * (len(metrics.WAITS) + 1))


@dataclass(slots=True)
class Tally:
    """What this process did since it started, by outcome; shown by ``status`` and metrics."""

    outcomes: dict[str, int] = field(default_factory=dict)
    _fresh: dict[str, Fresh] = field(default_factory=dict)

    def observe(self, lane: str, event_type: str, outcome: str, duration_s: float, age_s: float | None) -> None:
        """Count a delivery that came to an end. ``age_s``: since its event was first received, once claimed."""
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        fresh = self._fresh.setdefault(event_type, Fresh())
        fresh.outcomes[outcome] = fresh.outcomes.get(outcome, 0) + 1
        metrics.consumed(lane, event_type, outcome).inc()
        if age_s is None:
            return
        metrics.process_duration(lane, event_type).observe(duration_s)
        if outcome not in NOT_FINAL:
            metrics.critical_time(event_type).observe(age_s)
            fresh.critical[bisect_left(metrics.WAITS, age_s)] += 1

    def take(self) -> dict[str, Fresh]:
        """Return what was counted since the last call, by event type."""
        taken, self._fresh = self._fresh, {}
        return taken

    def give_back(self, taken: dict[str, Fresh]) -> None:
        """Count again what could not be written down."""
        for event_type, old in taken.items():
            fresh = self._fresh.setdefault(event_type, Fresh())
            for outcome, count in old.outcomes.items():
                fresh.outcomes[outcome] = fresh.outcomes.get(outcome, 0) + count
            fresh.critical = [a + b for a, b in zip(fresh.critical, old.critical, strict=True)]
