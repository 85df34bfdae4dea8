"""Figures for one screen: what waits, what is stuck, and since when."""

from collections.abc import Sequence
from typing import Any

from worker.store import gates, operations, overflow, retention
from worker.store.pool import Connection

_HELD = """
select c.workspace_id, c.agreement_number,
       case when c.status = 'revoked' then 'revoked' when whole.held_until > now() then 'e-conomic is away'
            else g.held_because end as because,
       case when c.status <> 'revoked' then round(extract(epoch from greatest(g.held_until, whole.held_until) - now()))::int
            end as for_s,
       c.problem ->> 'user_message' as problem,
       (select count(*)::int from economic.inbox i
        where i.workspace_id = c.workspace_id and i.state not in ('done', 'dead')) as waiting
from economic.connections c
left join economic.gates g on g.agreement_number = c.agreement_number
left join economic.gates whole on whole.agreement_number = 0
where c.status <> 'closed' and (c.status = 'revoked' or g.held_until > now() or whole.held_until > now())
order by c.workspace_id limit 200
"""

# As the workers last heard it from e-conomic; of several statements the lowest counts.
_BUDGETS = """
select b.key::int as agreement_number, min(b.value::float8) as left_ratio
from economic.workers w cross join jsonb_each_text(w.budgets) b
where w.seen_at > now() - interval '1 minute' and w.state <> 'stopped' and b.key ~ '^[0-9]{1,9}$'
group by b.key order by min(b.value::float8), b.key::int limit 20
"""

_UNKNOWN = """
select count(*)::int as unknown_outcomes,
       extract(epoch from now() - min(first_sent_at))::float8 as unknown_oldest_s
from economic.effects where state = 'unknown'
"""

_VERDICT = """
select at, lost, double, extract(epoch from now() - at)::float8 as age_s
from economic.reconciliations order by at desc limit 1
"""


async def overview(connection: Connection, lanes: Sequence[str]) -> dict[str, Any]:
    """Return counts and oldest ages (seconds) of everything that waits, of all lanes, agreements and workers."""
    verdict = await connection.fetchrow(_VERDICT)
    return {
        "workers": await operations.workers(connection),
        "lanes": await operations.lanes(connection, lanes),
        "held_workspaces": [dict(row) for row in await connection.fetch(_HELD)],
        "budgets": [dict(row) for row in await connection.fetch(_BUDGETS)],
        "overflow": await overflow.largest(connection),
        "reconciliation": dict(verdict) if verdict else None,
        "inbox": [
            dict(row)
            for row in await connection.fetch(
                """select state, count(*)::int as count,
                          round(extract(epoch from now() - min(received_at)))::int as oldest_s
                   from economic.inbox where state not in ('done', 'dead') group by state order by state"""
            )
        ],
        "outbox": dict(
            await connection.fetchrow(
                """select count(*) filter (where not unheard)::int as count,
                          round(extract(epoch from now() - min(created_at) filter (where not unheard)))::int as oldest_s,
                          count(*) filter (where attempts > 0 and not unheard)::int as failing,
                          max(last_error) filter (where not unheard) as last_error,
                          count(*) filter (where unheard)::int as unheard,
                          array_agg(distinct type) filter (where unheard) as unheard_types
                   from economic.outbox"""
            )
        ),
        **dict(await connection.fetchrow(_UNKNOWN)),
        "storage": await retention.sizes(connection),
        "dead_letters": [
            dict(row)
            for row in await connection.fetch(
                """select cause, count(*)::int as count, min(buried_at) as since, min(problem ->> 'remedy') as remedy
                   from economic.dead_letters where state = 'open' group by cause order by count(*) desc, cause"""
            )
        ],
        "held": await gates.overview(connection),
        "imports": [
            dict(row)
            for row in await connection.fetch(
                """select workspace_id, event_id as import_id, state, cursor ->> 'stage' as stage, started_at, updated_at
                   from economic.imports where state = 'running' order by started_at"""
            )
        ],
        "connections": [
            dict(row)
            for row in await connection.fetch(
                # the last complete reading, by index: the rows' own stamps would cost a walk over every row there is
                """select c.workspace_id, c.agreement_number, c.company_name, c.status,
                          (select max(i.finished_at) from economic.imports i
                           where i.workspace_id = c.workspace_id and i.agreement_number = c.agreement_number
                             and i.state = 'completed') as last_synced_at
                   from economic.connections c order by c.workspace_id"""
            )
        ],
    }
