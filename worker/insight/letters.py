"""Dead letters as data with stable keys: what the command line prints with ``--json`` and the operator API answers."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from worker.handlers.plan import Plan
from worker.store.dead_letters import DeadLetter
from worker.store.operator_audit import Entry

_UNREADABLE_SHOWN = 2000


def summary(letter: DeadLetter) -> dict[str, Any]:
    """Return the contract's keys of one letter."""
    return {
        "id": letter.id,
        "type": letter.type,
        "workspace_id": letter.workspace_id,
        "cause": letter.cause,
        "received_at": letter.received_at,
        "attempts": letter.attempts,
        "problem": letter.problem,
    }


def whole(letter: DeadLetter, audit: Sequence[Entry], others: Sequence[DeadLetter]) -> dict[str, Any]:
    """Return everything about one letter; ``others`` are letters of the same event."""
    return {
        **summary(letter),
        "detail": letter.detail,
        "history": letter.history,
        "state": letter.state,
        "event_id": letter.event_id,
        "source": letter.source,
        "body": body_text(letter.body),
        "buried_at": letter.buried_at,
        "closed_at": letter.closed_at,
        "closed_by": letter.closed_by,
        "closed_reason": letter.closed_reason,
        "audit": [_entry(entry) for entry in audit],
        "other_letters": [summary(other) | {"state": other.state} for other in others],
    }


def planned(plan: Plan) -> dict[str, Any]:
    """Return what a dry run found."""
    return {
        "id": plan.letter_id,
        "type": plan.type,
        "workspace_id": plan.workspace_id,
        "calls": plan.calls,
        "exists": plan.exists,
        "pike": plan.pike,
        "wrong": [problem.model_dump(mode="json") for problem in plan.wrong],
    }


def body_text(body: bytes) -> str:
    """Return a body as text: indented when it is JSON, else its beginning."""
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        text = body[:_UNREADABLE_SHOWN].decode("utf-8", errors="backslashreplace")
        return text + (f"\n… {len(body)} bytes in all" if len(body) > _UNREADABLE_SHOWN else "")


def _entry(entry: Entry) -> dict[str, Any]:
    bodies = {
        name: body_text(body) if (body := getattr(entry, name)) is not None else None for name in ("before", "after")
    }
    return {**asdict(entry), **bodies}
