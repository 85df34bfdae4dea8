"""``hooks``: webhooks as last found, a look at them now, and the addresses to set them up by hand."""

from dataclasses import dataclass
from typing import Any

import click

from worker.bootstrap import Tools, tools
from worker.cli.output import USAGE, fail, print_json, print_table, with_settings
from worker.handlers.hooks.keeping import WANTED, addresses
from worker.store import connections, hooks
from worker.store.connections import EconomicConnection


@dataclass(frozen=True)
class Asked:
    """What the command line asks for."""

    workspace: str | None
    check: bool
    addresses: bool


async def show(asked: Asked, as_json: bool) -> int:
    """Show what was found in e-conomic when the hooks were last looked at."""
    settings = with_settings()
    if not settings.public_url:
        fail("Webhooks need PIKE_ECONOMIC_PUBLIC_URL: the https address at which e-conomic reaches us.", USAGE)
    async with tools(settings) as kit:
        found = await _connections(kit, asked.workspace)
        if asked.addresses:
            if len(found) != 1 or asked.workspace is None:
                fail("Addresses are given out for one connected workspace: name it with --workspace.", USAGE)
            await _print_addresses(kit, found[0], as_json)
            return 0
        if asked.check:
            async with kit.database.connection("hooks") as connection:
                await hooks.look_now(connection, [each.id for each in found])
        rows = [row for each in found for row in await _rows(kit, each)]
    if as_json:
        print_json(rows)
        return 0
    columns = ("workspace", "event_type", "state", "repaired", "disabled_at", "checked_at")
    print_table(columns, [[row[name] for name in columns] for row in rows], empty="No workspace is connected.")
    if asked.check:
        click.echo("A worker looks at them within a few seconds; ask again then.")
    return 0


async def _connections(kit: Tools, workspace: str | None) -> list[EconomicConnection]:
    async with kit.database.connection("hooks") as connection:
        found = [each for each in await connections.find_all(connection) if each.active]
    return [each for each in found if workspace in (None, each.workspace_id)]


async def _rows(kit: Tools, each: EconomicConnection) -> list[dict[str, Any]]:
    async with kit.database.connection("hooks") as connection:
        found = {row["event_type"]: row for row in await hooks.listed(connection, each.id)}
    blank = {"state": "not looked at yet", "repaired": 0, "disabled_at": None, "checked_at": None}
    return [{"workspace": each.workspace_id, "event_type": name, **(found.get(name) or blank)} for name in WANTED]


async def _print_addresses(kit: Tools, each: EconomicConnection, as_json: bool) -> None:
    async with kit.database.connection("hook addresses") as connection:
        secret = await hooks.secret_of(connection, kit.vault, each.id)
    found = addresses(kit.settings.public_url, each.id, secret)
    if as_json:
        print_json(found)
        return
    click.echo("Whoever has these addresses can make us read records again: hand them over like a password.\n")
    for event_type, address in found.items():
        click.echo(f"{event_type:<18} {address}")
