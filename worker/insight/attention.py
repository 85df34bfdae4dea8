"""What on the operations room's figures needs somebody, most urgent first. Pure; the alert rules say the same."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

OLDEST_S = 15 * 60.0
"""Work that is not held by anything should be done by then."""
OUTBOX_S = 60.0
UNKNOWN_S = 2 * 3600.0
"""Unknown outcomes are looked up by themselves; later a person must look into e-conomic."""
LAG_S = 1.0
PROOF_S = 26 * 3600.0
"""The zero-loss proof should run every night."""


@dataclass(frozen=True, slots=True)
class Concern:
    """One thing that is not as it should be, in a sentence, with what to do."""

    level: Literal["urgent", "soon"]
    told: str
    remedy: str
    place: Literal["", "dead"] = ""
    """Where the console shows it, when that is elsewhere."""


def concerns(room: Mapping[str, Any]) -> list[Concern]:
    """Return what needs somebody; nothing when all is well."""
    found = [*_workers(room), *_promises(room), *_waiting(room), *_people(room)]
    return sorted(found, key=lambda each: each.level != "urgent")


def _workers(room: Mapping[str, Any]) -> Iterator[Concern]:
    alive = [each for each in room["workers"] if each["state"] == "running"]
    if not alive:
        yield Concern(
            "urgent", "No worker runs.", "Start one: pike-economic run. Nothing is lost meanwhile, all waits."
        )
    for each in room["workers"]:
        if each["state"] == "gone":
            told = f"Worker {each['host']} ({each['pid']}) went away {_ago(each['silent_s'])} ago, not in order."
            yield Concern("soon", told, "Look into its last log lines. Others take its events over by themselves.")
        elif each["loop_lag_s"] > LAG_S:
            told = f"Worker {each['host']} ({each['pid']}) is busy: its loop was {each['loop_lag_s']:.1f} s late."
            yield Concern("soon", told, "Give it more processor time, or start more workers.")
    for queue in room.get("queues", ()):
        if not queue["exists"]:
            yield Concern(
                "urgent", f"Queue {queue['queue']} is missing.", "Start a worker: it declares what is missing."
            )
        elif alive and queue["lane"] and not queue["consumers"]:
            told = f"Nobody consumes {queue['queue']} although a worker runs."
            yield Concern("urgent", told, "Restart the workers; look for broker.* in their logs.")
        elif queue["queue"].endswith(".dead") and queue["messages"]:
            told = f"{queue['messages']} messages lie in the broker's own dead queue."
            yield Concern("soon", told, "A worker moves them to the dead letters within half a minute.")


def _promises(room: Mapping[str, Any]) -> Iterator[Concern]:
    verdict = room["reconciliation"]
    if verdict is None or verdict["age_s"] > PROOF_S:
        when = "has never run" if verdict is None else f"ran {_ago(verdict['age_s'])} ago"
        yield Concern("soon", f"The zero-loss proof {when}.", "Run it every night: pike-economic reconcile")
    if verdict is not None and (verdict["lost"] or verdict["double"]):
        told = f"The zero-loss proof found {verdict['lost']} lost and {verdict['double']} double."
        yield Concern("urgent", told, "pike-economic reconcile names them; see the runbook before you touch anything.")


def _waiting(room: Mapping[str, Any]) -> Iterator[Concern]:
    held = {"parked", "frozen"}
    for each in room["inbox"]:
        if each["state"] not in held and each["oldest_s"] > OLDEST_S:
            told = f"{each['count']} events are {each['state']}, the oldest for {_ago(each['oldest_s'])}."
            yield Concern("soon", told, "pike-economic trace with the id of one; held agreements are listed below.")
    outbox = room["outbox"]
    if outbox["count"] and outbox["oldest_s"] > OUTBOX_S:
        told = f"{outbox['count']} answers wait to be published, the oldest for {_ago(outbox['oldest_s'])}."
        yield Concern("urgent", told, f"Does RabbitMQ take messages? Last error: {outbox['last_error'] or 'none'}")
    if outbox["unheard"]:
        types = ", ".join(outbox["unheard_types"][:5])
        told = f"{outbox['unheard']} answers have no listener: no queue is bound to {types}."
        yield Concern("soon", told, "Bind a queue of the service that wants them; they are offered again for a week.")
    if room["unknown_outcomes"] and (room["unknown_oldest_s"] or 0) > UNKNOWN_S:
        since = _ago(room["unknown_oldest_s"])
        told = f"Nobody knows what became of {room['unknown_outcomes']} writes to e-conomic, the oldest {since} ago."
        yield Concern("soon", told, "Look the invoices up in e-conomic by their reference: pike-economic reconcile")


def _people(room: Mapping[str, Any]) -> Iterator[Concern]:
    for each in room["held_workspaces"]:
        if each["because"] == "revoked":
            told = f"Workspace {each['workspace_id']} must be connected again; {each['waiting']} events wait for it."
            yield Concern("soon", told, f"pike-economic connect --workspace {each['workspace_id']} --grant-token -")
    away = [each for each in room["held_workspaces"] if each["because"] in ("breaker", "e-conomic is away")]
    if away:
        told = f"e-conomic does not answer for {len(away)} workspace{'s' if len(away) > 1 else ''}."
        yield Concern("soon", told, "Nothing has to be done: what waits goes on by itself. See Held workspaces.")
    letters = sum(each["count"] for each in room["dead_letters"])
    if letters:
        told = f"{letters} dead letter{'s' if letters > 1 else ''}."
        yield Concern("soon", told, "pike-economic dead list --groups", "dead")


def _ago(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"
