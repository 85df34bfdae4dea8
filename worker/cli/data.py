"""``data``: give out what is kept about a customer or a workspace, or erase it (deploy/data-protection.md)."""

import getpass
import json
from typing import Any
from uuid import UUID

import click

from worker.bootstrap import tools
from worker.cli.output import BAD_ANSWER, fail, print_json, print_table, with_settings
from worker.insight.plain import plain
from worker.store import access_audit
from worker.store.personal.erasing import Erased, erase_customer
from worker.store.personal.finding import NoSuchCustomer, find_person, rows
from worker.store.personal.leaving import erase_workspace


async def export(workspace: str, customer: UUID | None) -> int:
    """Print a JSON object a line: table and row."""
    async with tools(with_settings()) as kit, kit.database.transaction("export") as connection:
        try:
            person = (await find_person(connection, workspace, customer))[1] if customer else None
        except NoSuchCustomer as exc:
            fail(f"{str(exc).capitalize()}.", BAD_ANSWER)
        count = 0
        async for table, row in rows(connection, workspace, person):
            click.echo(json.dumps({"table": table, "row": row}, default=plain, ensure_ascii=False))
            count += 1
        await _note(connection, "data_exported", workspace, customer, {"rows": count})
    click.echo(f"{count} rows.", err=True)
    return 0 if count else BAD_ANSWER


async def erase(workspace: str, customer: UUID | None, dry_run: bool, as_json: bool) -> int:
    """Erase in one transaction; a dry run does the same and takes it back."""
    async with tools(with_settings()) as kit:
        try:
            async with kit.database.connection("erase") as connection:
                transaction = connection.transaction()
                await transaction.start()
                done = await (
                    erase_customer(connection, workspace, customer)
                    if customer
                    else erase_workspace(connection, workspace)
                )
                if dry_run or done.obstacles:
                    await transaction.rollback()
                else:
                    await _note(connection, "data_erased", workspace, customer, {"rows": dict(done.rows)})
                    await transaction.commit()
        except NoSuchCustomer as exc:
            fail(f"{str(exc).capitalize()}.", BAD_ANSWER)
    return _tell(done, workspace, dry_run, as_json)


async def _note(connection: Any, action: str, workspace: str, customer: UUID | None, details: dict[str, Any]) -> None:
    who = {"customer": str(customer)} if customer else {}
    await access_audit.write(
        connection, f"operator:{getpass.getuser()}", action, workspace_id=workspace, details={**who, **details}
    )


def _tell(done: Erased, workspace: str, dry_run: bool, as_json: bool) -> int:
    rows_by_table = {table: count for table, count in sorted(done.rows.items()) if count}
    if as_json:
        print_json(
            {
                "erased": not dry_run and not done.obstacles,
                "dry_run": dry_run,
                "obstacles": done.obstacles,
                "rows": rows_by_table,
                "ignored_number": done.ignored,
            }
        )
    elif done.obstacles:
        click.echo("Nothing was erased, because")
        for each in done.obstacles:
            click.echo(f"  {each}.")
    else:
        click.echo("Nothing was erased. This would be:" if dry_run else "Erased:")
        print_table(["table", "rows"], list(rows_by_table.items()), empty="Nothing.")
        if done.ignored:
            click.echo(
                f"Number {done.ignored} is {'to be ' if dry_run else ''}on the ignore list, so that no import brings "
                "the customer back while e-conomic has it. Erase it there as well. To bring it back on purpose:\n"
                f"  pike-economic import matches resolve {done.ignored} --workspace {workspace} --new"
            )
    return BAD_ANSWER if done.obstacles else 0
