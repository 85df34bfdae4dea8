"""``import``: request and follow, look at what would happen, put back what an import deactivated, decide matches."""

import getpass
from collections.abc import Collection
from typing import Any
from uuid import UUID

import click

from events.imports import ImportRequested
from events.refresh import RefreshRequested
from schemas.kinds import IMPORTABLE
from worker.bootstrap import Tools, tools
from worker.cli.following import Bars, make_event
from worker.cli.output import BAD_ANSWER, USAGE, fail, print_json, print_table, with_settings
from worker.cli.requests import ask, tell
from worker.runtime import undo as undoing
from worker.store import connections, customers, imports, matches
from worker.store.connections import EconomicConnection

_COUNTS = ("created", "updated", "unchanged", "deactivated", "rejected")


async def import_data(
    workspace: str, entities: Collection[str], changes: bool, dry_run: bool, timeout_s: float, as_json: bool
) -> int:
    """Request an import and follow it."""
    data = ImportRequested.model_validate(
        {
            "entities": list(entities) or IMPORTABLE,
            "mode": "changes" if changes else "full",
            "dry_run": dry_run,
            "requested_by": "command line",
        }
    )
    ends = [f"economic.import.{end}" for end in ("completed", "previewed", "failed", "cancelled")]
    with Bars() as bars:
        answer = await ask(make_event(data, workspace), ends, ["economic.import.*"], timeout_s, bars)
    if answer is not None and not as_json and answer.type.endswith(".previewed"):
        print_preview(answer.data)
        return 0
    if answer is None or as_json or not answer.type.endswith(".completed"):
        return tell(answer, as_json, lambda _data: "The import was cancelled.")
    print_import(answer.data)
    return 0


def print_counts(counts: Any, empty: str) -> None:
    """Print the table of counts by kind."""
    rows = [[entity, *(getattr(found, name) for name in _COUNTS)] for entity, found in counts.items()]
    print_table(["", *_COUNTS], rows, empty=empty)


def print_import(data: Any) -> None:
    """Print what an import did, and its data report."""
    print_counts(data.counts, "Nothing was imported.")
    if data.report is None:
        return
    click.echo()
    print_table(
        ["", "year", "currency", "Pike", "e-conomic", "net", "VAT", "gross", "e-conomic gross", "difference"],
        [
            [
                r.kind,
                r.year,
                r.currency,
                r.count,
                r.economic_count,
                r.net,
                r.vat,
                r.gross,
                r.economic_gross,
                r.difference,
            ]
            for r in data.report.rows
        ],
        empty="",
    )
    for remark in data.report.remarks:
        click.echo(remark)


def print_preview(data: Any) -> None:
    """Print what an import would do."""
    click.echo("Nothing was written. An import now would do this:")
    print_counts(data.counts, "Nothing.")
    rows = [
        [
            example.action,
            example.entity,
            example.external_number or example.id,
            "\n".join(f"{change.field}: {_shown(change.old)} → {_shown(change.new)}" for change in example.changes),
        ]
        for example in data.examples
    ]
    click.echo()
    print_table(["", "", "number", "what changes"], rows, empty="Everything is as it should be already.")
    foreseen = sum(counts.created + counts.updated + counts.deactivated for counts in data.counts.values())
    if foreseen > len(rows):
        click.echo(f"… and {foreseen - len(rows)} more.")
    for match in data.ambiguous:
        click.echo(
            f"Customer {match.external_number}, {match.name}, fits {len(match.candidates)} of Pike's customers by "
            f"{_words(match.matched_by)}: decide with  pike-economic import matches"
        )
    for remark in data.remarks:
        click.echo(remark)


def _shown(value: object) -> str:
    return "(nothing)" if value is None else str(value)


async def undo(workspace: str, import_id: str, as_json: bool) -> int:
    """Activate again what an import deactivated."""
    async with tools(with_settings()) as kit:
        async with kit.database.connection("undo") as connection:
            row = await imports.find_by_event(connection, workspace, import_id)
        if row is None:
            fail(f"Workspace {workspace} has no import {import_id}.", BAD_ANSWER)
        if row.state == "running":
            fail("This import is still running: cancel it, or wait for its end, then undo it.", BAD_ANSWER)
        done = await undoing.undo_deactivations(kit.database, kit.clock, row, getpass.getuser())
    if as_json:
        print_json({"import_id": import_id, "activated": [str(product_id) for product_id in done]})
    elif done:
        click.echo(
            f"{len(done)} products are active again. The next import of products deactivates those that are still "
            "not linked to e-conomic."
        )
    else:
        click.echo("This import deactivated no product that is still inactive: nothing was changed.")
    return 0


async def list_matches(workspace: str, all_of_them: bool, as_json: bool) -> int:
    """List customers that fit several of Pike's."""
    async with tools(with_settings()) as kit:
        connected = await _connected(kit, workspace)
        states: list[matches.State] = ["open", "ignored", "created", "linked"] if all_of_them else ["open"]
        async with kit.database.connection("matches") as connection:
            found = await matches.search(connection, workspace, connected.agreement_number, states)
    if as_json:
        print_json([_match_json(match) for match in found])
        return 0
    print_table(
        ["e-conomic", "name", "same", "state", "may be Pike's customer", "name in Pike", "VAT number"],
        [
            [
                m.external_number,
                m.name,
                m.matched_by.replace("_", " "),
                m.state,
                c.id if c else "",
                c and c.name,
                c and c.vat_number,
            ]
            for m in found
            for c in m.candidates or (None,)
        ],
        empty="No customer waits for a decision.",
    )
    return 0


def _words(name: str) -> str:
    return name.replace("_", " ")


def _match_json(match: matches.Match) -> dict[str, object]:
    return {
        "external_number": match.external_number,
        "name": match.name,
        "matched_by": match.matched_by,
        "state": match.state,
        "candidates": [
            {"id": each.id, "name": each.name, "vat_number": each.vat_number, "email": each.email}
            for each in match.candidates
        ],
    }


async def resolve_match(
    workspace: str, number: str, customer: UUID | None, choice: str | None, timeout_s: float, as_json: bool
) -> int:
    """Keep a person's decision and bring the customer in."""
    async with tools(with_settings()) as kit:
        connected = await _connected(kit, workspace)
        agreement = connected.agreement_number
        async with kit.database.transaction("resolve a match") as connection:
            if customer is not None:
                linked = await customers.link(connection, workspace, agreement, {customer: number})
                if not linked:
                    fail(
                        f"Customer {customer} cannot be linked to {number}: it is not a customer of {workspace}, it is "
                        "linked already, or another customer has this number.",
                        BAD_ANSWER,
                    )
            state: matches.State = "linked" if customer else "ignored" if choice == "ignore" else "created"
            await matches.decide(connection, workspace, agreement, number, state)
    if state == "ignored":
        if as_json:
            print_json({"external_number": number, "state": state})
        else:
            click.echo(f"Customer {number} is on the ignore list: imports leave it out.")
        return 0
    event = make_event(RefreshRequested(entity="customer", external_number=number), workspace)
    answer = await ask(event, ["economic.refresh.completed", "economic.refresh.failed"], [], timeout_s)
    said = "linked" if customer else "a customer of its own"
    return tell(answer, as_json, lambda _data: f"Customer {number} is {said} now, and up to date.")


async def _connected(kit: Tools, workspace: str) -> EconomicConnection:
    async with kit.database.connection("the workspace's connection") as connection:
        found = await connections.find(connection, workspace)
    if found is None:
        fail(f"Workspace {workspace} is not connected to e-conomic.", USAGE)
    return found
