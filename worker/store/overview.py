"""Figures for one screen: what waits, what is stuck, and since when."""

from typing import Any

from worker.store import gates
from worker.store.pool import Connection


async def overview(connection: Connection) -> dict[str, Any]:
    """Return counts and oldest ages (seconds) of inbox, outbox, effects, dead letters, imports and connections."""
    return {
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
        "unknown_outcomes": await connection.fetchval(
            "select count(*)::int from economic.effects where state = 'unknown'"
        ),
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
                """select c.workspace_id, c.agreement_number, c.company_name, c.status, s.last_synced_at
                   from economic.connections c
                   left join (select workspace_id, max(last_synced_at) as last_synced_at
                              from pike_reporting.sync_status group by workspace_id) s using (workspace_id)
                   order by c.workspace_id"""
            )
        ],
    }
