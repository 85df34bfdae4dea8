"""What is forgotten after how long, and the statements that forget it, a stretch of a table at a time.

Nothing that is unfinished, unknown, parked or waits for somebody's decision is ever forgotten, and the ledger of what
was sent to e-conomic (``economic.effects``) never at all: it is what keeps a late repeat from being sent twice.

A stretch is a range of the table's pages, so that no statement takes long, whatever the table's size, and no index is
needed that every event would pay for. Rows that somebody else holds are left for the next pass.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from worker.store.pool import Connection

STRETCH_PAGES = 256
"""2 MiB of a table: tens of milliseconds, also when all of it goes."""

_LOCK = 0x50494B46
"""Advisory lock of the one process that prunes."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Rows ``r`` of a table that go once they are ``kind`` days old. ``$3`` in the condition is that moment."""

    kind: str
    table: str
    condition: str


# What an import of changes counts from, what may be undone, and what is pruned before its import.
_NOBODY_NEEDS_IT = """
(r.state <> 'completed' or r.dry_run or exists (
    select 1 from economic.imports n
    where n.workspace_id = r.workspace_id and n.agreement_number = r.agreement_number
      and n.state = 'completed' and not n.dry_run and n.entities @> r.entities and n.started_at > r.started_at))
and not exists (select 1 from pike.products p
                where p.workspace_id = r.workspace_id and p.deactivated_by_import = r.id and not p.active)
and not exists (select 1 from economic.import_preview p where p.import_id = r.id)
and not exists (select 1 from economic.import_rejects p where p.import_id = r.id)"""

POLICIES = (
    # An event with an open letter may be replayed, one that a campaign has sent is watched.
    Policy(
        "events",
        "economic.inbox",
        """r.state in ('done', 'dead') and r.finished_at < $3
           and not exists (select 1 from economic.dead_letters d
                           where d.source = r.source and d.event_id = r.event_id and d.state = 'open')
           and not exists (select 1 from economic.replay_letters l
                           where l.state = 'sent' and l.watch_source = r.source and l.watch_event_id = r.event_id)""",
    ),
    # Children before parents, so that no cascade grows long. A halted campaign keeps letters that may still be sent.
    Policy(
        "letters",
        "economic.replay_letters",
        """r.state not in ('waiting', 'sent')
           and exists (select 1 from economic.replays p
                       where p.id = r.replay_id and p.state in ('done', 'halted') and p.finished_at < $3)
           and not exists (select 1 from economic.dead_letters d where d.id = r.letter_id and d.state = 'open')""",
    ),
    Policy(
        "letters",
        "economic.replays",
        """r.state in ('done', 'halted') and r.finished_at < $3
           and not exists (select 1 from economic.replay_letters l where l.replay_id = r.id)""",
    ),
    # A dead event without its letter would count as lost (pike-economic reconcile): the letter goes after it.
    Policy(
        "letters",
        "economic.dead_letters",
        """r.state in ('replayed', 'discarded') and r.closed_at < $3
           and not exists (select 1 from economic.inbox i where i.source = r.source and i.event_id = r.event_id)
           and not exists (select 1 from economic.replay_letters l where l.letter_id = r.id)""",
    ),
    Policy("history", "economic.audit", "r.at < $3"),
    Policy(
        "details",
        "economic.import_preview",
        "exists (select 1 from economic.imports i where i.id = r.import_id and i.finished_at < $3)",
    ),
    Policy(
        "details",
        "economic.import_rejects",
        "exists (select 1 from economic.imports i where i.id = r.import_id and i.finished_at < $3)",
    ),
    # An event that is remembered may start its import again. The schedule makes a hundred a day of each connection:
    # those go with their details, unless a letter waits for somebody's decision.
    Policy(
        "imports",
        "economic.imports",
        f"""r.state <> 'running' and r.finished_at < $3 and {_NOBODY_NEEDS_IT}
           and not exists (select 1 from economic.inbox i where i.source = r.event_source and i.event_id = r.event_id)""",  # noqa: S608
    ),
    Policy(
        "details",
        "economic.imports",
        f"""r.scheduled and r.state <> 'running' and r.finished_at < $3 and {_NOBODY_NEEDS_IT}
           and not exists (select 1 from economic.dead_letters d
                           where d.source = r.event_source and d.event_id = r.event_id and d.state = 'open')""",  # noqa: S608
    ),
    Policy("acts", "economic.operator_audit", "r.at < $3"),
    Policy("acts", "economic.access_audit", "r.at < $3"),
    Policy("acts", "economic.operator_requests", "r.at < $3"),
)

_PAGES = "select pg_relation_size($1::regclass) / current_setting('block_size')::int"

# The rows are locked first, so that one that somebody works on is passed over instead of waited for.
_PRUNE = """
delete from {table} where ctid = any (array(
    select r.ctid from {table} r where r.ctid >= $1::tid and r.ctid < $2::tid and {condition} for update skip locked))
"""

_DUE = """
select not exists (select 1 from economic.housekeeping
                   where task = 'retention' and ended_at > now() - make_interval(secs => $1))
"""

_BEGUN = """
insert into economic.housekeeping (task) values ('retention')
on conflict (task) do update set began_at = now(), ended_at = null
"""

_ENDED = "update economic.housekeeping set ended_at = now(), done = $1 where task = 'retention'"

_SIZES = """
select n.nspname || '.' || c.relname as table, pg_total_relation_size(c.oid) as bytes,
       greatest(c.reltuples, 0)::bigint as about_rows
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('economic', 'pike') and c.relkind = 'r' order by 2 desc, 1
"""


async def take_turn(connection: Connection, every_s: float) -> bool:
    """Begin a pass, unless another process is at it or the last whole one ended less than ``every_s`` seconds ago.

    Whoever gets True prunes on this connection, which holds the lock until it is given back.
    """
    if not await connection.fetchval("select pg_try_advisory_lock($1)", _LOCK):
        return False
    if not await connection.fetchval(_DUE, every_s):
        return False
    await connection.execute(_BEGUN)
    await connection.execute("set statement_timeout = '10s'")
    await connection.execute("set pike_economic.housekeeping = 'on'")
    return True


async def end_turn(connection: Connection, done: Mapping[str, int]) -> None:
    """Note that a whole pass was done, with the rows that went by table."""
    await connection.execute(_ENDED, dict(done))


async def pages(connection: Connection, policy: Policy) -> int:
    """Return how many pages a policy's table has."""
    count: int = await connection.fetchval(_PAGES, policy.table)
    return count


async def prune(connection: Connection, policy: Policy, page: int, before: datetime) -> int:
    """Forget what a stretch of pages beginning with ``page`` holds from before that moment; returns how many rows."""
    status: str = await connection.execute(
        _PRUNE.format(table=policy.table, condition=policy.condition), (page, 0), (page + STRETCH_PAGES, 0), before
    )
    return int(status.rsplit(" ", 1)[1])


async def sizes(connection: Connection) -> dict[str, Any]:
    """Return bytes of all our tables with their indexes, the largest ones, and when pruning last came to its end."""
    rows = [dict(row) for row in await connection.fetch(_SIZES)]
    last = await connection.fetchrow("select ended_at, done from economic.housekeeping where task = 'retention'")
    return {
        "bytes": sum(row["bytes"] for row in rows),
        "largest": rows[:5],
        "pruned_at": last["ended_at"] if last else None,
        "pruned": last["done"] if last else {},
    }
