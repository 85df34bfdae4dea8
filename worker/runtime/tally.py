"""What this process did since it started."""

from dataclasses import dataclass, field

from worker.telemetry import metrics

NOT_FINAL = frozenset({"retry", "snooze", "parked", "fenced"})
"""Outcomes of a delivery after which its event still waits for its own."""


@dataclass(slots=True)
class Tally:
    """What this process did since it started, by verdict; shown by ``status`` and metrics."""

    outcomes: dict[str, int] = field(default_factory=dict)

    def count(self, outcome: str) -> None:
        """Count one delivery."""
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1

    def observe(self, lane: str, event_type: str, outcome: str, duration_s: float, age_s: float) -> None:
        """Count a delivery that was worked on. ``age_s``: since the event was first received."""
        self.count(outcome)
        metrics.CONSUMED.labels(lane, event_type, outcome).inc()
        metrics.PROCESS_DURATION.labels(lane, event_type).observe(duration_s)
        if outcome not in NOT_FINAL:
            metrics.CRITICAL_TIME.labels(event_type).observe(age_s)
