"""``dead`` and its commands: what they take; what they do is in ``worker.cli.dead`` and ``worker.cli.dead_replay``."""

from typing import IO, Any

import click

from worker.cli.options import AS_JSON
from worker.cli.output import command, fail


@click.group()
def dead() -> None:
    """List, show, try, replay and discard dead letters."""


def _chosen(function: Any) -> Any:
    for option in (
        click.option("--group", metavar="GROUP", help="Only this group, as named by: dead list --groups."),
        click.option("--type", "event_type", metavar="TYPE", help="Only events of this type."),
        click.option("--workspace", "-w", metavar="W", help="Only this workspace."),
        click.option("--cause", metavar="CAUSE", help="Only this cause, as in the list."),
    ):
        function = option(function)
    return function


@dead.command(name="list")
@_chosen
@click.option("--all", "closed_too", is_flag=True, help="Replayed and discarded ones too.")
@click.option("--groups", is_flag=True, help="By cause, e-conomic's code, property and agreement, with the remedy.")
@AS_JSON
@command
async def dead_list(
    cause: str | None,
    workspace: str | None,
    event_type: str | None,
    group: str | None,
    closed_too: bool,
    groups: bool,
    as_json: bool,
) -> int | None:
    """List open dead letters, oldest first, or by what puts them right."""
    from worker.cli import dead as letters

    show = letters.show_groups if groups else letters.show_list
    return await show(letters.Selection(cause, workspace, event_type, group), closed_too, as_json)


@dead.command(name="show")
@click.argument("letter_id", metavar="ID")
@AS_JSON
@command
async def dead_show(letter_id: str, as_json: bool) -> int | None:
    """Show one dead letter whole."""
    from worker.cli import dead as letters

    return await letters.show(letter_id, as_json)


@dead.command(name="dry-run")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@_chosen
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), help="Look at no more than this.")
@AS_JSON
@command
async def dead_dry_run(
    ids: tuple[str, ...],
    cause: str | None,
    workspace: str | None,
    event_type: str | None,
    group: str | None,
    limit: int,
    as_json: bool,
) -> int | None:
    """Show what a replay would do; sends nothing.

    The calls it would make, what e-conomic and Pike have already, what is still wrong.

    Exit code 1 when something would fail again.
    """
    from worker.cli import dead as letters

    return await letters.dry_run(ids, letters.Selection(cause, workspace, event_type, group), limit, as_json)


@dead.command(name="replay")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@_chosen
@click.option("--rate", default=5.0, show_default=True, type=click.FloatRange(0.01), help="Letters a second at most.")
@click.option(
    "--max-failures", default=0.2, show_default=True, type=click.FloatRange(0, 1), help="Stop above this share."
)
@click.option("--wait", "wait_s", default=300.0, show_default=True, help="Seconds for the outcomes of a step.")
@click.option("--resume", "campaign", metavar="CAMPAIGN", help="Go on with a campaign that stopped.")
@click.option("--edit", "file", type=click.File("rb"), help="Send this body; needs one ID.")
@click.option("--reason", metavar="WHY", help="Why the body is changed; kept with the letter.")
@click.option("--yes", "sure", is_flag=True, help="Do not ask after showing what the edit changes.")
@AS_JSON
@command
async def dead_replay(
    ids: tuple[str, ...],
    cause: str | None,
    workspace: str | None,
    event_type: str | None,
    group: str | None,
    rate: float,
    max_failures: float,
    wait_s: float,
    campaign: str | None,
    file: IO[bytes] | None,
    reason: str | None,
    sure: bool,
    as_json: bool,
) -> int | None:
    """Send dead letters again; never doubles an invoice.

    One id is sent at once. Several go as a campaign: 1, then 10, then the rest, each step after the outcomes of the one
    before, and no further when too many fail.
    """
    from worker.cli import dead_replay as replaying
    from worker.cli.dead import Selection

    if campaign is not None:
        return await replaying.resume(campaign, wait_s, as_json)
    if file is not None:
        if len(ids) != 1:
            fail("An edited body goes with exactly one ID.", 2)
        return await replaying.edit(ids[0], file.read(), reason or "", sure, as_json)
    chosen = Selection(cause, workspace, event_type, group)
    return await replaying.replay(ids, chosen, rate, max_failures, wait_s, as_json)


@dead.command(name="discard")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("--reason", required=True, help="Why nothing has to be done; kept with the letter.")
@AS_JSON
@command
async def dead_discard(ids: tuple[str, ...], reason: str, as_json: bool) -> int | None:
    """Close dead letters for good; their body stays in the table."""
    from worker.cli import dead as letters

    return await letters.discard(ids, reason, as_json)
