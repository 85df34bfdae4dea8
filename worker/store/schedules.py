"""When each connection is read again without anybody asking, and the round that is under way: one at a time.

All times are the database's, so that several machines agree. A round belongs to the row until it ends; a row whose
round got lost (it never happened so far) is freed when neither an import nor an event of it is left.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from worker.store.pool import Connection

LOST_AFTER = "30 minutes"

_NIGHT = """date_trunc('day', now() at time zone 'UTC' + interval '1 hour') at time zone 'UTC'
            + interval '23 hours' + random() * interval '4 hours'"""
"""The coming night, between 23 and 3 o'clock UTC: midnight to 5 where e-conomic's customers are. An hour is added first
so that a sweep that ran at half past eleven is not followed by one in the same night."""


@dataclass(frozen=True, slots=True)
class Due:
    """A connection whose round is due: what people imported of it so far, and whether everything is to be read."""

    connection_id: UUID
    workspace_id: str
    entities: tuple[str, ...]
    sweep: bool


_ADOPT = f"""
insert into economic.schedules (connection_id, next_at, sweep_at)
select c.id, now() + random() * make_interval(secs => $1), {_NIGHT}
from economic.connections c
where c.status = 'active' and not exists (select 1 from economic.schedules s where s.connection_id = c.id)
on conflict do nothing
"""  # noqa: S608

# Only what somebody imported once is read again; held agreements wait without being taken, and so does a workspace
# that has an import at work.
_DUE = f"""
select s.connection_id, c.workspace_id, s.sweep_at <= now() as sweep, known.entities
from economic.schedules s
join economic.connections c on c.id = s.connection_id
cross join lateral (
    select array_agg(distinct entity) as entities
    from economic.imports i, unnest(i.entities) as entity
    where i.workspace_id = c.workspace_id and i.agreement_number = c.agreement_number
      and i.state = 'completed' and not i.dry_run
) known
where s.next_at <= now() and c.status = 'active' and known.entities is not null
  and (s.run_id is null or s.run_since < now() - interval '{LOST_AFTER}' and not exists (
          select 1 from economic.inbox e where e.source = $2 and e.event_id = s.run_id and e.state not in ('done', 'dead')))
  and not exists (select 1 from economic.imports i where i.workspace_id = c.workspace_id and i.state = 'running')
  and not exists (select 1 from economic.gates g
                  where g.agreement_number in (0, c.agreement_number) and g.held_until > now())
order by s.next_at
limit $1
for update of s skip locked
"""  # noqa: S608

# Up to a seventh earlier than the interval says: rounds of many connections drift apart, and none comes later.
_BEGIN = """
update economic.schedules s
set run_id = r.run_id, run_since = now(),
    next_at = now() + make_interval(secs => coalesce(c.sync_every_minutes * 60.0, $3) * (0.86 + 0.14 * random()))
from unnest($1::uuid[], $2::text[]) as r(connection_id, run_id), economic.connections c
where s.connection_id = r.connection_id and c.id = s.connection_id
"""

_ENDED = f"""
update economic.schedules s
set run_id = null, run_since = null, last_end_at = now(), last_state = $3, last_problem = $4,
    sweep_at = case when $5 then {_NIGHT} else sweep_at end
from economic.connections c
where c.id = s.connection_id and c.workspace_id = $1 and s.run_id = $2
"""  # noqa: S608


async def adopt(connection: Connection, every_s: float) -> None:
    """Give a row to connections that have none, the first round within one interval."""
    await connection.execute(_ADOPT, every_s)


async def take_due(connection: Connection, source: str, limit: int) -> list[Due]:
    """Lock the rows that are due, in the caller's transaction; no other process gets them meanwhile.

    ``source``: of the events that begin rounds.
    """
    rows = await connection.fetch(_DUE, limit, source)
    return [
        Due(row["connection_id"], row["workspace_id"], tuple(sorted(row["entities"])), row["sweep"]) for row in rows
    ]


async def begin(connection: Connection, runs: Sequence[tuple[UUID, str]], every_s: float) -> None:
    """Note that rounds begin: connection and id of the event. ``every_s``: for connections without a choice."""
    ids, run_ids = [list(column) for column in zip(*runs, strict=True)]
    await connection.execute(_BEGIN, ids, run_ids, every_s)


async def ended(
    connection: Connection,
    workspace_id: str,
    run_id: str,
    state: str,
    *,
    swept: bool = False,
    problem: Mapping[str, Any] | None = None,
) -> None:
    """Free the row after its round. ``swept``: everything was read, the next time is the coming night."""
    await connection.execute(_ENDED, workspace_id, run_id, state, problem, swept)
