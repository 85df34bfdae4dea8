"""What this process did since it started."""

from dataclasses import dataclass, field

from worker.telemetry import metrics

NOT_FINAL = frozenset(
    {"retry", "snooze", "parked", "fenced", "duplicate", "held", "set apart", "broken off", "store away", "failed"}
)
"""Outcomes of a delivery after which its event still waits for its own, or had it before."""


@dataclass(slots=True)
class Tally:
    """What this process did since it started, by outcome; shown by ``status`` and metrics."""

    outcomes: dict[str, int] = field(default_factory=dict)

    def observe(self, lane: str, event_type: str, outcome: str, duration_s: float, age_s: float | None) -> None:
        """Count a delivery that came to an end. ``age_s``: since its event was first received, once claimed."""
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        metrics.CONSUMED.labels(lane, event_type, outcome).inc()
        if age_s is None:
            return
        metrics.PROCESS_DURATION.labels(lane, event_type).observe(duration_s)
        if outcome not in NOT_FINAL:
            metrics.CRITICAL_TIME.labels(event_type).observe(age_s)
