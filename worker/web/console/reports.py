"""``…/reports``: revenue per month, receivables by age, top customers and projects; each as chart, table and CSV (R2).

Revenue and top customers are of twelve months that end with a chosen one, so that a page costs the same however many
years a workspace has; the files have everything. Amounts are never added across currencies.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, TypeVar

from aiohttp import web

from worker.store import reports
from worker.web.console import csv_file
from worker.web.console.charts import Bars, Chart, Series, draw
from worker.web.console.filters import Filters
from worker.web.console.paging import Edge, Slice
from worker.web.console.workspace import show_tab, visit
from worker.web.front import FRONT

T = TypeVar("T")

AGES: Mapping[str, str] = {
    "not_due": "Not due",
    "overdue_1_30": "1–30 days",
    "overdue_31_60": "31–60 days",
    "overdue_61_90": "61–90 days",
    "overdue_over_90": "Over 90 days",
}
_SHOWN = 20
_CHARTED = 10
_WORTH_DRAWING = 3
_FILES: Mapping[str, Mapping[str, str]] = {
    "revenue": {
        "month": "Month", "currency": "Currency", "invoices": "Invoices", "net": "Net", "vat": "VAT", "gross": "Gross",
    },
    "receivables": {
        "currency": "Currency", "invoices": "Invoices", "outstanding": "Outstanding", "overdue": "Overdue",
        "overdue_1_30": "Overdue 1-30 days", "overdue_31_60": "Overdue 31-60 days",
        "overdue_61_90": "Overdue 61-90 days", "overdue_over_90": "Overdue over 90 days",
    },
    "customers": {
        "place": "Place", "name": "Customer", "currency": "Currency", "invoices": "Invoices", "net": "Net",
        "last_invoice": "Last invoice", "customer_id": "Pike's id",
    },
    "projects": {
        "project_id": "Project", "currency": "Currency", "invoices": "Invoices", "net": "Net",
        "not_yet_booked": "Not yet booked", "outstanding": "Outstanding", "last_invoice": "Last invoice",
    },
}  # fmt: skip
"""CSV files: column → head."""


def add_routes(app: web.Application) -> None:
    """Add the reports and their files."""
    base = "/console/workspaces/{workspace}/reports"
    app.router.add_get(base, _show)
    app.router.add_get(base + "/projects", _projects)
    app.router.add_get(base + "/{file:revenue|receivables|customers|projects}.csv", _file)


async def _show(request: web.Request) -> web.StreamResponse:
    visited, filters = await visit(request), Filters.read(request, ["until"])
    since, until = stretch(filters.get("until"), request.app[FRONT].clock.now().date())

    async def ask(read: Callable[..., Awaitable[T]], *more: object) -> T:
        async with request.app[FRONT].database.connection("reports") as connection:
            return await read(connection, visited.id, *more)

    # beside each other: each reads a year of a workspace's invoices, and together they would be felt
    first, revenue, top, owed = await asyncio.gather(
        ask(reports.first_day),
        ask(reports.revenue, since, until),
        ask(reports.top_customers, since, until, _SHOWN),
        ask(reports.receivables),
    )
    charts = [revenue_chart(revenue, since), receivables_chart(owed), *top_charts(top)]
    return show_tab(
        request, visited, "reports.html", tab="reports", revenue=revenue, top=top, owed=owed, ages=AGES,
        charts=[(chart, await draw(chart)) for chart in charts], since=since, last=_month(until, -1), first=first,
        years=_stretches(first, until, request.app[FRONT].clock.now().date()), filters=filters,
    )  # fmt: skip


async def _projects(request: web.Request) -> web.StreamResponse:
    visited, filters, edge = await visit(request), Filters.read(request, ["project"]), Edge.read(request, 1)
    chosen = filters.get("project")
    async with request.app[FRONT].database.connection("projects") as connection:
        if chosen is not None:
            ids = [chosen]
        else:
            ids = await reports.project_ids(
                connection, visited.id, edge.key[0] if edge else None, backwards=bool(edge and edge.backwards),
                limit=_SHOWN,
            )  # fmt: skip
        part = Slice.of(ids, _SHOWN, edge if chosen is None else None, lambda name: (name,), filters)
        rows = await reports.projects(connection, visited.id, list(part.rows))
    return show_tab(
        request, visited, "projects.html", tab="reports", slice=part, rows=rows, filters=filters, chosen=chosen
    )


async def _file(request: web.Request) -> web.StreamResponse:
    visited, name = await visit(request), request.match_info["file"]
    filters = Filters.read(request, ["until"])
    since, until = stretch(filters.get("until"), request.app[FRONT].clock.now().date())
    if "until" not in request.query:
        since, until = date.min, date.max
    async with request.app[FRONT].database.connection("a file") as connection:
        match name:
            case "revenue":
                rows = await reports.revenue(connection, visited.id, since, until)
            case "receivables":
                rows = await reports.receivables(connection, visited.id)
            case "customers":
                rows = await reports.top_customers(connection, visited.id, since, until, None)
            case _:
                rows = await reports.projects(connection, visited.id, None)
    return await csv_file.send(request, f"{visited.id}-{name}", _FILES[name], rows)


def stretch(last: str | None, today: date) -> tuple[date, date]:
    """Return the first day of twelve months and the day after them. ``last`` is their last month, as YYYY-MM."""
    try:
        month = date.fromisoformat(f"{last}-01") if last else today.replace(day=1)
        until = _month(month, 1)
        return _month(until, -12), until
    except ValueError:
        return stretch(None, today)


def _month(day: date, more: int) -> date:
    """Return the first day of the month that is so many months later."""
    months = day.year * 12 + day.month - 1 + more
    return date(months // 12, months % 12 + 1, 1)


def _stretches(first: date | None, until: date, today: date) -> list[tuple[str, str, bool]]:
    """Return what may be chosen: the last twelve months, and each calendar year that has invoices."""
    now = _month(today, 0)
    found = [("Last 12 months", f"{now:%Y-%m}", until == _month(now, 1))]
    for year in range(today.year, max(first.year if first else today.year, today.year - 9) - 1, -1):
        found.append((str(year), f"{year}-12", until == date(year + 1, 1, 1) and not found[0][2]))
    return found


def revenue_chart(rows: reports.Rows, since: date) -> Chart:
    """Draw net revenue per month, a colour per currency."""
    months = [_month(since, step) for step in range(12)]
    currencies = sorted({row["currency"] or "?" for row in rows})
    nets = {(row["month"], row["currency"] or "?"): row["net"] for row in rows}
    series = tuple(
        Series(currency, tuple(float(nets.get((month, currency)) or 0) for month in months)) for currency in currencies
    )
    total = ", ".join(
        f"{sum((row['net'] for row in rows if (row['currency'] or '?') == currency), Decimal(0)):,.2f} {currency}"
        for currency in currencies
    )
    return Bars(
        "Net revenue per month", f"Net revenue of twelve months from {since:%Y-%m}: {total or 'none'}.", series,
        "money", labels=tuple(f"{month:%b}" for month in months),
    )  # fmt: skip


def receivables_chart(rows: reports.Rows) -> Chart:
    """Draw what is owed by age, a colour per currency."""
    series = tuple(Series(row["currency"] or "?", tuple(float(age) for age in by_age(row))) for row in rows)
    told = ", ".join(
        f"{row['outstanding']:,.2f} {row['currency'] or '?'}, of it overdue {row['overdue']:,.2f}" for row in rows
    )
    return Bars(
        "Receivables by age", f"Outstanding: {told or 'nothing'}.", series, "money", labels=tuple(AGES.values())
    )


def by_age(row: Mapping[str, Any]) -> list[Decimal]:
    """Return what is owed by age, in the order of ``AGES``."""
    return [row["outstanding"] - row["overdue"], *(row[name] for name in AGES if name != "not_due")]


def top_charts(rows: reports.Rows) -> list[Chart]:
    """Draw the first customers, a chart per currency: amounts of two currencies have no common scale."""
    charts: list[Chart] = []
    for currency in sorted({row["currency"] or "?" for row in rows}):
        best = [row for row in rows if (row["currency"] or "?") == currency][:_CHARTED]
        if len(best) < _WORTH_DRAWING:
            continue
        charts.append(
            Bars(
                f"Top customers, {currency}", "; ".join(f"{row['name'][:40]}: {row['net']:,.2f}" for row in best) + ".",
                (Series(currency, tuple(float(row["net"]) for row in best)),), "money",
                labels=tuple(_short(row["name"]) for row in best), sideways=True,
            )
        )  # fmt: skip
    return charts


def _short(name: str) -> str:
    return name if len(name) <= 18 else f"{name[:17]}…"
