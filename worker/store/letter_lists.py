"""Dead letters as the console lists them: groups counted in the database, and pages by key, newest first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from worker.store.dead_letters import DeadLetter
from worker.store.pool import Connection

STATES = ("open", "replayed", "discarded")


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which letters; ``None`` narrows nothing. ``group`` is (cause, error code, place, agreement number)."""

    state: str | None = "open"
    cause: str | None = None
    workspace_id: str | None = None
    event_type: str | None = None
    group: tuple[str, str | None, str | None, int | None] | None = None

    @property
    def values(self) -> tuple[Any, ...]:
        """The statements' first parameters."""
        group = self.group or (None, None, None, None)
        return (self.state, self.cause, self.workspace_id, self.event_type, self.group is not None, *group)


@dataclass(frozen=True, slots=True)
class Counted:
    """One group of letters. ``newest`` are up to three of its letters."""

    cause: str
    error_code: str | None
    place: str | None
    agreement_number: int | None
    count: int
    oldest: datetime
    workspaces: int
    newest: list[UUID]


_COLUMNS = ", ".join(f"d.{name}" for name in DeadLetter.__dataclass_fields__)

# The same four as ``worker.runtime.letters.key_of`` reads from a letter.
_KEYED = r"""
economic.dead_letters d
left join economic.connections c on c.workspace_id = d.workspace_id
cross join lateral (select
    nullif(d.problem -> 'economic' ->> 'error_code', '') as error_code,
    regexp_replace(coalesce(nullif(d.problem -> 'economic' ->> 'property', ''), nullif(d.problem -> 'fields' ->> 0, '')),
                   '\[\d+\]', '[]', 'g') as place) k
"""

_FITS = """
($1::text is null or d.state = $1) and ($2::text is null or d.cause = $2)
and ($3::text is null or d.workspace_id = $3) and ($4::text is null or d.type = $4)
and (not $5 or (d.cause = $6 and k.error_code is not distinct from $7::text and k.place is not distinct from $8::text
                and c.agreement_number is not distinct from $9::int))
"""

_GROUPS = f"""
select d.cause, k.error_code, k.place, c.agreement_number, count(*)::int as count, min(d.received_at) as oldest,
       count(distinct d.workspace_id)::int as workspaces, (array_agg(d.id order by d.buried_at desc))[1:3] as newest
from {_KEYED} where {_FITS} group by 1, 2, 3, 4 order by count(*) desc, min(d.received_at)
"""  # noqa: S608

_PAGE = f"""
select {_COLUMNS} from {_KEYED}
where {_FITS} and ($11::timestamptz is null or (d.buried_at, d.id) {{than}} ($11, $12::uuid))
order by d.buried_at {{way}}, d.id {{way}} limit $10
"""  # noqa: S608
_OLDER, _NEWER = _PAGE.format(than="<", way="desc"), _PAGE.format(than=">", way="asc")

_IDS = f"select d.id from {_KEYED} where {_FITS} order by d.buried_at, d.id"  # noqa: S608


async def groups(connection: Connection, chosen: Chosen) -> list[Counted]:
    """Return what fits in groups, the largest first."""
    return [Counted(**row) for row in await connection.fetch(_GROUPS, *chosen.values)]


async def page(
    connection: Connection, chosen: Chosen, limit: int, key: tuple[datetime, UUID] | None, *, backwards: bool
) -> list[DeadLetter]:
    """Return letters beyond a key: older ones, newest first; backwards, newer ones, oldest first."""
    sql = _NEWER if backwards else _OLDER
    rows = await connection.fetch(sql, *chosen.values, limit, *(key or (None, None)))
    return [DeadLetter(**row) for row in rows]


async def ids(connection: Connection, chosen: Chosen) -> list[UUID]:
    """Return the ids of everything that fits, oldest first, as a replay takes them."""
    return [row["id"] for row in await connection.fetch(_IDS, *chosen.values)]


async def types(connection: Connection) -> Sequence[str]:
    """Return the event types of open letters, for a list to choose from."""
    rows = await connection.fetch(
        "select distinct type from economic.dead_letters where state = 'open' and type is not null order by type limit 50"
    )
    return [row["type"] for row in rows]


async def causes(connection: Connection) -> Sequence[str]:
    """Return the causes of open letters, for a list to choose from."""
    rows = await connection.fetch(
        "select distinct cause from economic.dead_letters where state = 'open' order by cause"
    )
    return [row["cause"] for row in rows]
