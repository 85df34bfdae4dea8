"""Pike's reports, read from the views of ``pike_reporting``: one workspace each, never added across currencies."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from worker.store.pool import Connection

Rows = Sequence[Mapping[str, Any]]

TOP = 50
"""Customers that the page ranks; the CSV has all."""


async def first_day(connection: Connection, workspace_id: str) -> date | None:
    """Return the day of the oldest invoice that counts as revenue."""
    found: date | None = await connection.fetchval(
        """select min(issue_date) from pike.invoices
           where workspace_id = $1 and status in ('booked', 'paid') and active""",
        workspace_id,
    )
    return found


async def revenue(connection: Connection, workspace_id: str, since: date, until: date) -> Rows:
    """Return month, currency, invoices, net, vat, gross of the days from ``since`` to before ``until``."""
    rows: Rows = await connection.fetch(
        """select month, currency, invoices, net, vat, gross
           from pike_reporting.revenue_between($1, $2, $3) order by month, currency""",
        workspace_id,
        since,
        until,
    )
    return rows


async def receivables(connection: Connection, workspace_id: str) -> Rows:
    """Return what is owed per currency, and how long overdue."""
    rows: Rows = await connection.fetch(
        """select currency, invoices, outstanding, overdue, overdue_1_30, overdue_31_60, overdue_61_90, overdue_over_90
           from pike_reporting.receivables where workspace_id = $1 order by outstanding desc, currency""",
        workspace_id,
    )
    return rows


async def top_customers(
    connection: Connection, workspace_id: str, since: date, until: date, most: int | None = TOP
) -> Rows:
    """Return customers by their net of these days, each currency by itself; the first ``most``, or all."""
    rows: Rows = await connection.fetch(
        """select t.place, t.customer_id, k.name, t.currency, t.invoices, t.net, t.last_invoice
           from pike_reporting.top_customers_between($1, $2, $3, $4) t
           join pike.customers k on k.id = t.customer_id order by t.currency, t.place, k.name, t.customer_id""",
        workspace_id,
        since,
        until,
        most,
    )
    return rows


async def customer_context(connection: Connection, workspace_id: str, customer_id: UUID) -> Rows:
    """Return what Pike knows of one customer, a row per currency; none when the workspace has no such customer."""
    rows: Rows = await connection.fetch(
        """select name, active, barred, currency, invoices, drafts, net, outstanding, overdue, last_invoice, last_synced_at
           from pike_reporting.customer_context where workspace_id = $1 and customer_id = $2
           order by net desc, currency""",
        workspace_id,
        customer_id,
    )
    return rows


# One look into the index per project: how many invoices a project has does not matter.
_NEXT_PROJECTS = """
with recursive next as (
    (select project_id, 1 as place from pike.invoices
     where workspace_id = $1 and project_id {beyond} $2 and active order by project_id {way} limit 1)
    union all
    select (select i.project_id from pike.invoices i
            where i.workspace_id = $1 and i.project_id {beyond} next.project_id and i.active order by i.project_id {way} limit 1),
           next.place + 1
    from next where next.place < $3 and next.project_id is not null
)
select project_id from next where project_id is not null order by place
"""


async def project_ids(
    connection: Connection, workspace_id: str, edge: str | None = None, *, backwards: bool = False, limit: int = TOP
) -> list[str]:
    """Return ids of projects in their order, from after ``edge`` on; one more than ``limit`` if it goes on."""
    way, beyond = ("desc", "<") if backwards else ("", ">")
    rows = await connection.fetch(
        _NEXT_PROJECTS.format(way=way, beyond=beyond), workspace_id, edge if edge is not None else "", limit + 1
    )
    return [row["project_id"] for row in rows]


async def projects(connection: Connection, workspace_id: str, ids: Sequence[str] | None) -> Rows:
    """Return what Pike knows of these projects, or of all: a row per project and currency."""
    rows: Rows = await connection.fetch(
        """select project_id, currency, invoices, net, not_yet_booked, outstanding, last_invoice
           from pike_reporting.project_context where workspace_id = $1 and ($2::text[] is null or project_id = any($2))
           order by project_id, currency""",
        workspace_id,
        None if ids is None else list(ids),
    )
    return rows
