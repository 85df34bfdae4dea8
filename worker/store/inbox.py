"""The inbox: every event once. Claim, put back, bury; each call names the claim's fence. ``endings`` finishes.

A claim is a lease. While it lasts nobody else works on the event; once it has run out the event may be claimed
again with a higher fence, and a late writer that still holds the old fence is refused (``FenceLost``).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from worker.errors import WorkerError
from worker.store.pool import Connection


class FenceLost(WorkerError):
    """Somebody else claimed the event meanwhile, or it is finished: this run must not write any more."""


class Standing(StrEnum):
    """What a claim found."""

    CLAIMED = "claimed"
    DONE = "done"
    HELD = "held"
    PARKED = "parked"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Received:
    """An event as it came in, ready to be written down."""

    source: str
    event_id: str
    type: str
    workspace_id: str
    lane: str
    body: bytes
    body_hash: bytes
    content_type: str | None
    headers: dict[str, str]
    owner: str
    """One delivery in one process. After Postgres was away it takes its own claim up again without waiting."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on one event, until the lease ends or somebody with a higher fence takes over."""

    source: str
    event_id: str
    fence: int
    attempts: int
    snoozes: int
    received_at: datetime
    history: tuple[dict[str, Any], ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """``claim`` is set only when ``standing`` is CLAIMED. ``lease_left_s`` tells how long another run may hold it."""

    standing: Standing
    claim: Claim | None = None
    lease_left_s: float = 0.0

    def need_claim(self) -> Claim:
        """Return the claim; asking for one that was not given is a bug."""
        if self.claim is None:
            raise RuntimeError(f"the event is {self.standing.value}, not claimed")
        return self.claim


# Inserts or takes over. Finished, parked and held events are left alone and then looked at. Rows are taken in one order
# by every process, so that two batches cannot wait for each other.
CLAIM = """
insert into economic.inbox as i
    (source, event_id, type, workspace_id, lane, body, body_hash, content_type, headers, owner, state, attempts, fence,
     lease_until)
select t.*, 'running', 1, 1, now() + make_interval(secs => $11)
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::bytea[], $8::text[],
            $9::jsonb[], $10::text[])
     as t(source, event_id, type, workspace_id, lane, body, body_hash, content_type, headers, owner)
order by t.source, t.event_id
on conflict (source, event_id) do update
set state = 'running', fence = i.fence + 1, updated_at = now(), owner = excluded.owner,
    attempts = i.attempts + (i.state = 'waiting' or i.owner is distinct from excluded.owner)::int,
    lease_until = now() + make_interval(secs => $11)
where i.body_hash = excluded.body_hash
  and (i.state = 'waiting'
       or (i.state = 'running' and (i.lease_until < now() or i.owner = excluded.owner)))
returning source, event_id, workspace_id, fence, attempts, snoozes, received_at, history
"""
"""SQL that claims events: parameters are ``columns_of`` the events, then the lease's length in seconds. Its rows are for
``results``."""

_LOOK = """
select i.source, i.event_id, i.state, i.body_hash = t.body_hash as same,
       greatest(extract(epoch from i.lease_until - now()), 0)::float8 as lease_left_s
from economic.inbox i
join unnest($1::text[], $2::text[], $3::bytea[]) as t(source, event_id, body_hash) using (source, event_id)
"""

# An expression, not the bare column: by that Postgres may go through all that is unfinished (index inbox_unfinished), which
# looks cheap to it when nothing waited at the last analysis.
_EXTEND = """
update economic.inbox i set lease_until = now() + make_interval(secs => t.lease_s), updated_at = now()
from unnest($1::text[], $2::text[], $3::bigint[], $4::float8[]) as t(source, event_id, fence, lease_s)
where i.source = t.source and i.event_id = t.event_id and i.fence = t.fence and i.state || '' = 'running'
returning i.source, i.event_id, i.fence
"""

_PUT_BACK = """
update economic.inbox
set state = $4, lease_until = null, updated_at = now(),
    attempts = attempts - $5::int, snoozes = snoozes + $5::int,
    history = case when $6::jsonb is null then history
                   else (case when jsonb_array_length(history) >= 20 then history - 0 else history end) || $6::jsonb end
where source = $1 and event_id = $2 and fence = $3 and state || '' = 'running'
returning 1
"""

_BURY = """
update economic.inbox
set state = 'dead', outcome = $4, body = null, lease_until = null, finished_at = now(), updated_at = now()
where source = $1 and event_id = $2 and fence = $3 and state || '' = 'running'
returning 1
"""

_RELEASE = """
update economic.inbox set state = 'waiting', lease_until = null, updated_at = now()
where workspace_id = $1 and state = 'parked'
returning source, event_id, type, lane, body, content_type, headers
"""

_REOPEN = """
update economic.inbox
set state = 'waiting', attempts = 0, snoozes = 0, lease_until = null, finished_at = null, updated_at = now(),
    history = (select coalesce(jsonb_agg(note - 'ended' order by place), '[]')  -- a new life counts its tries anew
               from jsonb_array_elements(history) with ordinality as notes (note, place))
where source = $1 and event_id = $2 and state in ('dead', 'waiting', 'frozen')
returning 1
"""


async def claim(connection: Connection, event: Received, lease_s: float) -> ClaimResult:
    """Insert or take over the event. One statement when the claim succeeds, one more to say why it does not."""
    return (await claim_many(connection, [event], lease_s))[0]


async def claim_many(connection: Connection, events: Sequence[Received], lease_s: float) -> list[ClaimResult]:
    """Claim several events, each for itself, in one statement; no two may have the same identity."""
    return await results(connection, events, await connection.fetch(CLAIM, *columns_of(events), lease_s))


def columns_of(events: Sequence[Received]) -> list[list[Any]]:
    """Return the events as the arrays that ``CLAIM`` takes, one per column."""
    return [list(column) for column in zip(*map(_row, events), strict=True)]


async def results(connection: Connection, events: Sequence[Received], rows: Sequence[Any]) -> list[ClaimResult]:
    """Return what became of each event, given the rows that ``CLAIM`` returned; asks why others were not claimed."""
    claimed = {(row["source"], row["event_id"]): _claimed(row) for row in rows}
    missed = [event for event in events if (event.source, event.event_id) not in claimed]
    if missed:
        seen = await connection.fetch(
            _LOOK, [e.source for e in missed], [e.event_id for e in missed], [e.body_hash for e in missed]
        )
        claimed |= {
            (row["source"], row["event_id"]): ClaimResult(
                _standing(row["state"], row["same"]), lease_left_s=row["lease_left_s"] or 0.0
            )
            for row in seen
        }
    pruned = ClaimResult(Standing.HELD, lease_left_s=1.0)  # gone between the two statements
    return [claimed.get((event.source, event.event_id), pruned) for event in events]


def _row(event: Received) -> tuple[Any, ...]:
    return (
        event.source, event.event_id, event.type, event.workspace_id, event.lane, event.body, event.body_hash,
        event.content_type, event.headers, event.owner,
    )  # fmt: skip


def _claimed(row: Any) -> ClaimResult:
    claim = Claim(
        row["source"], row["event_id"], row["fence"], row["attempts"], row["snoozes"], row["received_at"],
        tuple(row["history"]),
    )  # fmt: skip
    return ClaimResult(Standing.CLAIMED, claim)


def _standing(state: str, same: bool) -> Standing:
    if not same:
        return Standing.CONFLICT
    if state in ("done", "dead", "frozen"):
        return Standing.DONE
    return Standing.PARKED if state == "parked" else Standing.HELD


async def extend(connection: Connection, claim: Claim, lease_s: float) -> None:
    """Prolong the lease, so that long work in steps keeps its event. Raises ``FenceLost``."""
    if await extend_many(connection, [(claim, lease_s)]):
        raise fence_lost(claim)


async def extend_many(connection: Connection, leases: Sequence[tuple[Claim, float]]) -> set[Claim]:
    """Prolong leases by seconds from now; returns the claims that are no longer valid (nothing was written)."""
    rows = await connection.fetch(
        _EXTEND,
        [claim.source for claim, _ in leases],
        [claim.event_id for claim, _ in leases],
        [claim.fence for claim, _ in leases],
        [lease_s for _, lease_s in leases],
    )
    # with the fence: a batch may hold two claims of one event, the one that was lost and the one that took over
    valid = {(row["source"], row["event_id"], row["fence"]) for row in rows}
    return {claim for claim, _ in leases if (claim.source, claim.event_id, claim.fence) not in valid}


async def put_back(
    connection: Connection, claim: Claim, *, parked: bool, free: bool, note: dict[str, Any] | None
) -> None:
    """Give the event back to wait for another delivery (or for a reconnect, when ``parked``).

    ``free`` gives the attempt back: the try did not count. ``note`` is added to the event's history of failures.
    """
    await _fenced(connection, _PUT_BACK, claim, "parked" if parked else "waiting", 1 if free else 0, note)


async def bury(connection: Connection, claim: Claim, cause: str) -> None:
    """Mark the event dead; the caller writes the dead letter in the same transaction. Raises ``FenceLost``."""
    await _fenced(connection, _BURY, claim, cause)


async def release_parked(connection: Connection, workspace_id: str) -> list[Any]:
    """Make a workspace's parked events claimable and return them, to be sent again through the outbox."""
    rows: list[Any] = await connection.fetch(_RELEASE, workspace_id)
    return rows


async def reopen(connection: Connection, source: str, event_id: str) -> bool:
    """Make a dead event claimable again with its old id; False when it is not dead (done, running, unknown)."""
    return await connection.fetchval(_REOPEN, source, event_id) is not None


async def rewrite(connection: Connection, source: str, event_id: str, event_type: str, body_hash: bytes) -> bool:
    """Let an edited event take the place of the dead one with its id; False when that id is not dead (done, at work).

    An event that never got a row (it could not be read) needs none: its delivery makes it.
    """
    state = await connection.fetchval(
        "select state from economic.inbox where source = $1 and event_id = $2 for update", source, event_id
    )
    if state is None:
        return True
    if state != "dead":
        return False
    await connection.execute(
        "update economic.inbox set type = $3, body_hash = $4, updated_at = now() where source = $1 and event_id = $2",
        source,
        event_id,
        event_type,
        body_hash,
    )
    return True


async def state_of(connection: Connection, source: str, event_id: str) -> str | None:
    """Return an event's state, or ``None`` when it was never received."""
    state: str | None = await connection.fetchval(
        "select state from economic.inbox where source = $1 and event_id = $2", source, event_id
    )
    return state


async def _fenced(connection: Connection, sql: str, claim: Claim, *args: object) -> None:
    if await connection.fetchval(sql, claim.source, claim.event_id, claim.fence, *args) is None:
        raise fence_lost(claim)


def fence_lost(claim: Claim) -> FenceLost:
    """Return the error for a claim that is no longer valid."""
    return FenceLost(f"event {claim.event_id} of {claim.source}: fence {claim.fence} is no longer valid")
