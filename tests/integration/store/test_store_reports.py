"""Reports of a stretch of days are what the views say, and of one workspace only."""

import random
from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from worker.store import reports
from worker.store.pool import Database

STATUSES = ("pending", "draft", "booked", "booked", "paid", "paid", "failed")
FIRST, LAST = date(2023, 11, 1), date(2026, 12, 1)


async def fill(pike: asyncpg.Connection, seed: int) -> None:
    """Write invoices of every status, some inactive, some without date, currency or customer, to two workspaces."""
    chance = random.Random(seed)
    for workspace in ("ws", "other"):
        customers: list[UUID | None] = [
            await pike.fetchval(
                "insert into pike.customers (workspace_id, name) values ($1, $2) returning id", workspace, f"Kunde {n}"
            )
            for n in range(6)
        ]
        rows = [
            (
                workspace, f"Invoice {n}", chance.choice(STATUSES),
                chance.choice([*customers, None]),
                chance.choice([None, *[FIRST + timedelta(days=chance.randrange((LAST - FIRST).days))] * 9]),
                chance.choice(["DKK", "DKK", "EUR"]), Decimal(chance.randrange(-99_999, 999_999)) / 100,
                chance.random() > 0.1, chance.choice([None, "p-1", "p-2", "<p>", "p'4"]),
            )
            for n in range(400)
        ]  # fmt: skip
        await pike.executemany(
            """insert into pike.invoices (workspace_id, title, status, customer_id, issue_date, currency, net_amount,
                                          vat_amount, gross_amount, remainder, due_date, active, project_id)
               values ($1, $2, $3, $4, $5, $6, $7, $7 * 0.25, $7 * 1.25, $7, $5, $8, $9)""",
            rows,
        )


@pytest.mark.requirement("R2")
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_stretches_of_revenue_laid_end_to_end_are_the_view(
    database: Database, pike: asyncpg.Connection, seed: int
) -> None:
    await fill(pike, seed)
    view = await pike.fetch(
        """select month, currency, invoices, net, vat, gross from pike_reporting.revenue_by_month
           where workspace_id = 'ws' and month is not null order by month, currency"""
    )
    pieces: list[tuple[Any, ...]] = []
    async with database.connection("reports") as connection:
        for since, until in (
            (date.min, date(2024, 3, 1)),
            (date(2024, 3, 1), date(2025, 1, 1)),
            (date(2025, 1, 1), date.max),
        ):
            pieces += [tuple(row) for row in await reports.revenue(connection, "ws", since, until)]
    assert view
    assert pieces == [tuple(row) for row in view]


@pytest.mark.requirement("R2")
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_top_customers_of_all_days_are_the_view(database: Database, pike: asyncpg.Connection, seed: int) -> None:
    await fill(pike, seed)
    await pike.execute("delete from pike.invoices where issue_date is null")
    columns = "place, customer_id, name, currency, invoices, net, last_invoice"
    view = await pike.fetch(
        f"""select {columns} from pike_reporting.top_customers where workspace_id = 'ws'
            order by currency, place, name, customer_id"""
    )
    async with database.connection("reports") as connection:
        everybody = await reports.top_customers(connection, "ws", date.min, date.max, None)
        best = await reports.top_customers(connection, "ws", date.min, date.max, 2)
    assert len(view) == 12
    assert [tuple(row) for row in everybody] == [tuple(row) for row in view]
    assert [tuple(row) for row in best] == [tuple(row) for row in view if row["place"] <= 2]


async def test_top_customers_of_some_days_count_these_days_only(database: Database, pike: asyncpg.Connection) -> None:
    await fill(pike, 4)
    since, until = date(2025, 2, 1), date(2026, 2, 1)
    expected: dict[tuple[UUID, str], Decimal] = defaultdict(Decimal)
    for row in await pike.fetch("select * from pike.invoices where workspace_id = 'ws'"):
        counts = row["status"] in ("booked", "paid") and row["active"] and row["customer_id"] and row["issue_date"]
        if counts and since <= row["issue_date"] < until:
            expected[row["customer_id"], row["currency"]] += row["net_amount"]
    async with database.connection("reports") as connection:
        found = await reports.top_customers(connection, "ws", since, until, None)
    assert {(row["customer_id"], row["currency"]): row["net"] for row in found} == expected


async def test_projects_are_paged_by_key_and_are_the_view(database: Database, pike: asyncpg.Connection) -> None:
    await fill(pike, 5)
    view = await pike.fetch(
        """select project_id, currency, invoices, net, not_yet_booked, outstanding, last_invoice
           from pike_reporting.project_context where workspace_id = 'ws' order by project_id, currency"""
    )
    names = sorted({row["project_id"] for row in view})
    async with database.connection("reports") as connection:
        assert await reports.project_ids(connection, "ws", limit=2) == names[:3]
        assert await reports.project_ids(connection, "ws", names[1], limit=2) == names[2:]
        assert await reports.project_ids(connection, "ws", names[2], backwards=True, limit=2) == names[1::-1]
        found = [
            *await reports.projects(connection, "ws", names[:2]),
            *await reports.projects(connection, "ws", names[2:]),
        ]
        assert [tuple(row) for row in found] == [tuple(row) for row in view]
        assert [tuple(row) for row in await reports.projects(connection, "ws", None)] == [tuple(row) for row in view]


async def test_readers_rights_apply_to_the_stretches_as_to_the_views(pike: asyncpg.Connection) -> None:
    """Row-level security: a role that names a workspace sees that workspace only, whatever it asks for."""
    await fill(pike, 6)
    await pike.execute("create role pages_reader")
    try:
        await pike.execute("grant usage on schema pike, pike_reporting to pages_reader")
        await pike.execute("grant select on all tables in schema pike to pages_reader")
        async with pike.transaction():
            await pike.execute("set local role pages_reader; set local app.workspace = 'ws'")
            own = await pike.fetch("select * from pike_reporting.revenue_between('ws', '-infinity', 'infinity')")
            other = await pike.fetch("select * from pike_reporting.revenue_between('other', '-infinity', 'infinity')")
            top = await pike.fetch(
                "select * from pike_reporting.top_customers_between('other', '-infinity', 'infinity', 3)"
            )
        assert own
        assert other == top == []
    finally:
        await pike.execute("drop owned by pages_reader; drop role pages_reader")
