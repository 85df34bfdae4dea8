"""``import`` and its commands: what they take; what they do is in ``worker.cli.imports``."""

from typing import Any

import click

from schemas.kinds import IMPORTABLE
from worker.cli.options import AS_JSON, TIMEOUT, WORKSPACE
from worker.cli.output import command, fail

_KINDS = " ".join(f"[{name}]" for name in IMPORTABLE)


class _ImportGroup(click.Group):
    """``import`` itself imports; its other commands are named behind it."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Take what is no command of the group for the arguments of the import."""
        if args and args[0] in self.commands:
            return super().resolve_command(ctx, args)
        return super().resolve_command(ctx, ["data", *args])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Let options before the first argument through to the import."""
        if not (args and (args[0] in self.commands or args[0] in ("-h", "--help"))):
            args = ["data", *args]
        return super().parse_args(ctx, args)


@click.group(name="import", cls=_ImportGroup, subcommand_metavar=f"{_KINDS} | COMMAND")
def import_group() -> None:
    """Import data and follow it to its end; preview, undo, matches.

    All kinds by default; options of the import itself: import data --help
    """


@import_group.command(name="data")
@WORKSPACE
@click.argument("entities", nargs=-1, type=click.Choice(IMPORTABLE))
@click.option("--changes", is_flag=True, help="Only what changed since the last import.")
@click.option("--dry-run", is_flag=True, help="Show what would happen without writing.")
@TIMEOUT
@AS_JSON
@command
async def import_data(
    workspace: str,
    entities: tuple[str, ...],
    changes: bool,
    dry_run: bool,
    wait_s: float,
    as_json: bool,
) -> int | None:
    """Import data and follow it to its end (what import does by itself)."""
    from worker.cli import imports

    return await imports.import_data(workspace, entities, changes, dry_run, wait_s, as_json)


@import_group.command(name="undo")
@click.argument("import_id", metavar="IMPORT")
@WORKSPACE
@AS_JSON
@command
async def import_undo(import_id: str, workspace: str, as_json: bool) -> int | None:
    """Activate again the products that an import deactivated.

    IMPORT is the id of the event that requested it.
    """
    from worker.cli import imports

    return await imports.undo(workspace, import_id, as_json)


@import_group.group(name="matches")
def import_matches() -> None:
    """Customers that fit several of Pike's: list them, decide."""


@import_matches.command(name="list")
@WORKSPACE
@click.option("--all", "all_of_them", is_flag=True, help="Decided ones too.")
@AS_JSON
@command
async def import_matches_list(workspace: str, all_of_them: bool, as_json: bool) -> int | None:
    """List customers that wait for a decision, with the candidates side by side."""
    from worker.cli import imports

    return await imports.list_matches(workspace, all_of_them, as_json)


@import_matches.command(name="resolve")
@click.argument("number")
@WORKSPACE
@click.option("--customer", type=click.UUID, metavar="ID", help="It is this customer of Pike's.")
@click.option("--new", "choice", flag_value="new", help="It is none of Pike's: give it a row of its own.")
@click.option("--ignore", "choice", flag_value="ignore", help="Pike does not want it: leave it out for good.")
@TIMEOUT
@AS_JSON
@command
async def import_matches_resolve(
    number: str, workspace: str, customer: Any, choice: str | None, wait_s: float, as_json: bool
) -> int | None:
    """Say which of Pike's customers e-conomic's customer NUMBER is."""
    from worker.cli import imports

    if (customer is None) == (choice is None):
        fail("Say one of --customer ID, --new and --ignore.", 2)
    return await imports.resolve_match(workspace, number, customer, choice, wait_s, as_json)
