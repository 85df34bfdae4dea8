"""``dead list|show|dry-run|discard``: what could not be done, why, and what a replay would come to."""

import getpass
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

import click

from worker.bootstrap import Tools, tools
from worker.cli.output import BAD_ANSWER, USAGE, fail, print_json, print_table, with_settings
from worker.handlers.dry_run import DryRun
from worker.handlers.plan import Plan
from worker.insight.letters import body_text, planned, summary, whole
from worker.runtime import letters as grouping
from worker.runtime import replay as replaying
from worker.store import connections, dead_letters, operator_audit
from worker.store.dead_letters import DeadLetter
from worker.store.operator_audit import Entry


@dataclass(frozen=True, slots=True)
class Selection:
    """Which letters a command is about. ``group`` is the short name that ``list --groups`` prints."""

    cause: str | None = None
    workspace: str | None = None
    event_type: str | None = None
    group: str | None = None

    def __bool__(self) -> bool:
        return any((self.cause, self.workspace, self.event_type, self.group))

    async def letters(self, kit: Tools, state: str | None = "open", limit: int | None = None) -> list[DeadLetter]:
        """Return the letters that fit, oldest first."""
        found: list[DeadLetter] = []
        async with kit.database.connection("dead letters") as connection:
            agreements = await _agreements(connection) if self.group else {}
            criteria = {"cause": self.cause, "workspace_id": self.workspace, "event_type": self.event_type}
            async with aclosing(dead_letters.search_all(connection, **criteria, state=state)) as pages:
                async for letter in pages:
                    if self.group in (None, grouping.key_of(letter, agreements).id):
                        found.append(letter)
                    if limit is not None and len(found) >= limit:
                        break
        return found


async def show_list(chosen: Selection, closed_too: bool, as_json: bool) -> int:
    """List dead letters."""
    async with tools(with_settings()) as kit:
        letters = await chosen.letters(kit, None if closed_too else "open")
    if as_json:
        print_json([summary(letter) for letter in letters])
        return 0
    print_table(
        ["id", "type", "workspace", "cause", "received", "what happened"],
        [[x.id, x.type, x.workspace_id, x.cause, x.received_at, x.problem.get("user_message", "")] for x in letters],
        empty="No dead letters.",
    )
    return 0


async def show_groups(chosen: Selection, closed_too: bool, as_json: bool) -> int:
    """List dead letters by cause, code, property and agreement, with remedy and the documents concerned."""
    state = None if closed_too else "open"
    async with tools(with_settings()) as kit, kit.database.connection("dead letters") as connection:
        agreements = await _agreements(connection)
        criteria = {"cause": chosen.cause, "workspace_id": chosen.workspace, "event_type": chosen.event_type}
        async with aclosing(dead_letters.search_all(connection, **criteria, state=state)) as found:
            groups = await grouping.group(found, agreements)
    groups = [each for each in groups if chosen.group in (None, each.key.id)]
    if as_json:
        print_json([_group_json(each) for each in groups])
        return 0
    for each in groups:
        _print_group(each)
    if not groups:
        click.echo("No dead letters.")
    return 0


def _group_json(group: grouping.Group) -> dict[str, Any]:
    return {
        "group": group.key.id,
        "cause": group.key.cause,
        "error_code": group.key.error_code,
        "property": group.key.place,
        "agreement_number": group.key.agreement_number,
        "count": group.count,
        "oldest": group.oldest,
        "user_message": group.user_message,
        "remedy": group.remedy,
        "workspaces": sorted(group.workspaces),
        "documents": [asdict(document) for document in group.documents],
    }


def _print_group(group: grouping.Group) -> None:
    key = group.key
    named = [
        key.cause,
        key.error_code,
        key.place,
        f"agreement {key.agreement_number}" if key.agreement_number else None,
    ]
    click.echo(f"{group.count} × {' · '.join(part for part in named if part)}")
    names = list(dict.fromkeys(document.name for document in group.documents))
    for label, value in (
        ("What happened", group.user_message),
        ("What to do", group.remedy),
        ("Oldest", f"{group.oldest:%Y-%m-%d %H:%M:%S} UTC"),
        ("Workspaces", ", ".join(sorted(group.workspaces))),
        ("Concerns", "; ".join(names[:20]) + (f"; and {group.count - 20} more (--json)" if len(names) > 20 else "")),
        ("Then", f"pike-economic dead dry-run --group {key.id}; pike-economic dead replay --group {key.id}"),
    ):
        click.echo(f"  {label:<15}{value}")
    click.echo()


async def show(letter_id: str, as_json: bool) -> int:
    """Show one letter whole."""
    async with tools(with_settings()) as kit, kit.database.connection("dead letter") as connection:
        found = await dead_letters.search(connection, ids=[read_id(letter_id)], state=None)
        if not found:
            fail(f"There is no dead letter {letter_id}.", BAD_ANSWER)
        letter = found[0]
        audit = await operator_audit.of_letter(connection, letter.id)
        event = (letter.source, letter.event_id) if letter.source and letter.event_id else None
        same = await dead_letters.search(connection, event=event, state=None) if event else []
    others = [other for other in same if other.id != letter.id]
    if as_json:
        print_json(whole(letter, audit, others))
    else:
        _print_letter(letter, audit, others)
    return 0


def _print_letter(letter: DeadLetter, audit: Sequence[Entry], others: Sequence[DeadLetter]) -> None:
    problem = letter.problem
    economic = problem.get("economic") or {}
    closed = f" {_at(letter.closed_at)} by {letter.closed_by}" if letter.closed_at else ""
    for label, value in (
        ("What happened", problem.get("user_message")),
        ("What to do", problem.get("remedy")),
        ("Fields", ", ".join(problem.get("fields", [])) or None),
        ("e-conomic", ", ".join(f"{k} {v}" for k, v in economic.items() if v) or None),
        ("Event", f"{letter.type} {letter.event_id} of workspace {letter.workspace_id}"),
        ("Received", _at(letter.received_at)),
        ("Given up", f"{_at(letter.buried_at)} after {letter.attempts} attempt{'' if letter.attempts == 1 else 's'}"),
        ("State", letter.state + closed),
        ("Reason", letter.closed_reason),
        ("For engineers", letter.detail if letter.detail != problem.get("user_message") else None),
    ):
        if value:
            click.echo(f"{label:<15}{value}")
    for number, entry in enumerate(letter.history, start=1):
        click.echo(f"{f'Failure {number}':<15}{entry.get('at')}  {entry.get('error')}: {entry.get('detail')}")
    for other in others:
        click.echo(f"{'Same event':<15}{_at(other.buried_at)}  letter {other.id}: {other.cause}, {other.state}")
    for act in audit:
        why = f": {act.reason}" if act.reason else ""
        click.echo(f"{'Operators':<15}{_at(act.at)}  {act.action} by {act.operator}{why}")
        for line in [*act.details.get("calls", []), *act.details.get("diff", [])]:
            click.echo(f"{'':<17}{line}")
    click.echo("\n" + body_text(letter.body))


async def dry_run(ids: Sequence[str], chosen: Selection, limit: int, as_json: bool) -> int:
    """Print what a replay would do; exit code 1 when something would still be wrong."""
    need_some(ids, chosen)
    async with tools(with_settings()) as kit:
        letters = await named(kit, ids) if ids else await chosen.letters(kit, limit=limit + 1)
        left_out = not ids and len(letters) > limit
        trial = DryRun(kit.database, kit.client, kit.vault, kit.clock, operator())
        plans: list[Plan] = []
        async for plan in trial.plans(letters if ids else letters[:limit]):
            plans.append(plan)
            if not as_json:
                _print_plan(plan)
    if as_json:
        print_json([planned(plan) for plan in plans])
    wrong = sum(bool(plan.wrong) for plan in plans)
    click.echo(f"{len(plans)} looked at, {wrong} would fail again. Nothing was sent.", err=as_json)
    if left_out:
        click.echo(f"There are more; these are the {limit} oldest (--limit).", err=True)
    return BAD_ANSWER if wrong or len(plans) < len(ids) else 0


def _print_plan(plan: Plan) -> None:
    click.echo(f"{plan.letter_id}  {plan.type} of workspace {plan.workspace_id}")
    for label, lines in (
        ("Calls", plan.calls),
        ("e-conomic has", plan.exists),
        ("Pike has", [f"{name}: {_words(value)}" for name, value in plan.pike.items()]),
        ("Still wrong", [f"{problem.user_message} {problem.remedy}" for problem in plan.wrong]),
    ):
        for index, line in enumerate(lines):
            click.echo(f"  {'' if index else label:<15}{line}")
    click.echo()


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in value.items() if each is not None) or "nothing"
    return "nothing" if value is None else str(value)


async def discard(ids: Sequence[str], reason: str, as_json: bool) -> int:
    """Close letters for good."""
    if not reason.strip():
        fail("Say why nothing has to be done: --reason.", USAGE)
    async with tools(with_settings()) as kit:
        results = [await replaying.discard(kit.database, read_id(text), operator(), reason) for text in ids]
    return report(results, "discarded", as_json)


def report(results: Sequence[replaying.Replayed], verb: str, as_json: bool) -> int:
    """Print what happened to each letter; exit code 1 unless all went."""
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


async def named(kit: Tools, ids: Sequence[str]) -> list[DeadLetter]:
    """Return the letters with these ids, in whatever state; a sentence on stderr for each that does not exist."""
    wanted = [read_id(text) for text in ids]
    async with kit.database.connection("dead letters") as connection:
        found = await dead_letters.search(connection, ids=wanted, state=None, limit=len(wanted))
    for missing in sorted(set(map(str, wanted)) - {str(letter.id) for letter in found}):
        click.echo(f"There is no dead letter {missing}.", err=True)
    return found


def need_some(ids: Sequence[str], chosen: Selection) -> None:
    """End with a sentence unless letters are named or chosen, and not both."""
    if not ids and not chosen:
        fail("Say which: ids, or --cause, --workspace, --type, --group.", USAGE)
    if ids and chosen:
        fail("Give either ids or --cause, --workspace, --type, --group, not both.", USAGE)


def read_id(text: str) -> UUID:
    """Read a letter's id, or end with a sentence."""
    try:
        return UUID(text)
    except ValueError:
        fail(f"'{text}' is not the id of a dead letter; see: pike-economic dead list", USAGE)


def operator() -> str:
    """Return who types, for the record."""
    return f"command line: {getpass.getuser()}"


async def _agreements(connection: Any) -> dict[str, int]:
    return {each.workspace_id: each.agreement_number for each in await connections.find_all(connection)}


def _at(moment: Any) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
