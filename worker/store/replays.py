"""Campaigns of replays: a frozen set of letters, who holds the campaign, and what came of each letter (B4)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from worker.store.pool import Connection


@dataclass(frozen=True, slots=True)
class Campaign:
    """A stored campaign. ``lease_left_s`` is how long its present holder may still stay silent."""

    id: UUID
    rate_per_s: float
    max_failure_share: float
    state: str
    round: int
    halted_because: str | None
    started_by: str
    owner: str | None
    lease_left_s: float


@dataclass(frozen=True, slots=True)
class Counts:
    """How far a campaign is. ``tried``, ``bad`` and ``done`` are of this round; ``pending`` have no outcome yet.

    ``released`` were not sent because it halted; others may take them.
    """

    waiting: int
    pending: int
    tried: int
    done: int
    bad: int
    skipped: int
    released: int = 0


@dataclass(frozen=True, slots=True)
class Placed:
    """One letter of a campaign."""

    letter_id: UUID
    state: str
    cause: str | None
    sent_at: datetime | None


_COLUMNS = """id, rate_per_s, max_failure_share, state, round, halted_because, started_by, owner,
              coalesce(greatest(extract(epoch from lease_until - now()), 0), 0)::float8 as lease_left_s"""

_FREEZE = """
insert into economic.replay_letters (replay_id, letter_id, place, state)
select $1, d.id, t.place, 'waiting'
from unnest($2::uuid[]) with ordinality as t(id, place) join economic.dead_letters d on d.id = t.id and d.state = 'open'
on conflict (letter_id) where state = 'waiting' do nothing
returning letter_id
"""

_RECLAIM = """
update economic.replay_letters r set state = 'waiting'
where r.replay_id = $1 and r.state = 'released'
  and exists (select 1 from economic.dead_letters d where d.id = r.letter_id and d.state = 'open')
  and not exists (select 1 from economic.replay_letters o where o.letter_id = r.letter_id and o.state = 'waiting')
"""

# A replayed event's inbox row was opened again in the commit that sent it: how it ended since is the outcome.
_SETTLE = """
update economic.replay_letters r
set state = case i.state when 'done' then 'done' when 'dead' then 'failed' else 'held' end,
    cause = case when i.state = 'dead' then i.outcome when i.state <> 'done' then i.state end,
    settled_at = now()
from economic.inbox i
where r.replay_id = $1 and r.state = 'sent' and i.source = r.watch_source and i.event_id = r.watch_event_id
  and i.state in ('done', 'dead', 'parked', 'frozen')
"""

_COUNT = """
select count(*) filter (where l.state = 'waiting')::int as waiting,
       count(*) filter (where l.state = 'sent')::int as pending,
       count(*) filter (where l.round = r.round and l.sent_at is not null)::int as tried,
       count(*) filter (where l.round = r.round and l.state = 'done')::int as done,
       count(*) filter (where l.round = r.round and l.state in ('failed', 'held'))::int as bad,
       count(*) filter (where l.state = 'skipped')::int as skipped,
       count(*) filter (where l.state = 'released')::int as released
from economic.replays r join economic.replay_letters l on l.replay_id = r.id where r.id = $1
"""


async def create(
    connection: Connection,
    campaign_id: UUID,
    *,
    selection: dict[str, Any],
    letter_ids: Sequence[UUID],
    rate_per_s: float,
    max_failure_share: float,
    by: str,
) -> list[UUID]:
    """Write a campaign and take its letters; returns those it got: open ones that wait in no other campaign."""
    await _one_at_a_time(connection)
    await connection.execute(
        """insert into economic.replays (id, selection, rate_per_s, max_failure_share, state, started_by)
           values ($1, $2, $3, $4, 'running', $5)""",
        campaign_id,
        selection,
        rate_per_s,
        max_failure_share,
        by,
    )
    rows = await connection.fetch(_FREEZE, campaign_id, list(letter_ids))
    return [row["letter_id"] for row in rows]


async def find(connection: Connection, campaign_id: UUID) -> Campaign | None:
    """Return one campaign."""
    row = await connection.fetchrow(f"select {_COLUMNS} from economic.replays where id = $1", campaign_id)  # noqa: S608
    return Campaign(**row) if row else None


async def hold(connection: Connection, campaign_id: UUID, owner: str, lease_s: float) -> bool:
    """Take or keep a running campaign (compare and swap); False while another command holds it, or it has ended."""
    return (
        await connection.fetchval(
            """update economic.replays
               set owner = $2, lease_until = now() + make_interval(secs => $3), updated_at = now()
               where id = $1 and state = 'running' and (owner is null or owner = $2 or lease_until < now())
               returning 1""",
            campaign_id,
            owner,
            lease_s,
        )
        is not None
    )


async def let_go(connection: Connection, campaign_id: UUID, owner: str) -> None:
    """Give a campaign up, so that the next command need not wait for the lease to end."""
    await connection.execute(
        "update economic.replays set owner = null, lease_until = null where id = $1 and owner = $2", campaign_id, owner
    )


async def reopen(connection: Connection, campaign_id: UUID) -> bool:
    """Make a halted campaign run again, in a new round, with those of its letters that are still free."""
    await _one_at_a_time(connection)
    opened = await connection.fetchval(
        """update economic.replays
           set state = 'running', round = round + 1, halted_because = null, finished_at = null, owner = null,
               lease_until = null, updated_at = now()
           where id = $1 and state = 'halted' returning 1""",
        campaign_id,
    )
    if opened is not None:
        await connection.execute(_RECLAIM, campaign_id)
    return opened is not None


async def next_letter(connection: Connection, campaign_id: UUID) -> UUID | None:
    """Return the next letter to send, oldest first."""
    found: UUID | None = await connection.fetchval(
        """select letter_id from economic.replay_letters where replay_id = $1 and state = 'waiting'
           order by place limit 1 for update""",
        campaign_id,
    )
    return found


async def mark_sent(connection: Connection, campaign_id: UUID, letter_id: UUID, watch: tuple[str, str]) -> None:
    """Note that a letter was sent and which inbox row shows its outcome."""
    await connection.execute(
        """update economic.replay_letters l
           set state = 'sent', sent_at = now(), round = r.round, watch_source = $3, watch_event_id = $4
           from economic.replays r where l.replay_id = $1 and l.letter_id = $2 and r.id = l.replay_id""",
        campaign_id,
        letter_id,
        *watch,
    )


async def mark_skipped(connection: Connection, campaign_id: UUID, letter_id: UUID) -> None:
    """Note that somebody else closed a letter first."""
    await connection.execute(
        """update economic.replay_letters set state = 'skipped', settled_at = now()
           where replay_id = $1 and letter_id = $2""",
        campaign_id,
        letter_id,
    )


async def settle(connection: Connection, campaign_id: UUID) -> Counts:
    """Note the outcomes that have come since, and return how far the campaign is."""
    await connection.execute(_SETTLE, campaign_id)
    return Counts(**await connection.fetchrow(_COUNT, campaign_id))


async def look(connection: Connection, campaign_id: UUID) -> Counts:
    """Return how far a campaign is, as noted so far; nothing is written."""
    return Counts(**await connection.fetchrow(_COUNT, campaign_id))


async def end(connection: Connection, campaign_id: UUID, *, halted_because: str | None) -> None:
    """End a campaign. A halted one lets its unsent letters go; it may be resumed."""
    await connection.execute(
        """update economic.replays
           set state = $2, halted_because = $3, owner = null, lease_until = null, updated_at = now(), finished_at = now()
           where id = $1""",
        campaign_id,
        "halted" if halted_because else "done",
        halted_because,
    )
    await connection.execute(
        "update economic.replay_letters set state = 'released' where replay_id = $1 and state = 'waiting'", campaign_id
    )


async def letters_of(connection: Connection, campaign_id: UUID) -> list[Placed]:
    """Return a campaign's letters in their order."""
    rows = await connection.fetch(
        """select letter_id, state, cause, sent_at from economic.replay_letters where replay_id = $1 order by place""",
        campaign_id,
    )
    return [Placed(**row) for row in rows]


async def shown(connection: Connection, campaign_id: UUID, limit: int) -> list[Placed]:
    """Return some of a campaign's letters: first those that went wrong, then those at work, then the rest."""
    rows = await connection.fetch(
        """select letter_id, state, cause, sent_at from economic.replay_letters where replay_id = $1
           order by array_position(array['failed', 'held', 'sent', 'skipped', 'waiting', 'released', 'done'], state), place
           limit $2""",
        campaign_id,
        limit,
    )
    return [Placed(**row) for row in rows]


async def recent(connection: Connection, limit: int) -> list[dict[str, Any]]:
    """Return campaigns, the newest first, with how many letters each has and how they stand."""
    rows = await connection.fetch(
        """select r.id, r.state, r.started_by, r.started_at, r.finished_at, r.halted_because,
                  count(l.letter_id)::int as letters, (count(*) filter (where l.state = 'done'))::int as done,
                  (count(*) filter (where l.state in ('failed', 'held')))::int as bad
           from (select * from economic.replays order by started_at desc limit $1) r
           left join economic.replay_letters l on l.replay_id = r.id
           group by 1, 2, 3, 4, 5, 6 order by r.started_at desc""",
        limit,
    )
    return [dict(row) for row in rows]


async def taken(connection: Connection, letter_ids: Sequence[UUID]) -> dict[UUID, UUID]:
    """Return letter → campaign for those of these letters that wait in one."""
    rows = await connection.fetch(
        "select letter_id, replay_id from economic.replay_letters where letter_id = any($1) and state = 'waiting'",
        list(letter_ids),
    )
    return {row["letter_id"]: row["replay_id"] for row in rows}


async def _one_at_a_time(connection: Connection) -> None:
    """Campaigns take letters one after the other, so that none of two meets a half-taken set."""
    await connection.execute("select pg_advisory_xact_lock(hashtext('economic.replays'))")
