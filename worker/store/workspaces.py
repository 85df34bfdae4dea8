"""Workspaces as people look at them: which there are and what needs somebody, and one with its counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from worker.store.pool import Connection

PAGE = 50


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace's connection and what waits for a person. ``last_import_at``: when the last complete one ended."""

    workspace_id: str
    agreement_number: int
    company_name: str
    base_currency: str
    status: str
    connected_at: datetime
    last_import_at: datetime | None
    importing: bool
    open_letters: int
    open_matches: int


@dataclass(frozen=True, slots=True)
class Count:
    """Records of one kind in a workspace, counted up to ``COUNTED``."""

    entity: str
    records: int
    with_problem: int


COUNTED = 10_000
"""Counting goes no further: a page must not take longer because a workspace is large."""


_COLUMNS = """
c.workspace_id, c.agreement_number, c.company_name, c.base_currency, c.status, c.connected_at,
(select i.finished_at from economic.imports i where i.workspace_id = c.workspace_id and i.state = 'completed' and not i.dry_run
 order by i.started_at desc, i.id desc limit 1) as last_import_at,
exists (select 1 from economic.imports i where i.workspace_id = c.workspace_id and i.state = 'running') as importing,
(select count(*)::int from economic.dead_letters d where d.workspace_id = c.workspace_id and d.state = 'open') as open_letters,
(select count(*)::int from economic.customer_matches m where m.workspace_id = c.workspace_id
   and m.agreement_number = c.agreement_number and m.state = 'open') as open_matches
"""

STATES = ("active", "revoked", "closed")


async def page(
    connection: Connection,
    *,
    states: Sequence[str] = STATES,
    search: str = "",
    edge: str | None = None,
    backwards: bool = False,
    limit: int = PAGE,
) -> list[Workspace]:
    """Return workspaces by their id; ``search``: part of the id or of the company's name, or the agreement's number.

    From after ``edge`` on, or backwards from before it, in the order of that way; one more than ``limit`` if it goes on.
    """
    way, beyond = ("desc", "<") if backwards else ("", ">")
    rows = await connection.fetch(
        f"""select {_COLUMNS} from economic.connections c
            where c.status = any($1::text[]) and ($2::text is null or c.workspace_id {beyond} $2)
              and ($3 = '' or position(lower($3) in lower(c.workspace_id)) > 0
                   or position(lower($3) in lower(c.company_name)) > 0 or c.agreement_number::text = $3)
            order by c.workspace_id {way} limit $4""",  # noqa: S608
        list(states),
        edge,
        search,
        limit + 1,
    )
    return [Workspace(**row) for row in rows]


async def find(connection: Connection, workspace_id: str) -> Workspace | None:
    """Return one workspace, ``None`` when it was never connected."""
    row = await connection.fetchrow(
        f"select {_COLUMNS} from economic.connections c where c.workspace_id = $1",  # noqa: S608
        workspace_id,
    )
    return Workspace(**row) if row else None


async def counts(connection: Connection, workspace_id: str) -> list[Count]:
    """Return how many products, customers and invoices there are, and with how many something is wrong."""
    parts = [
        f"""select '{entity}' as entity,
                   (select count(*)::int from (select 1 from pike.{entity}s where workspace_id = $1 limit $2) r) as records,
                   (select count(*)::int from (select 1 from pike.{entity}s
                    where workspace_id = $1 and last_problem is not null limit $2) r) as with_problem"""  # noqa: S608
        for entity in ("product", "customer", "invoice")
    ]
    rows = await connection.fetch(" union all ".join(parts), workspace_id, COUNTED)
    return [Count(**row) for row in rows]


async def outcomes_unknown(connection: Connection, workspace_id: str) -> int:
    """Return how many invoices are frozen until it is known whether e-conomic has them."""
    found: int = await connection.fetchval(
        """select count(*)::int from pike.invoices
           where workspace_id = $1 and status = 'outcome_unknown' and status <> 'paid'""",
        workspace_id,
    )
    return found
