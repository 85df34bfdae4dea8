"""Statements of ``worker.store.gates`` on the tables in memory: breakers and holds. Budgets are not simulated."""

from typing import Any

from tests.simulation.statements import CONNECTIONS, claim, seconds, statement
from tests.simulation.tables import Row, Transaction

GATES = "gates"
_FRESH: Row = {"failures": 0, "opened": 0, "held_until": None, "held_because": None, "probe_until": None}


def _gate(tx: Transaction, agreement: int) -> Row:
    tx.lock(GATES, agreement)
    row = tx.get(GATES, agreement)
    if row is None:
        row = {"agreement_number": agreement, **_FRESH}
        tx.put(GATES, agreement, row)
    return row


def _is_held(tx: Transaction, row: Row) -> bool:
    return row["held_until"] is not None and row["held_until"] > tx.now


@statement("from economic.connections c left join economic.gates g")
def find_admission(tx: Transaction, workspaces: list[str]) -> list[Row]:
    found = [row for workspace in workspaces if (row := tx.get(CONNECTIONS, workspace))]
    return [{**row, **gate} for row in found for gate in _shut(tx, row["agreement_number"]) or [{"gate": None}]]


_CLAIMED = ("source", "event_id", "fence", "attempts", "snoozes", "received_at", "history")
_NOWHERE: Row = {"workspace_id": None, "gate": None}


@statement("with claimed as ( insert into economic.inbox as i")
def claim_with_admission(tx: Transaction, *columns: Any) -> list[Row]:
    workspaces: list[str] = columns[3]
    shown: list[Row] = tx.as_it_began(lambda: find_admission(tx, sorted(set(workspaces))))
    return [
        {**{name: row[name] for name in _CLAIMED}, **each}
        for row in claim(tx, *columns)
        for each in [it for it in shown if it["workspace_id"] == row["workspace_id"]] or [_NOWHERE]
    ]


def _shut(tx: Transaction, agreement: int) -> list[Row]:
    gates = [row for number, row in tx.rows(GATES) if number in (agreement, 0)]
    return [
        {
            "gate": row["agreement_number"], "failures": row["failures"], "held_because": row["held_because"],
            "held_s": max((row["held_until"] - tx.now).total_seconds(), 0.0) if row["held_until"] else 0.0,
        }
        for row in gates
        if row["failures"] or _is_held(tx, row)
    ]  # fmt: skip


@statement("update economic.gates set probe_until = now() + make_interval(secs => $2)")
def take_probe(tx: Transaction, agreement: int, lease_s: float) -> list[Row]:
    tx.lock(GATES, agreement)
    row = tx.get(GATES, agreement)
    if row is None or (row["probe_until"] is not None and row["probe_until"] > tx.now):
        return []
    tx.change(GATES, agreement, probe_until=tx.now + seconds(lease_s))
    return [{"?column?": 1}]


@statement("insert into economic.gates as g (agreement_number, failures, opened, held_until, held_because)")
def failed(tx: Transaction, agreement: int, limit: int, cooldown_s: float, longest_s: float) -> list[Row]:
    row = _gate(tx, agreement)
    failures = row["failures"] + 1
    changes: dict[str, Any] = {"failures": failures, "probe_until": None}
    if failures >= limit and not _is_held(tx, row):
        held_s = min(cooldown_s * 2 ** min(row["opened"], 20), longest_s)
        changes |= {"opened": row["opened"] + 1, "held_until": tx.now + seconds(held_s), "held_because": "breaker"}
    new = tx.change(GATES, agreement, **changes)
    return [{"open": failures >= limit and _is_held(tx, new)}]


@statement("update economic.gates set failures = 0, opened = 0")
def answered(tx: Transaction, agreements: list[int]) -> list[Row]:
    for agreement in sorted(agreements):
        tx.lock(GATES, agreement)
        row = tx.get(GATES, agreement)
        if row is not None:
            closed = row["held_because"] == "breaker"
            shut = {"held_until": None, "held_because": None} if closed else {}
            tx.change(GATES, agreement, failures=0, opened=0, probe_until=None, **shut)
    return []


@statement("insert into economic.gates as g (agreement_number, held_until, held_because)")
def hold(tx: Transaction, agreement: int, held_s: float) -> list[Row]:
    row = _gate(tx, agreement)
    until = tx.now + seconds(held_s)
    if row["held_until"] is None or row["held_until"] <= until:
        tx.change(GATES, agreement, held_until=until, held_because="rate")
    return []


@statement("select count(*) from economic.gates")
def open_breakers(tx: Transaction) -> list[Row]:
    count = sum(1 for n, row in tx.rows(GATES) if n and row["held_because"] == "breaker" and _is_held(tx, row))
    return [{"count": count}]
