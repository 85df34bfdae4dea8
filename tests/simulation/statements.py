"""The worker's SQL statements, told apart by a piece of their text, each with what it does to the tables in memory.

A statement that is not listed is an error, not a guess. The contract suite runs the store's functions on these and on
Postgres; whoever changes a statement changes it here too, or sees that suite turn red.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from tests.simulation.tables import Row, Transaction

Statement = Callable[..., list[Row]]

_KNOWN: dict[str, Statement] = {}
_FOUND: dict[str, Statement] = {}


class UnknownStatement(AssertionError):
    """The memory store has no such statement, or cannot tell which it is."""


def statement(*markers: str) -> Callable[[Statement], Statement]:
    """Register the function for the one SQL text that contains any of these markers, or begins with it after ``^``."""

    def register(function: Statement) -> Statement:
        for marker in markers:
            _KNOWN[_squeezed(marker)] = function
        return function

    return register


def find(sql: str) -> Statement:
    """Return the function for a statement. Raises ``UnknownStatement``."""
    function = _FOUND.get(sql)
    if function is None:
        text = _squeezed(sql)
        matches = {known for marker, known in _KNOWN.items() if _fits(marker, text)}
        if len(matches) != 1:
            raise UnknownStatement(f"{len(matches)} entries fit the statement: {text[:200]}")
        function = _FOUND[sql] = matches.pop()
    return function


def _fits(marker: str, text: str) -> bool:
    return text.startswith(marker[1:]) if marker.startswith("^") else marker in text


def _squeezed(text: str) -> str:
    return " ".join(text.split())


def seconds(value: float) -> timedelta:
    """``make_interval(secs => value)``."""
    return timedelta(seconds=value)


# --- inbox ---------------------------------------------------------------------------------------------

INBOX = "inbox"


_RECEIVED = (
    "source", "event_id", "type", "workspace_id", "lane", "body", "body_hash", "content_type", "headers", "owner",
)  # fmt: skip


@statement("^insert into economic.inbox as i")
def claim(tx: Transaction, *columns: Any) -> list[Row]:
    *lists, lease_s = columns
    events = [dict(zip(_RECEIVED, values, strict=True)) for values in zip(*lists, strict=True)]
    found = (_claim(tx, event, lease_s) for event in sorted(events, key=lambda e: (e["source"], e["event_id"])))
    return [row for row in found if row is not None]


def _claim(tx: Transaction, event: Row, lease_s: float) -> Row | None:
    key = (event["source"], event["event_id"])
    tx.lock(INBOX, key)
    row = tx.get(INBOX, key)
    fresh = {"state": "running", "lease_until": tx.now + seconds(lease_s), "owner": event["owner"]}
    if row is None:
        first = {"attempts": 1, "snoozes": 0, "fence": 1, "history": [], "outcome": None, "received_at": tx.now}
        tx.put(INBOX, key, {**event, **first, **fresh})
        return tx.get(INBOX, key)
    mine = row["owner"] == event["owner"]
    expired = row["state"] == "running" and (row["lease_until"] < tx.now or mine)
    if row["body_hash"] != event["body_hash"] or not (row["state"] == "waiting" or expired):
        return None
    counts = row["state"] == "waiting" or not mine
    return tx.change(INBOX, key, fence=row["fence"] + 1, attempts=row["attempts"] + counts, **fresh)


@statement("select i.source, i.event_id, i.state, i.body_hash = t.body_hash as same")
def look(tx: Transaction, sources: list[str], ids: list[str], hashes: list[bytes]) -> list[Row]:
    found = []
    for source, event_id, body_hash in zip(sources, ids, hashes, strict=True):
        row = tx.get(INBOX, (source, event_id))
        if row is not None:
            until: datetime | None = row["lease_until"]
            left = max((until - tx.now).total_seconds(), 0.0) if until else 0.0
            same = row["body_hash"] == body_hash
            seen = {"source": source, "event_id": event_id, "state": row["state"]}
            found.append({**seen, "same": same, "lease_left_s": left})
    return found


def _fenced(tx: Transaction, source: str, event_id: str, fence: int) -> Row | None:
    tx.lock(INBOX, (source, event_id))
    row = tx.get(INBOX, (source, event_id))
    return row if row and row["fence"] == fence and row["state"] == "running" else None


_ONE: list[Row] = [{"?column?": 1}]


@statement("with ended as ( update economic.inbox i set state = case when t.outcome is null")
def write_endings(tx: Transaction, *columns: Any) -> list[Row]:
    ended = [
        place
        for place, (source, event_id, fence, outcome, lease_s) in enumerate(zip(*columns[0:5], strict=True), 1)
        if (
            _prolong(tx, source, event_id, fence, lease_s)
            if outcome is None
            else _end(tx, source, event_id, fence, "done", outcome)
        )
    ]
    return [{"ended": ended, "sent": [row["id"] for row in append(tx, *columns[5:])]}]


@statement("update economic.inbox set state = 'dead', outcome = $4")
def bury(tx: Transaction, source: str, event_id: str, fence: int, outcome: str) -> list[Row]:
    return _end(tx, source, event_id, fence, "dead", outcome)


def _end(tx: Transaction, source: str, event_id: str, fence: int, state: str, outcome: str) -> list[Row]:
    if _fenced(tx, source, event_id, fence) is None:
        return []
    tx.change(INBOX, (source, event_id), state=state, outcome=outcome, body=None, lease_until=None)
    return _ONE


@statement("updated_at = now() from unnest($1::text[], $2::text[], $3::bigint[], $4::float8[])")
def extend(tx: Transaction, sources: list[str], ids: list[str], fences: list[int], leases: list[float]) -> list[Row]:
    return [
        {"source": source, "event_id": event_id, "fence": fence}
        for source, event_id, fence, lease_s in zip(sources, ids, fences, leases, strict=True)
        if _prolong(tx, source, event_id, fence, lease_s)
    ]


def _prolong(tx: Transaction, source: str, event_id: str, fence: int, lease_s: float) -> bool:
    if _fenced(tx, source, event_id, fence) is None:
        return False
    tx.change(INBOX, (source, event_id), lease_until=tx.now + seconds(lease_s))
    return True


@statement("update economic.inbox set state = $4, lease_until = null")
def put_back(
    tx: Transaction, source: str, event_id: str, fence: int, state: str, free: int, note: Row | None
) -> list[Row]:
    row = _fenced(tx, source, event_id, fence)
    if row is None:
        return []
    history = row["history"]
    if note is not None:
        history = [*(history[1:] if len(history) >= 20 else history), note]
    tx.change(
        INBOX, (source, event_id), state=state, lease_until=None, history=history,
        attempts=row["attempts"] - free, snoozes=row["snoozes"] + free,
    )  # fmt: skip
    return _ONE


@statement("where workspace_id = $1 and state = 'parked' returning")
def release_parked(tx: Transaction, workspace: str) -> list[Row]:
    found = [key for key, row in tx.rows(INBOX) if row["workspace_id"] == workspace and row["state"] == "parked"]
    for key in found:
        tx.lock(INBOX, key)
    return [
        tx.change(INBOX, key, state="waiting", lease_until=None)
        for key in found
        if (row := tx.get(INBOX, key)) and row["state"] == "parked"
    ]


# --- the ledger of effects -----------------------------------------------------------------------------

EFFECTS = "effects"


@statement("from economic.effects where agreement_number = $1 and subject_id = $2")
def effects_of(tx: Transaction, agreement: int, subject: Any) -> list[Row]:
    names = (
        "agreement_number", "subject_id", "step", "reference", "idempotency_key", "body", "state", "external_number",
        "first_sent_at",
    )  # fmt: skip
    return [
        {**{name: row[name] for name in names}, "age_s": (tx.now - row["first_sent_at"]).total_seconds()}
        for key, row in tx.rows(EFFECTS)
        if key[:2] == (agreement, subject)  # type: ignore[index]
    ]


@statement("select exists (select 1 from economic.effects")
def any_open(tx: Transaction, subject: Any) -> list[Row]:
    found = (row for _, row in tx.rows(EFFECTS) if row["subject_id"] == subject)
    return [{"exists": any(row["state"] in ("intent", "unknown") for row in found)}]


@statement("select agreement_number, state <> 'done' as open from economic.effects")
def sent_elsewhere(tx: Transaction, agreement: int, subject: Any) -> list[Row]:
    found = [
        {"agreement_number": row["agreement_number"], "open": row["state"] != "done"}
        for _, row in tx.rows(EFFECTS)
        if row["subject_id"] == subject and row["agreement_number"] != agreement and row["state"] != "refused"
    ]
    return sorted(found, key=lambda row: (not row["open"], row["agreement_number"]))[:1]


@statement("insert into economic.effects as e")
def intend(
    tx: Transaction, agreement: int, subject: Any, step: str, workspace: str, reference: str, key: str, body: bytes,
    fence: int,
) -> list[Row]:  # fmt: skip
    at = (agreement, subject, step)
    tx.lock(EFFECTS, at)
    known = tx.get(EFFECTS, at)
    if known is not None and (known["state"] != "refused" or known["workspace_id"] != workspace):
        return []
    if step != "customer" and any(
        (row["subject_id"], row["step"]) == (subject, step)
        and row["agreement_number"] != agreement
        and row["state"] != "refused"
        for _, row in tx.rows(EFFECTS)
    ):
        return []
    fresh = {
        "reference": reference, "idempotency_key": key, "body": body, "state": "intent", "fence": fence,
        "first_sent_at": tx.now, "problem": None, "external_number": None,
    }  # fmt: skip
    identity = {
        "agreement_number": agreement, "subject_id": subject, "step": step, "workspace_id": workspace,
        "checked_at": None,
    }  # fmt: skip
    tx.put(EFFECTS, at, {**(known or identity), **fresh})
    return _ONE


@statement("set checked_at = coalesce(checked_at, now())")
def note_empty_look_up(
    tx: Transaction, agreement: int, subject: Any, step: str, key: str, settle_s: float
) -> list[Row]:
    at = (agreement, subject, step)
    tx.lock(EFFECTS, at)
    row = tx.get(EFFECTS, at)
    if row is None or row["idempotency_key"] != key or row["state"] not in ("intent", "unknown"):
        return []
    checked = row["checked_at"] or tx.now
    tx.change(EFFECTS, at, checked_at=checked)
    return [{"settled": checked <= tx.now - seconds(settle_s)}]


@statement("set idempotency_key = $4, body = $5")
def renew(tx: Transaction, agreement: int, subject: Any, step: str, key: str, body: bytes, fence: int) -> list[Row]:
    at = (agreement, subject, step)
    tx.lock(EFFECTS, at)
    if tx.get(EFFECTS, at) is not None:
        tx.change(
            EFFECTS, at, idempotency_key=key, body=body, fence=fence, state="intent", first_sent_at=tx.now,
            checked_at=None, problem=None,
        )  # fmt: skip
    return []


@statement("update economic.effects set state = $4, external_number = coalesce")
def record(
    tx: Transaction, agreement: int, subject: Any, step: str, state: str, number: str | None, problem: Row | None
) -> list[Row]:
    at = (agreement, subject, step)
    if tx.get(EFFECTS, at) is None:
        return []
    tx.lock(EFFECTS, at)
    row = tx.get(EFFECTS, at)
    if row is not None and (row["state"] != "done" or state == "done"):
        tx.change(EFFECTS, at, state=state, external_number=number or row["external_number"], problem=problem)
    return []


@statement("update economic.effects set first_sent_at = now() - interval '1 hour'")
def expire_key(tx: Transaction, agreement: int, subject: Any, step: str) -> list[Row]:
    at = (agreement, subject, step)
    if tx.get(EFFECTS, at) is not None:
        tx.lock(EFFECTS, at)
        row = tx.get(EFFECTS, at)
        if row is not None and row["state"] in ("intent", "unknown"):
            tx.change(EFFECTS, at, first_sent_at=tx.now - seconds(3600))
    return []


# --- outbox --------------------------------------------------------------------------------------------

OUTBOX = "outbox"
_MESSAGE = ("event_id", "type", "workspace_id", "exchange", "routing_key", "content_type", "headers", "body")


@statement("select t.*, now() + make_interval(secs => $10)")
def append(tx: Transaction, *columns: Any) -> list[Row]:
    *lists, lease_s = columns
    ids = []
    for values in zip(*lists, strict=True):
        number = tx.tables.next_number(OUTBOX)
        row = dict(zip((*_MESSAGE, "ephemeral"), values, strict=True))
        tx.put(OUTBOX, number, {
            **row, "id": number, "attempts": 0, "unheard": False, "last_error": None, "created_at": tx.now,
            "leased_until": tx.now + seconds(lease_s),
        })  # fmt: skip
        ids.append({"id": number})
    return ids


@statement("update economic.outbox o set leased_until = now() + make_interval(secs => $2)")
def take(tx: Transaction, limit: int, lease_s: float) -> list[Row]:
    due = sorted(row["id"] for _, row in tx.rows(OUTBOX) if row["leased_until"] < tx.now)
    mine = [number for number in due if tx.try_lock(OUTBOX, number)][:limit]
    return [tx.change(OUTBOX, number, leased_until=tx.now + seconds(lease_s)) for number in mine]


@statement("delete from economic.outbox where id = any")
def forget(tx: Transaction, ids: list[int]) -> list[Row]:
    return _delete(tx, [number for number in ids if tx.get(OUTBOX, number) is not None])


@statement("delete from economic.outbox where unheard")
def drop_unheard(tx: Transaction, older_than_s: float) -> list[Row]:
    before = tx.now - seconds(older_than_s)
    return _delete(tx, [row["id"] for _, row in tx.rows(OUTBOX) if row["unheard"] and row["created_at"] < before])


def _delete(tx: Transaction, ids: list[int]) -> list[Row]:
    for number in ids:
        tx.put(OUTBOX, number, None)
    return [{"id": number} for number in ids]


@statement("update economic.outbox o set attempts = o.attempts + 1")
def failed(tx: Transaction, ids: list[int], errors: list[str], unheard: list[bool]) -> list[Row]:
    for number, error, alone in zip(ids, errors, unheard, strict=True):
        row = tx.get(OUTBOX, number)
        if row is not None:
            wait = min(5 * 2 ** min(row["attempts"], 10), 3600)
            tx.change(
                OUTBOX, number, attempts=row["attempts"] + 1, last_error=error, unheard=alone,
                leased_until=tx.now + seconds(wait),
            )  # fmt: skip
    return []


# --- connections, dead letters, audit ------------------------------------------------------------------

CONNECTIONS = "connections"
LETTERS = "dead_letters"


@statement("sync_every_minutes from economic.connections where workspace_id = $1")
def find_connection(tx: Transaction, workspace: str) -> list[Row]:
    row = tx.get(CONNECTIONS, workspace)
    return [row] if row else []


@statement("sync_every_minutes from economic.connections order by workspace_id")
def all_connections(tx: Transaction) -> list[Row]:
    return sorted((row for _, row in tx.rows(CONNECTIONS)), key=lambda row: row["workspace_id"])


@statement("select id from economic.connections where workspace_id = $1 for update")
def lock_connection(tx: Transaction, workspace: str) -> list[Row]:
    return _locked(tx, workspace)


@statement("select status, grant_version from economic.connections where workspace_id = $1 for update")
def lock_grant(tx: Transaction, workspace: str) -> list[Row]:
    return _locked(tx, workspace)


def _locked(tx: Transaction, workspace: str) -> list[Row]:
    if tx.get(CONNECTIONS, workspace) is None:
        return []
    tx.lock(CONNECTIONS, workspace)
    row = tx.get(CONNECTIONS, workspace)
    return [row] if row else []


@statement("insert into economic.connections as c")
def establish(
    tx: Transaction, row_id: Any, workspace: str, agreement: int, company: str, currency: str, sealed: bytes,
    key_id: str, defaults: Row, booking: str | None,
) -> list[Row]:  # fmt: skip
    tx.lock(CONNECTIONS, workspace)
    known = tx.get(CONNECTIONS, workspace)
    row = known or {
        "id": row_id, "workspace_id": workspace, "booking": "draft", "on_missing_product": "halt",
        "on_missing_customer": "create", "defaults": {}, "grant_version": 0, "sync_every_minutes": None,
        "agreement_number": agreement,
    }  # fmt: skip
    kept = row["defaults"] if row["agreement_number"] == agreement else {}
    tx.put(CONNECTIONS, workspace, {
        **row, "agreement_number": agreement, "company_name": company, "base_currency": currency, "status": "active",
        "problem": None, "grant_sealed": sealed, "grant_key_id": key_id, "grant_version": row["grant_version"] + 1,
        "defaults": {**defaults, **kept}, "booking": booking or row["booking"],
    })  # fmt: skip
    made = tx.get(CONNECTIONS, workspace)
    assert made is not None
    return [made]


@statement("update economic.connections set status = 'revoked'")
def revoke(tx: Transaction, workspace: str, problem: Row) -> list[Row]:
    tx.change(CONNECTIONS, workspace, status="revoked", problem=problem)
    return []


@statement("insert into economic.dead_letters")
def insert_letter(tx: Transaction, *values: Any) -> list[Row]:
    names = (
        "id", "source", "event_id", "type", "workspace_id", "lane", "body", "content_type", "headers", "cause",
        "problem", "detail", "attempts", "history", "received_at",
    )  # fmt: skip
    row = dict(zip(names, values, strict=True))
    tx.put(LETTERS, row["id"], {**row, "state": "open", "received_at": row["received_at"] or tx.now})
    return []


@statement("insert into economic.audit")
def audit(tx: Transaction, workspace: str, entity: str, actor: str, changes: list[Row]) -> list[Row]:
    for change in changes:
        number = tx.tables.next_number("audit")
        row = {"workspace_id": workspace, "entity": entity, "entity_id": change["id"], "actor": actor}
        tx.put("audit", number, {**row, "changes": change["changes"]})
    return []


@statement("select state from economic.inbox where source = $1 and event_id = $2")
def state_of(tx: Transaction, source: str, event_id: str) -> list[Row]:
    row = tx.get(INBOX, (source, event_id))
    return [{"state": row["state"]}] if row else []


@statement("insert into economic.access_audit")
def note_access(_tx: Transaction, *_values: Any) -> list[Row]:
    return []


@statement("with gone as (delete from economic.connect_attempts")
def forget_attempts(_tx: Transaction) -> list[Row]:
    return []


@statement("insert into economic.hook_receivers")
def ensure_receiver(_tx: Transaction, *_values: Any) -> list[Row]:
    return []  # nobody calls a simulated worker by webhook
