"""All commands in one list. Each is a few lines: read options, call, print. Nothing heavy is loaded before one runs."""

import os
import sys

import click

from schemas.kinds import KINDS
from worker.cli.data_group import data
from worker.cli.dead_group import dead
from worker.cli.import_group import import_group
from worker.cli.options import AS_JSON, TIMEOUT, WORKSPACE
from worker.cli.output import command, fail


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


cli.add_command(import_group)
cli.add_command(data)
cli.add_command(dead)


def main() -> None:
    """Entry point of ``pike-economic``."""
    from worker import failpoints

    failpoints.arm_from(os.environ)
    cli.main(prog_name="pike-economic")
