"""What operators look at beside the work itself: workers, and samples of queues and outcomes over the last day."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from worker.store.pool import Connection

SLOT_S = 30
"""Length of a sample."""
GONE_AFTER_S = 45.0
"""A worker that was silent for so long is gone; heartbeats come every ten seconds."""
GONE_FOR_S = 15 * 60.0
"""How long a worker that went away is reported as gone: by then it is a matter of the past."""
MANY_BUDGETS = 20


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A worker as it sees itself."""

    id: UUID
    host: str
    pid: int
    version: str
    commit: str
    state: str
    consumers: Mapping[str, bool]
    in_work: int
    loop_lag_s: float
    outcomes: Mapping[str, int]
    budgets: Mapping[str, float]


_BEAT = """
insert into economic.workers (id, host, pid, version, commit, state, consumers, in_work, loop_lag_s, outcomes, budgets)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
on conflict (id) do update
set state = excluded.state, seen_at = now(), consumers = excluded.consumers, in_work = excluded.in_work,
    loop_lag_s = excluded.loop_lag_s, outcomes = excluded.outcomes, budgets = excluded.budgets
"""

_SLOT = f"to_timestamp(floor(extract(epoch from now()) / {SLOT_S}) * {SLOT_S})"

# What waits for a person (parked, frozen) is no work that is late.
_LANES = """
select l.lane, count(i.source)::int as unfinished,
       coalesce(extract(epoch from now() - min(i.received_at)), 0)::float8 as oldest_s
from unnest($1::text[]) as l(lane)
left join economic.inbox i on i.lane = l.lane and i.state not in ('done', 'dead') and i.state not in ('parked', 'frozen')
group by l.lane
"""

_SAMPLE_LANES = f"""
insert into economic.lane_samples (at, lane, unfinished, oldest_s)
select {_SLOT}, s.lane, s.unfinished, s.oldest_s from ({_LANES}) s
where not exists (select 1 from economic.lane_samples where at = {_SLOT})
on conflict do nothing returning at
"""  # noqa: S608

_NOTE_DEPTHS = """
update economic.lane_samples s set messages = t.messages
from unnest($2::text[], $3::int[]) as t(lane, messages) where s.at = $1 and s.lane = t.lane
"""

_NOTE_WORK = f"""
insert into economic.work_samples as w (at, worker_id, event_type, outcomes, critical)
select {_SLOT}, $1, t.event_type, t.outcomes, t.critical::int[]
from unnest($2::text[], $3::jsonb[], $4::text[]) as t(event_type, outcomes, critical)
on conflict (at, worker_id, event_type) do update
set outcomes = (select jsonb_object_agg(key, n) from (
        select key, sum(value::int) as n
        from (select * from jsonb_each_text(w.outcomes) union all select * from jsonb_each_text(excluded.outcomes)) both_
        group by key) added),
    critical = array(select coalesce(a, 0) + coalesce(b, 0)
                     from unnest(w.critical, excluded.critical) with ordinality as t(a, b, place) order by place)
"""  # noqa: S608

_PRUNE = """
with lanes as (delete from economic.lane_samples where at < now() - interval '1 day'),
     done as (delete from economic.work_samples where at < now() - interval '1 day')
delete from economic.workers where seen_at < now() - interval '1 day'
"""

_WORKERS = """
select id, host, pid, version, commit, consumers, in_work, loop_lag_s, outcomes, budgets, started_at, seen_at,
       extract(epoch from now() - seen_at)::float8 as silent_s,
       case when state = 'stopped' then 'stopped' when seen_at < now() - make_interval(secs => $1) then 'gone'
            else state end as state
from economic.workers where state <> 'stopped' and seen_at > now() - make_interval(secs => $2)
order by started_at, id
"""

_DEPTHS = """
select lane, messages from economic.lane_samples where at = (select max(at) from economic.lane_samples)
"""

# Buckets of a width that gives about the points asked for; the worst of each is what matters.
_HISTORY = """
select to_timestamp(floor(extract(epoch from at) / $2) * $2) as at, lane, max(messages) as messages,
       max(unfinished) as unfinished, max(oldest_s) as oldest_s
from economic.lane_samples where at > now() - make_interval(secs => $1) group by 1, lane order by 1, lane
"""

_WORK = """
select w.event_type, sum(o.value::int)::int as n, o.key as outcome
from economic.work_samples w cross join jsonb_each_text(w.outcomes) o
where w.at > now() - make_interval(secs => $1) group by w.event_type, o.key order by w.event_type, o.key
"""

_CRITICAL = """
select w.event_type, c.place::int as place, sum(c.n)::int as n
from economic.work_samples w cross join unnest(w.critical) with ordinality as c(n, place)
where w.at > now() - make_interval(secs => $1) group by w.event_type, c.place order by w.event_type, c.place
"""

_THROUGHPUT = """
select to_timestamp(floor(extract(epoch from w.at) / $2) * $2) as at, o.key as outcome, sum(o.value::int)::int as n
from economic.work_samples w cross join jsonb_each_text(w.outcomes) o
where w.at > now() - make_interval(secs => $1) group by 1, o.key order by 1, o.key
"""


async def beat(connection: Connection, heartbeat: Heartbeat) -> None:
    """Renew a worker's row."""
    await connection.execute(_BEAT, *asdict(heartbeat).values())


async def sample_lanes(connection: Connection, lanes: Sequence[str]) -> datetime | None:
    """Write what waits in each lane now, once per slot over all workers; ``None`` when another worker was first."""
    rows = await connection.fetch(_SAMPLE_LANES, list(lanes))
    return rows[0]["at"] if rows else None


async def note_depths(connection: Connection, slot: datetime, depths: Mapping[str, int]) -> None:
    """Add how many messages lie in RabbitMQ's queues to a sample."""
    await connection.execute(_NOTE_DEPTHS, slot, list(depths), list(depths.values()))


async def note_work(
    connection: Connection, worker_id: UUID, done: Mapping[str, tuple[Mapping[str, int], Sequence[int]]]
) -> None:
    """Add what a worker did to the present slot: per event type its outcomes, and final ones by critical time."""
    outcomes = [counts for counts, _ in done.values()]
    # as text: an array of arrays would have to be a rectangle and would be unnested to its numbers
    critical = ["{" + ",".join(map(str, classes)) + "}" for _, classes in done.values()]
    await connection.execute(_NOTE_WORK, worker_id, list(done), outcomes, critical)


async def prune(connection: Connection) -> None:
    """Forget samples and workers of more than a day ago."""
    await connection.execute(_PRUNE)


async def workers(connection: Connection) -> list[dict[str, Any]]:
    """Return the workers that run, stop, or went away a short while ago, oldest first."""
    rows = await connection.fetch(_WORKERS, GONE_AFTER_S, GONE_FOR_S)
    return [dict(row) | {"budgets": {key: float(left) for key, left in row["budgets"].items()}} for row in rows]


async def lanes(connection: Connection, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return what waits per lane now (events, oldest age in seconds), with the queue's depth as last sampled."""
    depths = {row["lane"]: row["messages"] for row in await connection.fetch(_DEPTHS)}
    rows = {row["lane"]: row for row in await connection.fetch(_LANES, list(names))}
    return [dict(rows[name]) | {"messages": depths.get(name)} for name in names]


async def lane_history(connection: Connection, span_s: float, points: int = 120) -> list[dict[str, Any]]:
    """Return the worst of each interval per lane over the last ``span_s`` seconds, in about so many points."""
    return [dict(row) for row in await connection.fetch(_HISTORY, span_s, _width(span_s, points))]


async def throughput_history(connection: Connection, span_s: float, points: int = 120) -> list[dict[str, Any]]:
    """Return deliveries by outcome per interval over the last ``span_s`` seconds."""
    return [dict(row) for row in await connection.fetch(_THROUGHPUT, span_s, _width(span_s, points))]


async def work(connection: Connection, span_s: float) -> dict[str, dict[str, int]]:
    """Return deliveries of the last ``span_s`` seconds: event type → outcome → count."""
    found: dict[str, dict[str, int]] = {}
    for row in await connection.fetch(_WORK, span_s):
        found.setdefault(row["event_type"], {})[row["outcome"]] = row["n"]
    return found


async def critical_times(connection: Connection, span_s: float) -> dict[str, list[int]]:
    """Return final outcomes of the last ``span_s`` seconds by class of critical time, per event type."""
    found: dict[str, list[int]] = {}
    for row in await connection.fetch(_CRITICAL, span_s):
        found.setdefault(row["event_type"], []).append(row["n"])
    return found


def _width(span_s: float, points: int) -> float:
    return float(max(SLOT_S, round(span_s / points / SLOT_S) * SLOT_S))
