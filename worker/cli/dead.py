"""``dead list|show|replay|discard``."""

import getpass
import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import click

from worker.bootstrap import Tools, tools
from worker.cli.output import BAD_ANSWER, USAGE, fail, print_json, print_table, with_settings
from worker.runtime import replay as replaying
from worker.store import dead_letters
from worker.store.dead_letters import DeadLetter


async def show_list(
    cause: str | None, workspace: str | None, event_type: str | None, closed_too: bool, as_json: bool
) -> int:
    """List dead letters."""
    async with tools(with_settings()) as kit:
        letters = await _search(kit, None, cause, workspace, event_type, None if closed_too else "open")
    if as_json:
        print_json([summary(letter) for letter in letters])
        return 0
    print_table(
        ["id", "type", "workspace", "cause", "received", "what happened"],
        [
            [str(x.id), x.type, x.workspace_id, x.cause, x.received_at, x.problem.get("user_message", "")]
            for x in letters
        ],
        empty="No dead letters.",
    )
    return 0


async def show(letter_id: str, as_json: bool) -> int:
    """Show one letter whole."""
    async with tools(with_settings()) as kit:
        letters = await _search(kit, [_id(letter_id)], None, None, None, None)
    if not letters:
        fail(f"There is no dead letter {letter_id}.", BAD_ANSWER)
    letter = letters[0]
    if as_json:
        print_json({**summary(letter), "detail": letter.detail, "history": letter.history, "state": letter.state,
                    "event_id": letter.event_id, "source": letter.source, "body": _body(letter)})  # fmt: skip
        return 0
    problem = letter.problem
    economic = problem.get("economic") or {}
    for label, value in (
        ("What happened", problem.get("user_message")),
        ("What to do", problem.get("remedy")),
        ("Fields", ", ".join(problem.get("fields", [])) or None),
        ("e-conomic", ", ".join(f"{k} {v}" for k, v in economic.items() if v) or None),
        ("Event", f"{letter.type} {letter.event_id} of workspace {letter.workspace_id}"),
        ("Received", str(letter.received_at)),
        ("Attempts", str(letter.attempts)),
        ("State", letter.state),
        ("For engineers", letter.detail if letter.detail != problem.get("user_message") else None),
    ):
        if value:
            click.echo(f"{label:<15}{value}")
    for entry in letter.history:
        click.echo(f"{'':<15}{entry.get('at')}  {entry.get('error')}: {entry.get('detail')}")
    click.echo("\n" + _body(letter))
    return 0


async def replay(
    ids: Sequence[str], cause: str | None, workspace: str | None, event_type: str | None, as_json: bool
) -> int:
    """Send letters again; the selection is fixed before the first is sent."""
    if not ids and not (cause or workspace or event_type):
        fail("Say which: ids, or --cause, --workspace, --type.", USAGE)
    async with tools(with_settings()) as kit:
        chosen = [_id(text) for text in ids]
        if not chosen:
            chosen = [letter.id for letter in await _search(kit, None, cause, workspace, event_type, "open")]
        results = [await replaying.replay(kit.database, letter_id, _operator()) for letter_id in chosen]
    return _report(results, "sent again", as_json)


async def discard(ids: Sequence[str], reason: str, as_json: bool) -> int:
    """Close letters for good."""
    async with tools(with_settings()) as kit:
        results = [await replaying.discard(kit.database, _id(text), _operator(), reason) for text in ids]
    return _report(results, "discarded", as_json)


def _report(results: Sequence[replaying.Replayed], verb: str, as_json: bool) -> int:
    done = sum(result.result == "sent" for result in results)
    if as_json:
        print_json([{"id": result.id, "result": result.result} for result in results])
    else:
        click.echo(f"{done} dead letter{'' if done == 1 else 's'} {verb}.")
        words = {"already_closed": "was replayed or discarded before", "not_found": "does not exist"}
        for result in results:
            if result.result != "sent":
                click.echo(f"{result.id} {words[result.result]}.")
    return 0 if done == len(results) else BAD_ANSWER


def summary(letter: DeadLetter) -> dict[str, Any]:
    """Return the contract's keys of one letter."""
    return {
        "id": letter.id,
        "type": letter.type,
        "workspace_id": letter.workspace_id,
        "cause": letter.cause,
        "received_at": letter.received_at,
        "attempts": letter.attempts,
        "problem": letter.problem,
    }


async def _search(
    kit: Tools,
    ids: list[UUID] | None,
    cause: str | None,
    workspace: str | None,
    event_type: str | None,
    state: str | None,
) -> list[DeadLetter]:
    async with kit.database.connection("dead letters") as connection:
        return await dead_letters.search(
            connection, ids=ids, cause=cause, workspace_id=workspace, event_type=event_type, state=state
        )


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        fail(f"'{text}' is not the id of a dead letter; see: pike-economic dead list", USAGE)


def _operator() -> str:
    return f"command line: {getpass.getuser()}"


def _body(letter: DeadLetter) -> str:
    try:
        return json.dumps(json.loads(letter.body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        text = letter.body[:2000].decode("utf-8", errors="backslashreplace")
        return text + (f"\n… {len(letter.body)} bytes in all" if len(letter.body) > 2000 else "")
