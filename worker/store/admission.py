"""What is asked before an event may call e-conomic: its workspace's connection, and the gates of that agreement.

It comes with the claim, in the same statement, which sees what was committed when it began. That is enough when all of
its events come for the first time: they arrived before it began, and it waited for nobody. A row that was there before
may have made it wait, for instance for a reconnect to be committed: then all is asked again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from worker.store import connections, gates, inbox
from worker.store.connections import EconomicConnection
from worker.store.gates import Gate
from worker.store.inbox import ClaimResult, Received
from worker.store.pool import Connection

_COLUMNS = f"{connections.columns_of('c')}, g.agreement_number as gate, {gates.columns_of('g')}"
_GATES = f"""
left join economic.gates g on g.agreement_number in (c.agreement_number, {gates.WHOLE})
                          and (g.failures > 0 or g.held_until > now())"""
_FIND = f"select {_COLUMNS} from economic.connections c {_GATES} where c.workspace_id = any($1::text[])"  # noqa: S608
CLAIM = f"""
with claimed as ({inbox.CLAIM})
select k.source, k.event_id, k.fence, k.attempts, k.snoozes, k.received_at, k.history, {_COLUMNS}
from claimed k left join economic.connections c on c.workspace_id = k.workspace_id {_GATES}
"""  # noqa: S608  # names of columns only
"""Claims as ``inbox.CLAIM`` does, and brings connection and gates along; the same parameters."""

_FIRST = 1
"""The fence of a claim that nobody was before."""


@dataclass(frozen=True, slots=True)
class Admission:
    """A workspace's connection, in whatever state, and the gates that are not plainly open, ``WHOLE`` among them."""

    connection: EconomicConnection
    gates: dict[int, Gate] = field(default_factory=dict)


async def claim(
    connection: Connection, events: Sequence[Received], lease_s: float
) -> list[tuple[ClaimResult, Admission | None]]:
    """Claim several events as ``inbox.claim_many`` does, and say what their workspaces may do.

    ``None`` when a workspace has no connection, or the event was not claimed.
    """
    rows = await connection.fetch(CLAIM, *inbox.columns_of(events), lease_s)
    results = list(zip(events, await inbox.results(connection, events, rows), strict=True))
    claimed = {event.workspace_id for event, result in results if result.claim}
    may_have_waited = any(result.claim is None or result.claim.fence > _FIRST for _, result in results)
    found = await find(connection, sorted(claimed)) if claimed and may_have_waited else _read(rows)
    return [(result, found.get(event.workspace_id) if result.claim else None) for event, result in results]


async def find(connection: Connection, workspace_ids: Sequence[str]) -> dict[str, Admission]:
    """Return what these workspaces may do; one that has no connection is left out."""
    return _read(await connection.fetch(_FIND, list(workspace_ids)))


def _read(rows: Iterable[Any]) -> dict[str, Admission]:
    found: dict[str, Admission] = {}
    for row in rows:
        workspace_id = row["workspace_id"]
        if workspace_id is None:
            continue
        admission = found.get(workspace_id)
        if admission is None:
            admission = found[workspace_id] = Admission(connections.read(row))
        if row["gate"] is not None:
            admission.gates[row["gate"]] = gates.read(row, row["gate"])
    return found
