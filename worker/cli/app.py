"""All commands in one list. Each is a few lines: read options, call, print."""

import os
import sys
from typing import IO, Any

import click

from schemas.kinds import IMPORTABLE, KINDS
from worker.cli.output import command, fail

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON with stable keys instead of text.")
WORKSPACE = click.option("--workspace", "-w", required=True, metavar="W", help="The Pike workspace.")
TIMEOUT = click.option("--timeout", "wait_s", default=600.0, show_default=True, help="Seconds to wait for the answer.")


def _show_version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        from worker.version import described

        click.echo(f"pike-economic {described()}")
        context.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_show_version,
    help="Show version and commit.",
)
def cli() -> None:
    """Keeps Pike and Visma e-conomic in step. Settings come from the environment (PIKE_ECONOMIC_…)."""


@cli.command()
@click.option("--processes", default=1, show_default=True, type=click.IntRange(1, 64), help="So many on this machine.")
@command
async def run(processes: int) -> int | None:
    """Run the worker; more copies share the load.

    With --processes one that ends is replaced; HTTP ports count up from PIKE_ECONOMIC_HTTP_PORT.
    """
    from worker.cli import running

    return await running.run(processes)


@cli.command()
@AS_JSON
@command
async def migrate(as_json: bool) -> int | None:
    """Apply missing database migrations."""
    from worker.cli import running

    return await running.migrate(as_json)


@cli.command()
@AS_JSON
@command
async def doctor(as_json: bool) -> int | None:
    """Say what is wrong, and what to do about it."""
    from worker.cli import doctor as checks

    return await checks.doctor(as_json)


@cli.command()
@click.option("--watch", is_flag=True, help="Keep the screen current until Ctrl-C.")
@click.option(
    "--every", "every_s", default=2.0, show_default=True, type=click.FloatRange(0.2), help="Seconds, with --watch."
)
@AS_JSON
@command
async def status(watch: bool, every_s: float, as_json: bool) -> int | None:
    """Show whether all is well, on one screen.

    With --watch and --json: one JSON document after the other.
    """
    from worker.cli import status as screen

    return await screen.status(watch, every_s, as_json)


@cli.command()
@click.argument("event_id", metavar="ID")
@click.option("--source", metavar="SOURCE", help="Only the event of this publisher, when two use the same id.")
@AS_JSON
@command
async def trace(event_id: str, source: str | None, as_json: bool) -> int | None:
    """Tell what happened to one event, in order.

    ID is the event's id, or that of a dead letter.
    """
    from worker.cli import trace as story

    return await story.trace(event_id, source, as_json)


@cli.command()
@WORKSPACE
@click.option("--grant-token", required=True, metavar="-", help="Give - and the token on standard input.")
@click.option("--booking", type=click.Choice(["draft", "book"]), help="Book pushed invoices at once, or leave drafts.")
@AS_JSON
@command
async def connect(workspace: str, grant_token: str, booking: str | None, as_json: bool) -> int | None:
    """Connect a workspace with a grant token."""
    from worker.cli import requests

    if grant_token != "-":  # noqa: S105  # not a token: tokens on a command line are seen by everybody
        fail("The grant token is read from standard input, never from the command line: --grant-token -", 2)
    token = sys.stdin.readline().strip()
    if not token:
        fail("No grant token came on standard input.", 2)
    return await requests.connect(workspace, token, booking, as_json)


@cli.command()
@WORKSPACE
@TIMEOUT
@AS_JSON
@command
async def disconnect(workspace: str, wait_s: float, as_json: bool) -> int | None:
    """Close a connection; the data stays."""
    from worker.cli import requests

    return await requests.disconnect(workspace, wait_s, as_json)


@cli.command(name="rotate-keys")
@AS_JSON
@command
async def rotate_keys(as_json: bool) -> int | None:
    """Seal every stored grant with the first encryption key; workers go on meanwhile."""
    from worker.cli import access

    return await access.rotate_keys(as_json)


@cli.command()
@click.option("--workspace", help="Only this workspace.")
@click.option("--check", is_flag=True, help="Let a worker look at them, and repair them, now.")
@click.option("--addresses", is_flag=True, help="The addresses to set hooks up by hand; they hold a secret.")
@AS_JSON
@command
async def hooks(workspace: str | None, check: bool, addresses: bool, as_json: bool) -> int | None:
    """Show the webhooks of every agreement, as they were last found in e-conomic."""
    from worker.cli import hooks as found

    return await found.show(found.Asked(workspace, check, addresses), as_json)


@cli.command(name="connect-link")
@WORKSPACE
@click.option("--by", default="command line", show_default=True, help="Who connects, for the record.")
@click.option("--minutes", default=10, show_default=True, type=click.IntRange(1, 15), help="How long the link works.")
@AS_JSON
@command
async def connect_link(workspace: str, by: str, minutes: int, as_json: bool) -> int | None:
    """Print a link that starts connecting in a browser, as Pike makes it."""
    from worker.cli import access

    return access.connect_link(workspace, by, minutes, as_json)


@cli.command(name="operator-token")
@click.argument("name")
@click.option("--role", type=click.Choice(["viewer", "operator"]), default="operator", show_default=True)
@AS_JSON
@command
async def operator_token(name: str, role: str, as_json: bool) -> int | None:
    """Make a token for an operator, and the entry for the setting, which holds its hash only."""
    from worker.cli import access

    return access.operator_token(name, role, as_json)


@cli.command()
@click.argument("event_type", metavar="TYPE")
@WORKSPACE
@click.option("--data", required=True, metavar="JSON", help="The event's data; - reads it from standard input.")
@click.option("--id", "event_id", metavar="ID", help="The event's id; a new one by default.")
@AS_JSON
@command
async def publish(event_type: str, workspace: str, data: str, event_id: str | None, as_json: bool) -> int | None:
    """Publish an event as Pike would, e.g. pike.invoice.created."""
    from worker.cli import requests

    return await requests.publish(event_type, workspace, sys.stdin.read() if data == "-" else data, event_id, as_json)


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


@cli.group(name="import", cls=_ImportGroup, subcommand_metavar=f"{_KINDS} | COMMAND")
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


@cli.command()
@WORKSPACE
@click.argument("entity", type=click.Choice(KINDS))
@click.argument("number")
@click.option("--document", type=click.Choice(["draft", "booked"]), default="booked", show_default=True)
@TIMEOUT
@AS_JSON
@command
async def refresh(
    workspace: str,
    entity: str,
    number: str,
    document: str,
    wait_s: float,
    as_json: bool,
) -> int | None:
    """Read one record again and show what changed.

    NUMBER is e-conomic's number or Pike's id.
    """
    from worker.cli import requests

    return await requests.refresh(workspace, entity, number, document, wait_s, as_json)


@cli.command()
@click.option("--workspace", "-w", metavar="W", help="Only this workspace.")
@AS_JSON
@command
async def reconcile(workspace: str | None, as_json: bool) -> int | None:
    """Prove that nothing was lost or doubled.

    Compares every event with its outcome and every pushed invoice with e-conomic.
    Exit code 1 when one is lost or double.
    """
    from worker.cli import reconcile as proof

    return await proof.reconcile(workspace, as_json)


@cli.group()
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


@cli.group()
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


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8090, show_default=True, help="0 takes a free one.")
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same data.")
@click.option("--customers", default=40, show_default=True)
@click.option("--products", default=25, show_default=True)
@click.option("--invoices", default=120, show_default=True)
@command
async def sandbox(host: str, port: int, seed: int, customers: int, products: int, invoices: int) -> int | None:
    """Run the local e-conomic until it is stopped."""
    from worker.sandbox import SeedSize, serve

    await serve(
        host,
        port,
        seed=seed,
        size=SeedSize(customers=customers, products=products, invoices=invoices),
        print_ready=click.echo,
    )
    return 0


@cli.command()
def asyncapi() -> None:
    """Print the contract of all events: an AsyncAPI 3 document."""
    import json

    from events.contract.document import document

    click.echo(json.dumps(document(), indent=2, ensure_ascii=False))


@cli.command(hidden=True)
@click.option("--env", "file", metavar="FILE", help="Write what other commands need to this file while it runs.")
@command
async def dev(file: str | None) -> int | None:
    """Run the demo's stack until Ctrl-C: private servers, local e-conomic, worker."""
    from worker.demo.dev import dev as stay

    return await stay(file)


def main() -> None:
    """Entry point of ``pike-economic``."""
    from worker import failpoints

    failpoints.arm_from(os.environ)
    cli.main(prog_name="pike-economic")
