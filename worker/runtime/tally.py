"""What this process did since it started."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """What this process did since it started, by verdict; shown by ``status`` and metrics."""

    outcomes: dict[str, int] = field(default_factory=dict)

    def count(self, outcome: str) -> None:
        """Count one delivery."""
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
