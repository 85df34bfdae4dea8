"""``reconcile``: prints the zero-loss proof; exit code 1 when something is lost or double."""

from dataclasses import asdict

import click

from worker.bootstrap import tools
from worker.cli.output import BAD_ANSWER, print_json, print_table, with_settings
from worker.runtime.reconcile import InvoiceProof, Proof
from worker.runtime.reconcile import reconcile as compare
from worker.store.figures import note_verdict


async def reconcile(workspace: str | None, as_json: bool) -> int:
    """Compare and print."""
    async with tools(with_settings()) as kit:
        found = await compare(kit.database, kit.client, kit.vault, workspace)
        if workspace is None:
            async with kit.database.transaction("verdict") as connection:
                await note_verdict(connection, found.lost, found.double)
    if as_json:
        print_json({"lost": found.lost, "double": found.double, **asdict(found)})
    else:
        _print(found)
    return BAD_ANSWER if found.lost or found.double else 0


def _print(found: Proof) -> None:
    received = sum(found.events.values())
    states = ", ".join(f"{count} {state}" for state, count in sorted(found.events.items()))
    click.echo(f"Events received: {received}" + (f" ({states})." if states else "."))
    for title, events in (("Stuck", found.stuck), ("Without an outcome", found.without_outcome)):
        print_table(
            ["event", "type", "workspace", "state"],
            [[e["event_id"], e["type"], e["workspace_id"], e["state"]] for e in events],
            empty=f"{title}: none.",
            title=title if events else None,
        )
    click.echo(f"Answers that should have been published long ago: {found.orphaned_answers}.\n")
    print_table(
        ["workspace", "agreement", "pushed", "in e-conomic", "missing", "double", "unrecorded", "unknown", "remark"],
        [
            [
                each.workspace_id, each.agreement_number, each.in_ledger, each.in_economic, len(each.missing),
                len(each.double), len(each.unrecorded), len(each.unknown), _remark(each),
            ]
            for each in found.invoices
        ],
        empty="No workspace is connected.",
    )  # fmt: skip
    click.echo(f"\nLost: {found.lost}. Double: {found.double}.")


def _remark(each: InvoiceProof) -> str:
    deleted = f"{each.deleted_by_people} deleted in e-conomic by people" if each.deleted_by_people else ""
    return each.unchecked or deleted
