"""What a replay would do, as found out by a dry run."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from schemas.problem import Problem


@dataclass
class Plan:
    """One letter's plan: calls that would be made, what exists, what Pike has, what would still be wrong."""

    letter_id: UUID
    type: str | None
    workspace_id: str | None
    calls: list[str] = field(default_factory=list)
    exists: list[str] = field(default_factory=list)
    pike: dict[str, Any] = field(default_factory=dict)
    wrong: list[Problem] = field(default_factory=list)

    def add_wrong(self, problem: Problem) -> None:
        """Note what would make the replay fail, each cause and sentence once."""
        if problem not in self.wrong:
            self.wrong.append(problem)
