"""Gates: what all workers know together about whether an agreement may be called (breaker, hold, budget).

Times are the database's, so that machines agree. The healthy path writes nothing here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from worker.store.pool import Connection

WHOLE = 0
"""The row that stands for e-conomic as a whole."""


@dataclass(frozen=True, slots=True)
class Gate:
    """An agreement's gate as seen at a claim. ``held_s``: seconds until anybody may call, 0 when open."""

    agreement_number: int
    failures: int = 0
    held_s: float = 0.0
    held_because: Literal["breaker", "rate"] | None = None
    whole: bool = False
    """Whether it is e-conomic as a whole that is held."""


@dataclass(frozen=True, slots=True)
class Reserved:
    """Tokens granted to this process; when none, the seconds until asking again makes sense."""

    tokens: float
    wait_s: float


_PROBE = """
update economic.gates set probe_until = now() + make_interval(secs => $2), updated_at = now()
where agreement_number = $1 and (probe_until is null or probe_until <= now())
returning 1
"""

# The failure that reaches the limit opens the breaker, and so does every one after that: a failed probe. Each time it
# stays open twice as long.
_FAILED = """
insert into economic.gates as g (agreement_number, failures, opened, held_until, held_because)
values ($1, 1, ($2 <= 1)::int, case when $2 <= 1 then now() + make_interval(secs => $3) end,
        case when $2 <= 1 then 'breaker' end)
on conflict (agreement_number) do update
set failures = g.failures + 1, probe_until = null, updated_at = now(),
    opened = g.opened + (g.failures + 1 >= $2 and coalesce(g.held_until, now()) <= now())::int,
    held_until = case when g.failures + 1 >= $2 and coalesce(g.held_until, now()) <= now()
                      then now() + make_interval(secs => least($3 * power(2, least(g.opened, 20)), $4))
                      else g.held_until end,
    held_because = case when g.failures + 1 >= $2 and coalesce(g.held_until, now()) <= now()
                        then 'breaker' else g.held_because end
returning failures >= $2 and held_until > now() as open
"""

_ANSWERED = """
update economic.gates
set failures = 0, opened = 0, probe_until = null, updated_at = now(),
    held_until = case when held_because = 'breaker' then null else held_until end,
    held_because = case when held_because = 'breaker' then null else held_because end
where agreement_number = any($1::int[])
"""

_HOLD = """
insert into economic.gates as g (agreement_number, held_until, held_because)
values ($1, now() + make_interval(secs => $2), 'rate')
on conflict (agreement_number) do update
set held_until = greatest(g.held_until, excluded.held_until), updated_at = now(),
    held_because = case when g.held_until > excluded.held_until then g.held_because else 'rate' end
"""

# tokens = what was left, plus what came back since, but never more than e-conomic itself states.
_RESERVE = """
insert into economic.gates as g (agreement_number, tokens, budget, window_s, counted_at)
values ($1, $2, $3, $4, now())
on conflict (agreement_number) do update
set tokens = least(excluded.tokens,
                   coalesce(g.tokens, excluded.tokens)
                   + extract(epoch from now() - coalesce(g.counted_at, now()))::float8 * excluded.budget / excluded.window_s),
    budget = excluded.budget, window_s = excluded.window_s, counted_at = now(), updated_at = now()
returning tokens
"""

_TAKE = """
update economic.gates set tokens = tokens - $2, updated_at = now() where agreement_number = $1
"""

_OPEN_BREAKERS = """
select count(*) from economic.gates
where agreement_number <> 0 and held_because = 'breaker' and held_until > now()
"""

_OVERVIEW = """
select agreement_number, held_because as because, failures,
       round(extract(epoch from held_until - now()))::int as for_s
from economic.gates where held_until > now() or failures > 0 order by agreement_number
"""


def columns_of(alias: str) -> str:
    """SQL: the columns that ``read`` wants."""
    return f"""{alias}.failures, {alias}.held_because,
       greatest(extract(epoch from {alias}.held_until - now()), 0)::float8 as held_s"""


def read(row: Any, agreement: int) -> Gate:
    """Return the gate that a row with these columns tells of."""
    return Gate(agreement, row["failures"], row["held_s"] or 0.0, row["held_because"], agreement == WHOLE)


async def take_probe(connection: Connection, agreement: int, lease_s: float) -> bool:
    """Become the one that tries whether e-conomic answers again; False when somebody is at it."""
    return await connection.fetchval(_PROBE, agreement, lease_s) is not None


async def failed(connection: Connection, agreement: int, *, limit: int, cooldown_s: float, longest_s: float) -> bool:
    """Count a failure; ``limit`` in a row open the breaker. Returns whether it is open now."""
    return bool(await connection.fetchval(_FAILED, agreement, limit, cooldown_s, longest_s))


async def answered(connection: Connection, agreements: Sequence[int]) -> None:
    """e-conomic answers: forget the failures and close the breaker. A hold that it asked for stays."""
    await connection.execute(_ANSWERED, list(agreements))


async def hold(connection: Connection, agreement: int, seconds: float) -> None:
    """Let nobody call the agreement for so long, because e-conomic asked for it."""
    await connection.execute(_HOLD, agreement, seconds)


async def open_breakers(connection: Connection) -> int:
    """Return how many agreements have an open breaker now."""
    count: int = await connection.fetchval(_OPEN_BREAKERS)
    return count


async def reserve(
    connection: Connection,
    agreement: int,
    *,
    want: float,
    keep_share: float,
    stated_left: float,
    budget: float,
    window_s: float,
) -> Reserved:
    """Take up to ``want`` tokens for this process, leaving ``keep_share`` of the budget to others.

    ``stated_left`` is what e-conomic itself said is left. To be called within a transaction.
    """
    left: float = await connection.fetchval(_RESERVE, agreement, stated_left, budget, window_s)
    granted = min(want, left - keep_share * budget)
    if granted < 1:
        return Reserved(0.0, max(1.0, (1 + keep_share * budget - left) * window_s / budget))
    await connection.execute(_TAKE, agreement, granted)
    return Reserved(granted, 0.0)


async def overview(connection: Connection) -> list[dict[str, Any]]:
    """Return every gate that is held or has failures; agreement 0 is e-conomic as a whole."""
    return [dict(row) for row in await connection.fetch(_OVERVIEW)]
