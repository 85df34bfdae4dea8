"""What happens in a run, drawn from its seed: the events Pike publishes, how bad the weather is, and for how long."""

import json
import random
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tests.simulation.economic_fake import BARRED
from tests.simulation.world import Odds

SHORT_LADDER = (5.0, 30.0, 120.0)
LADDER = (5.0, 30.0, 120.0, 600.0, 3600.0)


def products_of(workspace: str) -> dict[str, UUID]:
    """Return the workspace's products, number → id; one of them is barred in e-conomic."""
    number = int(workspace.removeprefix("ws-"))
    return {"1": UUID(int=number << 16 | 0xA), BARRED: UUID(int=number << 16 | 0xB)}


@dataclass(frozen=True)
class Published:
    """One message of Pike's, and when it is published. ``kind`` says what must come of it."""

    at: float
    kind: str
    type: str
    event_id: str
    workspace: str
    body: bytes
    invoice: UUID | None = None


@dataclass(frozen=True)
class Outage:
    """Something is away, or different, from one time to another."""

    what: str
    at: float
    until: float
    which: int = 0


@dataclass(frozen=True)
class Scenario:
    """Everything that is decided before the first step."""

    seed: int
    flooded: bool
    """Whether nobody's share is larger than nothing: every message goes through the overflow."""
    odds: Odds
    workers: int
    prefetch: int
    workspaces: int
    booking: tuple[str, ...]
    ladder_s: tuple[float, ...]
    messages: tuple[Published, ...]
    outages: tuple[Outage, ...]
    clears_up_at: float


def draw(seed: int) -> Scenario:
    """Return the scenario of a seed."""
    rng = random.Random(seed * 7919 + 1)
    workspaces = rng.choice((1, 1, 2))
    clears_up_at = rng.choice((200.0, 600.0, 1500.0, 5000.0))
    return Scenario(
        seed=seed,
        flooded=seed % 4 == 0,
        odds=Odds(
            crash=rng.choice((0.0, 0.002, 0.008, 0.02)),
            pause=rng.choice((0.0, 0.001, 0.004, 0.01)),
            broker=rng.choice((0.0, 0.02, 0.1)),
            store=rng.choice((0.0, 0.0, 0.01, 0.04)),
            economic=rng.choice((0.0, 0.05, 0.2, 0.4)),
            stale=rng.choice((0.0, 0.3, 0.8)),
            hours=rng.choice((1.0, 1.0, 20.0)),
        ),
        workers=rng.choice((1, 2, 2, 3)),
        prefetch=rng.choice((1, 3, 8)),
        workspaces=workspaces,
        booking=tuple(rng.choice(("draft", "book")) for _ in range(workspaces)),
        ladder_s=rng.choice((SHORT_LADDER, SHORT_LADDER, LADDER)),
        messages=tuple(sorted(_messages(rng, workspaces), key=lambda each: (each.at, each.event_id))),
        outages=tuple(_outages(rng, workspaces, clears_up_at)),
        clears_up_at=clears_up_at,
    )


def one_invoice() -> Scenario:
    """Return one invoice, two workers and fair weather: the stage for an ambush."""
    message = _invoice("invoice-0", 1.0, "ws-1", UUID(int=1), UUID(int=2), False)
    return Scenario(0, False, Odds(), 2, 1, 1, ("draft",), SHORT_LADDER, (message,), (), 60.0)


def _messages(rng: random.Random, workspaces: int) -> list[Published]:
    found: list[Published] = []
    customers = {n: [UUID(int=rng.getrandbits(128), version=4) for _ in range(2)] for n in range(workspaces)}
    for number in range(rng.choice((1, 2, 2, 3, 4))):
        home = rng.randrange(workspaces)
        workspace = f"ws-{home + 1}"
        invoice = UUID(int=rng.getrandbits(128), version=4)
        at, customer = rng.uniform(0, 60), rng.choice(customers[home])
        barred = rng.random() < 0.12
        first = _invoice(f"invoice-{number}", at, workspace, invoice, customer, barred)
        found.append(first)
        if rng.random() < 0.3:  # Pike publishes the same event again
            found.append(Published(**{**vars(first), "at": at + rng.uniform(0, 100)}))
        if rng.random() < 0.3:  # the same invoice in another event, corrected if it was wrong
            found.append(_invoice(f"again-{number}", at + rng.uniform(0, 60), workspace, invoice, customer, False))
        if rng.random() < 0.15:  # the same id with another body
            other = _invoice(first.event_id, at, workspace, invoice, customer, barred, title="Another title")
            found.append(Published(**{**vars(other), "at": at + rng.uniform(1, 60), "kind": "conflict"}))
        if rng.random() < 0.2:
            found.append(_update(f"update-{number}", at + rng.uniform(0, 120), workspace, invoice))
    if rng.random() < 0.1:
        body = b'{"specversion": "1.0", "id": "broken", "source": "/pike", "type": "pike.invoice.created"'
        found.append(Published(rng.uniform(0, 60), "unreadable", "pike.invoice.created", "broken", "", body))
    return found


def _invoice(
    event_id: str, at: float, workspace: str, invoice: UUID, customer: UUID, barred: bool, title: str = "Work done"
) -> Published:
    data = {
        "invoice": {
            "id": str(invoice), "title": title, "customer_id": str(customer), "issue_date": "2026-11-20",
            "due_date": "2026-12-01", "currency": "DKK",
            "lines": [{
                "id": str(UUID(int=invoice.int ^ 1)), "description": "Hours", "quantity": "3", "unit_price": "100",
                "product_id": str(products_of(workspace)[BARRED if barred else "1"]),
            }],
        },
        "customer": {"id": str(customer), "name": f"Customer {str(customer)[:8]}"},
    }  # fmt: skip
    kind = "pike.invoice.created"
    return Published(at, "invoice", kind, event_id, workspace, _event(event_id, kind, workspace, data), invoice)


def _update(event_id: str, at: float, workspace: str, invoice: UUID) -> Published:
    kind = "pike.invoice.updated"
    data = {"id": str(invoice), "changes": {"title": "Changed"}}
    return Published(at, "update", kind, event_id, workspace, _event(event_id, kind, workspace, data), invoice)


def _event(event_id: str, kind: str, workspace: str, data: dict[str, Any]) -> bytes:
    return json.dumps({
        "specversion": "1.0", "id": event_id, "source": "/pike", "type": kind, "workspaceid": workspace,
        "time": "2026-11-23T12:00:00Z", "datacontenttype": "application/json", "data": data,
    }).encode()  # fmt: skip


def _outages(rng: random.Random, workspaces: int, clears_up_at: float) -> list[Outage]:
    found: list[Outage] = []

    def some(what: str, chance: float, lengths: tuple[float, float], which: int = 0) -> None:
        if rng.random() < chance:
            at = rng.uniform(0, min(150.0, clears_up_at))
            found.append(Outage(what, at, min(at + rng.uniform(*lengths), clears_up_at), which))

    some("broker", 0.25, (1, 60))
    some("postgres", 0.2, (0.4, 3))
    some("postgres", 0.1, (30, 300))
    for workspace in range(workspaces):
        some("grant", 0.25, (5, 400), workspace)
    for which in range(3):
        some("wall clock", 0.15, (1, 600), which)
    return found
