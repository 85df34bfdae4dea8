"""``status``: one screen that says whether all is well."""

from typing import Any

import click

from worker.bootstrap import make_broker, tools
from worker.cli.output import print_json, print_table, with_settings
from worker.clock import SystemClock
from worker.store.overview import overview


async def status(as_json: bool) -> int:
    """Print queues, unfinished work, connections, imports and dead letters."""
    settings = with_settings()
    state = await make_broker(settings, SystemClock()).verify()
    async with tools(settings) as kit, kit.database.connection("status") as connection:
        figures = await overview(connection)
    queues = [
        {"queue": q.name, "exists": q.exists, "messages": q.messages, "consumers": q.consumers} for q in state.queues
    ]
    figures = {"queues": queues, **figures}
    if as_json:
        print_json(figures)
    else:
        _print(figures)
    return 0


def _print(figures: dict[str, Any]) -> None:
    _section(figures["queues"], ["queue", "messages", "consumers"], "Queues", "No queues yet.")
    _section(figures["inbox"], ["state", "count", "oldest_s"], "Unfinished events", "Unfinished events: none.")
    out = figures["outbox"]
    click.echo(f"Outbox: {out['count']} to publish" + (f", oldest {out['oldest_s']} s" if out["count"] else "") + ".")
    if out["failing"]:
        click.echo(f"  {out['failing']} could not be published: {out['last_error']}")
    if out["unheard"]:
        types = ", ".join(out["unheard_types"])
        click.echo(f"  {out['unheard']} answers wait for a listener; no queue is bound to {types}.")
    click.echo(f"Unknown outcomes: {figures['unknown_outcomes']}.\n")
    _section(
        figures["connections"],
        ["workspace_id", "agreement_number", "company_name", "status", "last_synced_at"],
        "Connections",
        "No workspace is connected.",
    )
    _section(
        [row | {"agreement": row["agreement_number"] or "all of e-conomic"} for row in figures["held"]],
        ["agreement", "because", "for_s", "failures"],
        "Held agreements",
        "No agreement is held.",
    )
    _section(
        figures["imports"], ["workspace_id", "import_id", "stage", "started_at"], "Imports", "No import is running."
    )
    _section(figures["dead_letters"], ["cause", "count", "since", "remedy"], "Dead letters", "No dead letters.")


def _section(rows: list[dict[str, Any]], columns: list[str], title: str, empty: str) -> None:
    print_table(columns, [[row[name] for name in columns] for row in rows], empty=empty, title=title if rows else None)
    click.echo()
