"""The operations room's history as charts: depth and oldest age per lane, throughput. Pure: rows in, charts out."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from worker.insight.room import LANES
from worker.runtime.tally import NOT_FINAL
from worker.web import words
from worker.web.console.charts import Chart, Lines, Series

Rows = Sequence[Mapping[str, Any]]


def charts(history: Mapping[str, Rows]) -> list[Chart]:
    """Return the room's charts in their order."""
    lanes, work = history["lanes"], history["throughput"]
    return [
        _lanes(lanes, "Events waiting per lane", "unfinished", ""),
        _lanes(lanes, "Age of the oldest waiting event", "oldest_s", "s"),
        _lanes(lanes, "Messages in the queues", "messages", ""),
        _throughput(work),
    ]


def _lanes(rows: Rows, title: str, column: str, unit: str) -> Lines:
    series = tuple(
        Series(lane, tuple((row["at"], row[column]) for row in rows if row["lane"] == lane)) for lane in LANES
    )
    write = words.span if unit == "s" else words.count
    now = {each.name: each.values[-1][1] for each in series if each.values}
    worst = max((value for each in series for _, value in each.values if value is not None), default=None)
    told = ", ".join(f"{lane} {write(value)}" for lane, value in now.items())
    summary = f"Now {told}. The most in this time was {write(worst)}." if now else "No samples yet."
    return Lines(title, summary, series, unit)


def _throughput(rows: Rows) -> Lines:
    """Show what ended in each interval, and what has to be tried again."""
    ended: dict[datetime, int] = {}
    dead: dict[datetime, int] = {}
    again: dict[datetime, int] = {}
    for row in rows:
        outcome = row["outcome"]
        kind = dead if outcome == "dead" else again if outcome in NOT_FINAL else ended
        kind[row["at"]] = kind.get(row["at"], 0) + row["n"]
    times = sorted({row["at"] for row in rows})
    series = tuple(
        Series(name, tuple((at, kind.get(at, 0)) for at in times))
        for name, kind in (("done", ended), ("to try again", again), ("dead letters", dead))
    )
    total = sum(ended.values())
    summary = (
        f"{words.plural(total, 'event')} done, {sum(again.values()):,} deliveries to try again, "
        f"{words.plural(sum(dead.values()), 'dead letter')} in this time."
    )
    return Lines("Deliveries per interval", summary, series)
