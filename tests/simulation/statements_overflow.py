"""Statements of ``worker.store.overflow`` on the tables in memory. Which workspace comes first is not drawn here."""

from typing import Any

from tests.simulation.statements import seconds, statement
from tests.simulation.tables import Row, Transaction

OVERFLOW = "overflow"
_PUT = ("lane", "workspace_id", "routing_key", "message_id", "content_type", "headers", "body")


@statement("insert into economic.overflow")
def put(tx: Transaction, *columns: Any) -> list[Row]:
    for values in zip(*columns, strict=True):
        number = tx.tables.next_number(OVERFLOW)
        row = {"id": number, **dict(zip(_PUT, values, strict=True)), "due_at": tx.now}
        tx.put(OVERFLOW, number, row)
    return []


@statement("with recursive hop as")
def take(tx: Transaction, lane: str, without: list[str], limit: int, lease_s: float) -> list[Row]:
    rows = [row for _, row in tx.rows(OVERFLOW) if row["lane"] == lane and row["workspace_id"] not in without]
    each = max(1, -(-limit // max(1, len({row["workspace_id"] for row in rows}))))
    taken: list[Row] = []
    for workspace in sorted({row["workspace_id"] for row in rows}):
        due = [row for row in rows if row["workspace_id"] == workspace and row["due_at"] <= tx.now]
        due.sort(key=lambda row: (row["due_at"], row["id"]))
        taken += [row for row in due if tx.try_lock(OVERFLOW, row["id"])][:each]
    changed = [tx.change(OVERFLOW, row["id"], due_at=tx.now + seconds(lease_s)) for row in taken[:limit]]
    return [{name: row[name] for name in ("id", *_PUT)} for row in changed]


@statement("delete from economic.overflow")
def delete(tx: Transaction, ids: list[int]) -> list[Row]:
    for number in ids:
        if tx.get(OVERFLOW, number) is not None:
            tx.put(OVERFLOW, number, None)
    return []


@statement("update economic.overflow o set due_at = now() + make_interval(secs => t.delay_s)")
def later(tx: Transaction, ids: list[int], delays: list[float], headers: list[dict[str, str]]) -> list[Row]:
    for number, delay_s, more in zip(ids, delays, headers, strict=True):
        row = tx.get(OVERFLOW, number)
        if row is not None:
            tx.change(OVERFLOW, number, due_at=tx.now + seconds(delay_s), headers={**row["headers"], **more})
    return []
