"""Queries of the zero-loss proof: what every event and every write to e-conomic came to (B2)."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from worker.store.pool import Connection


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """A draft that the ledger knows of. ``gone_known``: Pike already shows that somebody deleted it in e-conomic."""

    subject_id: UUID
    state: str
    external_number: str | None
    age_s: float
    gone_known: bool


async def event_counts(connection: Connection, workspace_id: str | None) -> dict[str, int]:
    """Count received events by state."""
    rows = await connection.fetch(
        """select state, count(*)::int as count from economic.inbox
           where $1::text is null or workspace_id = $1 group by state""",
        workspace_id,
    )
    return {row["state"]: row["count"] for row in rows}


async def stuck_events(connection: Connection, workspace_id: str | None, patience_s: float) -> list[dict[str, Any]]:
    """Return unfinished events that nobody seems to work on: neither leased nor waiting within the ladder's reach."""
    rows = await connection.fetch(
        """select source, event_id, type, workspace_id, state, updated_at from economic.inbox
           where ($1::text is null or workspace_id = $1)
             and ((state = 'running' and lease_until < now() - make_interval(secs => $2))
                  or (state = 'waiting' and updated_at < now() - make_interval(secs => $2)))
           order by updated_at limit 100""",
        workspace_id,
        patience_s,
    )
    return [dict(row) for row in rows]


async def without_outcome(connection: Connection, workspace_id: str | None) -> list[dict[str, Any]]:
    """Return events that ended without a trace of how: done without outcome, dead without a dead letter."""
    rows = await connection.fetch(
        """select i.source, i.event_id, i.type, i.workspace_id, i.state from economic.inbox i
           where ($1::text is null or i.workspace_id = $1)
             and ((i.state = 'done' and i.outcome is null)
                  or (i.state = 'dead' and i.source not in ('malformed', 'conflict')
                      and not exists (select 1 from economic.dead_letters d
                                      where d.source = i.source and d.event_id = i.event_id)))
           order by i.received_at limit 100""",
        workspace_id,
    )
    return [dict(row) for row in rows]


async def orphaned_answers(connection: Connection, workspace_id: str | None, patience_s: float) -> int:
    """Count answers that should have been published long ago although a queue takes them."""
    count: int = await connection.fetchval(
        """select count(*)::int from economic.outbox
           where ($1::text is null or workspace_id = $1) and not unheard
             and created_at < now() - make_interval(secs => $2)""",
        workspace_id,
        patience_s,
    )
    return count


async def drafts_in_ledger(connection: Connection, agreement: int, workspace_id: str) -> list[LedgerEntry]:
    """Return every draft that a workspace's ledger knows of."""
    rows = await connection.fetch(
        """select e.subject_id, e.state, e.external_number,
                  extract(epoch from now() - e.updated_at)::float8 as age_s,
                  coalesce(i.vanished_at is not null, false) as gone_known
           from economic.effects e left join pike.invoices i on i.id = e.subject_id and i.workspace_id = e.workspace_id
           where e.agreement_number = $1 and e.workspace_id = $2 and e.step = 'draft'""",
        agreement,
        workspace_id,
    )
    return [LedgerEntry(**row) for row in rows]
