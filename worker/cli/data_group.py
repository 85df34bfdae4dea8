"""``data`` and its commands: what they take; what they do is in ``worker.cli.data``."""

from typing import Any

import click

from worker.cli.options import AS_JSON, WORKSPACE
from worker.cli.output import command, fail


@click.group()
def data() -> None:
    """Give out or erase what is kept about a customer or a workspace."""


CUSTOMER = click.option("--customer", type=click.UUID, metavar="ID", help="Only this customer of Pike's.")


@data.command(name="export")
@WORKSPACE
@CUSTOMER
@command
async def data_export(workspace: str, customer: Any) -> int | None:
    """Print every row, as one JSON object a line."""
    from worker.cli import data as personal

    return await personal.export(workspace, customer)


@data.command(name="erase")
@WORKSPACE
@CUSTOMER
@click.option("--dry-run", is_flag=True, help="Show what would be erased, and what must be settled first.")
@click.option("--yes", "sure", is_flag=True, help="Erase. It cannot be undone.")
@AS_JSON
@command
async def data_erase(workspace: str, customer: Any, dry_run: bool, sure: bool, as_json: bool) -> int | None:
    """Erase personal data; documents that accounts need stay without the person.

    What is not settled yet (open dead letters, events under way, unknown outcomes) is named and stops it.
    """
    from worker.cli import data as personal

    if dry_run == sure:
        fail("Say --dry-run to see what would be erased, or --yes to erase it.", 2)
    return await personal.erase(workspace, customer, dry_run, as_json)
