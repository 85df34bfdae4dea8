"""Figures for monitoring, in few cheap statements: counts and ages over what is unfinished, never over history."""

from collections.abc import Sequence
from typing import Any

from worker.store import operations, overflow
from worker.store.pool import Connection

_INBOX = """
select state, count(*)::int as count, extract(epoch from now() - min(received_at))::float8 as oldest_s
from economic.inbox where state not in ('done', 'dead') group by state
"""
_OUTBOX = """
select count(*) filter (where not unheard)::int as waiting, count(*) filter (where unheard)::int as unheard,
       coalesce(extract(epoch from now() - min(created_at) filter (where not unheard)), 0)::float8 as oldest_s
from economic.outbox
"""
_COUNTED = {
    "dead_letters": "select cause as label, count(*)::int as n from economic.dead_letters where state = 'open' group by cause",
    "held_agreements": """select held_because as label, count(*)::int as n from economic.gates
                          where held_until > now() and agreement_number <> 0 group by held_because""",
    # open: nobody calls; half_open: the next event tries whether e-conomic answers again
    "breakers": """select case when held_until > now() then 'open' else 'half_open' end as label, count(*)::int as n
                   from economic.gates where opened > 0 and (held_because = 'breaker' or held_because is null)
                   group by 1""",
    "hooks": """select h.state as label, count(*)::int as n from economic.hooks h
                join economic.connections c on c.id = h.connection_id where c.status <> 'closed' group by h.state""",
    "replayed_letters": """select l.state as label, count(*)::int as n
                           from economic.replay_letters l join economic.replays r on r.id = l.replay_id
                           where r.started_at > now() - interval '1 day' group by l.state""",
}
_SINGLE = {
    "unknown_outcomes": "select count(*)::int from economic.effects where state = 'unknown'",
    "oldest_unknown_outcome_seconds": """select coalesce(extract(epoch from now() - min(first_sent_at)), 0)::float8
                                         from economic.effects where state = 'unknown'""",
    "revoked_connections": "select count(*)::int from economic.connections where status = 'revoked'",
    "pending_hints": "select count(*)::int from economic.hints",
    "oldest_pending_hint_seconds": """select coalesce(extract(epoch from now() - min(h.first_at)), 0)::float8
                                      from economic.hints h join economic.connections c on c.id = h.connection_id
                                      where c.status = 'active'""",
    # rounds of connections that may be called and had one before: a first import is nobody's delay
    "sync_overdue_seconds": """select coalesce(greatest(extract(epoch from now() - min(s.next_at)), 0), 0)::float8
                               from economic.schedules s join economic.connections c on c.id = s.connection_id
                               left join economic.gates g on g.agreement_number = c.agreement_number and g.held_until > now()
                               where c.status = 'active' and s.last_end_at is not null and g.agreement_number is null""",
    "running_imports": "select count(*)::int from economic.imports where state = 'running'",
}
_OVERFLOW = {
    "overflow_messages": "messages",
    "overflow_workspaces": "workspaces",
    "overflow_oldest_message_seconds": "oldest_s",
}
_VERDICT = """
select lost, double, extract(epoch from now() - at)::float8 as age_s from economic.reconciliations order by at desc limit 1
"""


async def read(connection: Connection, lanes: Sequence[str]) -> dict[str, Any]:
    """Return figures by name; those by label are dictionaries. No verdict of a proof: those three are absent."""
    seen: dict[str, Any] = {"unfinished_events": {}, "oldest_unfinished_event_seconds": {}}
    for row in await connection.fetch(_INBOX):
        seen["unfinished_events"][row["state"]] = row["count"]
        seen["oldest_unfinished_event_seconds"][row["state"]] = row["oldest_s"]
    outbox = await connection.fetchrow(_OUTBOX)
    seen["outbox_messages"], seen["outbox_unheard_messages"] = outbox["waiting"], outbox["unheard"]
    seen["outbox_oldest_message_seconds"] = outbox["oldest_s"]
    for name, sql in _COUNTED.items():
        seen[name] = {row["label"]: row["n"] for row in await connection.fetch(sql)}
    seen["breakers"] = {"open": 0, "half_open": 0} | seen["breakers"]
    for name, sql in _SINGLE.items():
        seen[name] = await connection.fetchval(sql)
    waiting = await operations.lanes(connection, lanes)
    seen["lane_unfinished_events"] = {row["lane"]: row["unfinished"] for row in waiting}
    seen["lane_oldest_event_seconds"] = {row["lane"]: row["oldest_s"] for row in waiting}
    seen["queue_messages"] = {row["lane"]: row["messages"] for row in waiting if row["messages"] is not None}
    aside = {row["lane"]: row for row in await overflow.waiting(connection)}
    for name, column in _OVERFLOW.items():
        seen[name] = {lane: aside[lane][column] if lane in aside else 0 for lane in lanes}
    seen["workers"] = {"running": 0, "stopping": 0, "gone": 0}
    for row in await operations.workers(connection):
        seen["workers"][row["state"]] += 1
    verdict = await connection.fetchrow(_VERDICT)
    if verdict is not None:
        seen["reconcile_lost"], seen["reconcile_double"] = verdict["lost"], verdict["double"]
        seen["reconcile_age_seconds"] = verdict["age_s"]
    return seen


async def note_verdict(connection: Connection, lost: int, double: int) -> None:
    """Keep the verdict of a proof over everything; only the last hundred are kept."""
    await connection.execute("insert into economic.reconciliations (lost, double) values ($1, $2)", lost, double)
    await connection.execute(
        "delete from economic.reconciliations where id <= (select max(id) - 100 from economic.reconciliations)"
    )
