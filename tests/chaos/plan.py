"""What a run of the fault suite is made of: sizes, faults, and the mix of events. Everything follows from the seed."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

FAULTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("status", {"status": 500}),
    ("status", {"status": 503, "retry_after": 1}),
    ("status", {"status": 429, "retry_after": 1}),
    ("status", {"status": 429}),
    ("hang", {"seconds": 2.0}),
    ("drop_before", {}),
    ("drop_after", {}),
    ("html", {"status": 200}),
    ("html", {"status": 502}),
    ("truncated_json", {}),
    ("trickle", {"seconds": 1.0}),
    ("error_in_200", {}),
    ("hang_after", {"seconds": 2.0}),
    ("cut_body", {}),
)
"""Every kind the local e-conomic knows; half of them take effect although the answer is spoilt."""


@dataclass(frozen=True)
class Plan:
    """Sizes of a run."""

    events: int = 5000
    workspaces: int = 50
    workers: int = 2
    fault_share: float = 0.2
    seed: int = 1
    sending_s: float = 180.0
    settle_s: float = 300.0
    kill_every_s: tuple[float, float] = (4.0, 8.0)
    ladder_s: str = "1,2,5,10,20"
    lapse_s: float = 0.0
    """One more fault for short runs: at the end of sending every lease runs out so much earlier, whoever holds it."""

    @classmethod
    def short(cls, seed: int) -> "Plan":
        """Return the run that ``make test`` includes: every kind of fault, in less than a minute."""
        return cls(
            events=300,
            workspaces=12,
            seed=seed,
            sending_s=22.0,
            settle_s=100.0,
            kill_every_s=(3.0, 5.0),
            ladder_s="0.5,1,2,5",
            lapse_s=70.0,
        )

    def fault_rules(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield fault kinds with probabilities that add up to the share: each is drawn when the ones before passed."""
        each = self.fault_share / len(FAULTS)
        passed = 1.0
        for kind, options in FAULTS:
            yield kind, {**options, "probability": each / passed}
            passed -= each


@dataclass(frozen=True)
class Planned:
    """One event to publish. ``counted`` events are requests that must end in exactly one outcome."""

    id: str
    workspace: str
    type: str
    data: dict[str, Any]
    copies: int = 1


class Mix:
    """Draws events. Ids are drawn too, so that a seed gives the same run."""

    def __init__(self, plan: Plan, known: dict[str, dict[str, list[Any]]]) -> None:
        self._random = random.Random(f"chaos:{plan.seed}")  # repeatable, not secret
        self._known = known
        self._workspaces = sorted(known)

    def draw(self) -> Planned:
        """Return the next event; one in ten is published twice."""
        workspace = self._random.choice(self._workspaces)
        copies = 2 if self._random.random() < 0.1 else 1
        dice = self._random.random()
        if dice < 0.5:
            kind, data = "pike.invoice.created", {"invoice": self._invoice(workspace)}
        elif dice < 0.7:
            kind, data = "pike.refresh.requested", self._refresh("product", workspace)
        elif dice < 0.85:
            kind, data = "pike.refresh.requested", self._refresh("customer", workspace)
        elif dice < 0.97:
            kind, data = "pike.refresh.requested", self._refresh("invoice", workspace)
        else:
            kind, data = "pike.refresh.requested", {"entity": "product", "external_number": "no such product"}
        return Planned(str(self._uuid()), workspace, kind, data, copies)

    def _uuid(self) -> UUID:
        return UUID(int=self._random.getrandbits(128), version=4)

    def _refresh(self, entity: str, workspace: str) -> dict[str, Any]:
        return {"entity": entity, "external_number": self._random.choice(self._known[workspace][entity])}

    def _invoice(self, workspace: str) -> dict[str, Any]:
        known = self._known[workspace]
        lines = [
            {
                "id": str(self._uuid()),
                "product_id": self._random.choice(known["product_id"]),
                "description": "Work",
                "quantity": f"{self._random.randint(1, 900) / 100:.2f}",
                "unit_price": f"{self._random.randint(100, 100_000) / 100:.2f}",
            }
            for _ in range(self._random.randint(1, 4))
        ]
        return {
            "id": str(self._uuid()),
            "title": "Chaos",
            "customer_id": self._random.choice(known["customer_id"]),
            "issue_date": "2026-11-23",
            "currency": "DKK",
            "lines": lines,
        }
