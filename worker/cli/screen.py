"""How the operations room looks on a terminal. Data in, rich renderables out."""

from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

Row = dict[str, Any]
Column = tuple[str, Callable[[Row], object]]


def screen(room: Row, every_s: float | None = None) -> RenderableType:
    """Return the whole screen: first what needs somebody, then what there is."""
    parts: list[RenderableType] = [_headline(room, every_s), Text()]
    for part in (_workers(room), _lanes(room), _overflow(room), _work(room), _held(room), _budgets(room)):
        parts += [part, Text()] if part is not None else []
    for part in (_connections(room), _imports(room), _dead(room)):
        parts += [part, Text()] if part is not None else []
    return Group(*parts, _rest(room))


def away(error: str) -> RenderableType:
    """Return the screen for a server that does not answer."""
    return Text(f"{error}\nTrying again.", style="bold red")


def _headline(room: Row, every_s: float | None) -> RenderableType:
    lines = [Text(f"pike-economic  {room['at']:%Y-%m-%d %H:%M:%S} UTC", style="bold")]
    if every_s is not None:
        lines[0].append(f"   every {every_s:g} s, Ctrl-C ends", style="dim")
    if not room["concerns"]:
        return Group(*lines, Text("All is well.", style="bold green"))
    for each in room["concerns"]:
        line = Text("● ", style="bold red" if each["level"] == "urgent" else "yellow")
        line.append(each["told"], style="bold" if each["level"] == "urgent" else "default")
        line.append(f" {each['remedy']}", style="dim")
        lines.append(line)
    return Group(*lines)


def _table(title: str, columns: Sequence[Column], rows: Sequence[Row], limit: int = 20) -> RenderableType | None:
    if not rows:
        return None
    more = f", {limit} of {len(rows)} shown" if len(rows) > limit else ""
    table = Table(title=title + more, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for name, value in columns:
        number = isinstance(value(rows[0]), int | float)
        table.add_column(name, overflow="fold", justify="right" if number else "left")
    for row in rows[:limit]:
        table.add_row(*(_cell(value(row)) for _, value in columns))
    return table


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return escape(f"{value:g}" if isinstance(value, float) else str(value))


def _workers(room: Row) -> RenderableType | None:
    return _table(
        "Workers",
        [
            ("worker", lambda w: f"{w['host']} {w['pid']}"),
            ("version", lambda w: w["version"] + (f" {w['commit'][:8]}" if w["commit"] else "")),
            ("state", lambda w: w["state"]),
            ("heartbeat", lambda w: f"{seconds(w['silent_s'])} ago"),
            ("up since", lambda w: f"{w['started_at']:%m-%d %H:%M}"),
            ("consumes", lambda w: ", ".join(sorted(lane for lane, on in w["consumers"].items() if on)) or "nothing"),
            ("in work", lambda w: w["in_work"]),
            ("loop lag", lambda w: seconds(w["loop_lag_s"])),
            ("done since", lambda w: sum(w["outcomes"].values())),
        ],
        room["workers"],
    )


def _lanes(room: Row) -> RenderableType | None:
    queues = {queue["lane"]: queue for queue in room["queues"] if queue["lane"]}
    rows = [lane | {"queue": queues.get(lane["lane"], {})} for lane in room["lanes"]]
    lanes = _table(
        "Lanes",
        [
            ("lane", lambda x: x["lane"]),
            ("in queue", lambda x: x["queue"].get("messages")),
            ("consumers", lambda x: x["queue"].get("consumers")),
            ("unfinished", lambda x: x["unfinished"]),
            ("oldest", lambda x: seconds(x["oldest_s"]) if x["unfinished"] else "–"),
        ],
        rows,
    )
    others = [f"{q['queue']}: {q['messages']}" for q in room["queues"] if not q["lane"] and q["messages"]]
    states = [f"{each['count']} {each['state']}" for each in room["inbox"]]
    told = Text(
        f"Unfinished events: {', '.join(states) or 'none'}. Waiting in other queues: {', '.join(others) or 'nothing'}."
    )
    return Group(lanes, told) if lanes is not None else told


def _overflow(room: Row) -> RenderableType | None:
    return _table(
        "Overflow: workspaces with more than their share; theirs waits, others do not",
        [
            ("workspace", lambda o: o["workspace_id"]),
            ("lane", lambda o: o["lane"]),
            ("messages", lambda o: o["messages"]),
            ("oldest", lambda o: seconds(o["oldest_s"])),
        ],
        room["overflow"],
    )


def _work(room: Row) -> RenderableType | None:
    return _table(
        f"Last {room['span_s'] / 60:g} minutes, times until the outcome",
        [
            ("event type", lambda w: w["event_type"]),
            ("per minute", lambda w: w["per_minute"]),
            ("ended", lambda w: w["ended"]),
            ("dead", lambda w: w["dead"]),
            ("again", lambda w: w["again"]),
            ("p50", lambda w: seconds(w["p50_s"])),
            ("p95", lambda w: seconds(w["p95_s"])),
            ("p99", lambda w: seconds(w["p99_s"])),
        ],
        room["work"],
    )


def _held(room: Row) -> RenderableType | None:
    return _table(
        "Held workspaces",
        [
            ("workspace", lambda h: h["workspace_id"]),
            ("agreement", lambda h: str(h["agreement_number"])),
            ("because", lambda h: h["because"]),
            ("for", lambda h: None if h["for_s"] is None else seconds(h["for_s"])),
            ("events waiting", lambda h: h["waiting"]),
            ("problem", lambda h: h["problem"] or ""),
        ],
        room["held_workspaces"],
    )


def _budgets(room: Row) -> RenderableType | None:
    return _table(
        "Budgets less than half full",
        [("agreement", lambda b: str(b["agreement_number"])), ("left", lambda b: f"{b['left_ratio']:.0%}")],
        [each for each in room["budgets"] if each["left_ratio"] < 0.5],
    )


def _connections(room: Row) -> RenderableType | None:
    return _table(
        "Connections",
        [
            ("workspace", lambda c: c["workspace_id"]),
            ("agreement", lambda c: f"{c['agreement_number']} {c['company_name']}"),
            ("status", lambda c: c["status"]),
            ("last synced", lambda c: f"{c['last_synced_at']:%Y-%m-%d %H:%M:%S}" if c["last_synced_at"] else "never"),
        ],
        room["connections"],
    ) or Text("No workspace is connected.")


def _imports(room: Row) -> RenderableType | None:
    return _table(
        "Imports under way",
        [
            ("workspace", lambda i: i["workspace_id"]),
            ("import", lambda i: i["import_id"]),
            ("stage", lambda i: i["stage"]),
            ("since", lambda i: f"{i['started_at']:%H:%M:%S}"),
            ("last progress", lambda i: f"{i['updated_at']:%H:%M:%S}"),
        ],
        room["imports"],
    )


def _dead(room: Row) -> RenderableType | None:
    return _table(
        "Dead letters",
        [
            ("cause", lambda d: d["cause"]),
            ("count", lambda d: d["count"]),
            ("since", lambda d: f"{d['since']:%Y-%m-%d %H:%M}"),
            ("what to do", lambda d: d["remedy"] or ""),
        ],
        room["dead_letters"],
    )


def _rest(room: Row) -> RenderableType:
    outbox, verdict = room["outbox"], room["reconciliation"]
    oldest = f", the oldest for {seconds(outbox['oldest_s'])}" if outbox["count"] else ""
    proof = (
        f"{verdict['lost']} lost, {verdict['double']} double, {seconds(verdict['age_s'])} ago"
        if verdict
        else "never run"
    )
    return Text(
        f"Outbox: {outbox['count']} to publish{oldest}. Unknown outcomes: {room['unknown_outcomes']}. "
        f"Dead letters: {sum(each['count'] for each in room['dead_letters'])}. Zero-loss proof: {proof}.\n"
        + _storage(room["storage"])
    )


def _storage(storage: Row) -> str:
    largest = ", ".join(f"{each['table']} {_size(each['bytes'])}" for each in storage["largest"][:3])
    pruned = f"{storage['pruned_at']:%Y-%m-%d %H:%M}" if storage["pruned_at"] else "never"
    return f"Database: {_size(storage['bytes'])}, most in {largest}. Last pruned: {pruned}."


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def seconds(value: float | None) -> str:
    """Say a length of time shortly: ``0.3 s``, ``12 s``, ``5 min``, ``3 h``, ``2 d``."""
    if value is None:
        return "–"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if value >= 2 * size:
            return f"{value / size:.0f} {unit}"
    return f"{value:.0f} s" if value >= 10 else f"{value:.2g} s"
