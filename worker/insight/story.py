"""The story of one event in order: what ``trace`` and the console tell about it. Pure: rows in, steps out."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from worker.store.story import Traces


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened. ``what`` is one of a small set of words; ``told`` is a sentence for people."""

    at: datetime
    what: str
    told: str
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Story:
    """An event from its receipt to where it stands. ``now`` says in a sentence what became of it."""

    source: str
    event_id: str
    type: str
    workspace_id: str
    state: str
    now: str
    steps: list[Step]


_ORDER = {"received": 0, "done": 2, "import ended": 3, "dead letter": 3, "answer waits": 4}
"""What comes first of things that one commit wrote, all at the same time."""


def tell(traces: Traces, at: datetime) -> Story:
    """Put everything in order. ``at``: the present, for what is still open."""
    row = traces.inbox or {}
    first = traces.letters[0] if traces.letters else None
    steps = sorted(_steps(traces), key=lambda step: (step.at, _ORDER.get(step.what, 1)))
    return Story(
        source=traces.source,
        event_id=traces.event_id,
        type=row.get("type") or (first.type if first else None) or "unknown",
        workspace_id=row.get("workspace_id") or (first.workspace_id if first else None) or "",
        state=row.get("state") or "unreadable",
        now=_now(traces, at),
        steps=steps,
    )


def _steps(traces: Traces) -> Iterator[Step]:
    row = traces.inbox
    if row is not None:
        yield Step(row["received_at"], "received", f"{row['type']} from {row['source']}, lane {row['lane']}")
        for note in row["history"]:
            yield _failure(note)
        if row["finished_at"] is not None and row["state"] == "done":
            yield Step(row["finished_at"], "done", f"ended: {row['outcome']}")
    yield from _letters(traces)
    yield from _effects(traces)
    yield from _imports(traces)
    for part in traces.audit:
        ids = [str(each) for each in part["ids"]]
        named = f" ({ids[0]})" if part["rows"] == 1 else ""
        what = f"{part['fields']} field{_s(part['fields'])} of {part['rows']} {part['entity']}{_s(part['rows'])}{named}"
        yield Step(part["at"], "rows changed", what, {"entity": part["entity"], "ids": ids})
    for message in traces.outbox:
        yield _waiting(traces, message)


def _failure(note: dict[str, Any]) -> Step:
    follows = {"retry": "tried again later", "snooze": "put off", "park": "waits for a reconnect", "dead": "given up"}
    then = follows.get(note.get("next", ""), str(note.get("next")))
    told = f"{note.get('cause')}: {note.get('detail')} → {then}"
    return Step(datetime.fromisoformat(str(note["at"])), "try failed", told, dict(note))


def _letters(traces: Traces) -> Iterator[Step]:
    notes = {str(note.get("at")) for note in (traces.inbox or {}).get("history", ())}
    for letter in traces.letters:
        for note in letter.history:
            if str(note.get("at")) not in notes:  # a replayed event's inbox row keeps the last twenty only
                notes.add(str(note.get("at")))
                yield _failure(note)
        if traces.inbox is None:
            yield Step(
                letter.received_at, "received", f"{len(letter.body)} bytes that could not be read, lane {letter.lane}"
            )
        told = f"{letter.cause}: {letter.problem.get('user_message', '')} {letter.problem.get('remedy', '')}".strip()
        yield Step(letter.buried_at, "dead letter", told, {"letter_id": letter.id, "cause": letter.cause})
    for act in traces.operators:
        why = f": {act['reason']}" if act["reason"] else ""
        yield Step(act["at"], "operator", f"{act['action']} by {act['operator']}{why}", {"letter_id": act["letter_id"]})
    for place in traces.campaigns:
        name = {"replay_id": place["replay_id"], "letter_id": place["letter_id"]}
        if place["sent_at"]:
            told = f"sent again in campaign {place['replay_id']}, round {place['round']}"
            yield Step(place["sent_at"], "replayed", told, name)
        if place["settled_at"]:
            cause = f" ({place['cause']})" if place["cause"] else ""
            yield Step(place["settled_at"], "replay ended", f"{place['state']}{cause}", name)


def _effects(traces: Traces) -> Iterator[Step]:
    for effect in traces.effects:
        thing = f"{effect['step']} in agreement {effect['agreement_number']}"
        facts = {"reference": effect["reference"], "subject_id": effect["subject_id"], "step": effect["step"]}
        yield Step(effect["first_sent_at"], "write intended", f"{thing}, reference {effect['reference']}", facts)
        problem = (effect["problem"] or {}).get("user_message", "")
        told = {
            "done": f"{thing} is made: number {effect['external_number']}",
            "refused": f"{thing} was refused: {problem}",
            "unknown": f"{thing}: e-conomic's answer was lost; it is looked up before anything is sent again",
        }.get(effect["state"])
        if told:
            yield Step(effect["updated_at"], f"write {effect['state']}", told, facts)


def _imports(traces: Traces) -> Iterator[Step]:
    for each in traces.imports:
        facts = {"import_id": each["id"]}
        kinds = ", ".join(each["entities"])
        dry = ", a preview that writes nothing" if each["dry_run"] else ""
        yield Step(each["started_at"], "import began", f"{kinds} ({each['mode']}){dry}", facts)
        rejects = f"; {each['rejects']} records could not be used" if each["rejects"] else ""
        if each["finished_at"] is None:
            yield Step(each["updated_at"], "import goes on", f"at stage {each['stage']}{rejects}", facts)
        else:
            problem = (each["problem"] or {}).get("user_message", "")
            told = f"{each['state']}{': ' + problem if problem else ''}{rejects}"
            yield Step(each["finished_at"], "import ended", told, facts | {"counts": each["counts"]})


def _waiting(traces: Traces, message: dict[str, Any]) -> Step:
    kind = "sent again, waits for RabbitMQ" if message["event_id"] == traces.event_id else "answer waits"
    told = f"{message['type']} {message['event_id']}"
    if message["unheard"]:
        told += ": no queue is bound to its type; it is offered again now and then, for a week"
    elif message["attempts"]:
        told += f": {message['attempts']} time{_s(message['attempts'])} not confirmed, {message['last_error']}"
    return Step(message["created_at"], kind, told, {"outbox_id": message["id"], "attempts": message["attempts"]})


def _now(traces: Traces, at: datetime) -> str:
    row = traces.inbox
    if row is None or row["state"] == "dead":
        return _given_up(traces)
    tries = f"{row['attempts']} {'try' if row['attempts'] == 1 else 'tries'}"
    match row["state"]:
        case "done" if any(each["state"] == "running" for each in traces.imports):
            return "Its import is under way, one delivery after the other."
        case "done":
            took = (row["finished_at"] - row["received_at"]).total_seconds()
            return f"Done: {row['outcome']}, {took:.1f} s after it came, in {tries}. {_answers(traces)}"
        case "running":
            alive = row["lease_until"] is not None and row["lease_until"] > at
            return (
                f"In work: try {row['attempts']}."
                if alive
                else "A worker that worked on it went away; the next delivery takes it up."
            )
        case "parked":
            return "Waits until its workspace is connected again: pike-economic connect."
        case _:
            return f"Waits for its next try since {row['updated_at']:%H:%M:%S} UTC; {tries} so far."


def _given_up(traces: Traces) -> str:
    waiting = [letter.id for letter in traces.letters if letter.state == "open"]
    if waiting:
        return f"Given up: a dead letter waits for somebody. See: pike-economic dead show {waiting[-1]}"
    return "Given up; its dead letter is closed."


def _answers(traces: Traces) -> str:
    waiting = [message for message in traces.outbox if message["event_id"] != traces.event_id]
    if not waiting:
        return "RabbitMQ has confirmed all its answers."
    return f"{len(waiting)} of its answers {'waits' if len(waiting) == 1 else 'wait'} to be published."


def _s(count: int) -> str:
    return "" if count == 1 else "s"
