"""What operators asked for on pages, by the id of the event that asks, and what became of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from worker.store.pool import Connection


@dataclass(frozen=True, slots=True)
class Asked:
    """A request. ``state`` is that of its event: ``None`` before a worker has it. ``problem``: why it failed."""

    event_id: UUID
    workspace_id: str
    type: str
    operator: str
    at: datetime
    state: str | None
    outcome: str | None
    problem: Mapping[str, Any] | None

    @property
    def ended(self) -> bool:
        """Whether it is over, well or badly, or waits for a person."""
        return self.state in ("done", "dead", "parked")


async def note(connection: Connection, event_id: UUID, workspace_id: str, event_type: str, operator: str) -> bool:
    """Keep a request, in the transaction that sends it; False when it was kept before: it must not be sent again."""
    return (
        await connection.fetchval(
            """insert into economic.operator_requests (event_id, workspace_id, type, operator)
               values ($1, $2, $3, $4) on conflict do nothing returning 1""",
            event_id,
            workspace_id,
            event_type,
            operator,
        )
        is not None
    )


async def find(connection: Connection, source: str, workspace_id: str, event_id: UUID) -> Asked | None:
    """Return a request of this workspace. ``source`` is the one that the pages' events carry."""
    row = await connection.fetchrow(
        """select r.event_id, r.workspace_id, r.type, r.operator, r.at, i.state, i.outcome,
                  (select d.problem from economic.dead_letters d where d.source = $1 and d.event_id = $3::uuid::text
                   order by d.buried_at desc limit 1) as problem
           from economic.operator_requests r
           left join economic.inbox i on i.source = $1 and i.event_id = r.event_id::text
           where r.event_id = $3 and r.workspace_id = $2""",
        source,
        workspace_id,
        event_id,
    )
    return Asked(**row) if row else None
