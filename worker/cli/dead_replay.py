"""``dead replay``: one letter at once, many as a campaign in careful steps, one with an edited body."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import click

from worker.bootstrap import Tools, tools
from worker.cli.dead import Selection, named, need_some, operator, read_id, report
from worker.cli.output import BAD_ANSWER, USAGE, fail, print_json, with_settings
from worker.runtime import campaign as campaigns
from worker.runtime import edit as editing
from worker.runtime import replay as replaying
from worker.runtime.campaign import Ended, Runner
from worker.store import replays
from worker.store.replays import Counts, Placed

_OUTCOMES = {
    "waiting": ("not_sent", None),
    "released": ("not_sent", None),
    "skipped": ("already_closed", None),
    "sent": ("sent", "pending"),
    "done": ("sent", "done"),
    "failed": ("sent", "failed"),
    "held": ("sent", "held"),
}
"""State in the campaign → result and outcome as printed."""


async def replay(
    ids: Sequence[str], chosen: Selection, rate: float, max_failures: float, wait_s: float, as_json: bool
) -> int:
    """Send letters again: one at once, several as a campaign."""
    need_some(ids, chosen)
    async with tools(with_settings()) as kit:
        if len(set(ids)) == 1:
            return report([await replaying.replay(kit.database, read_id(ids[0]), operator())], "sent again", as_json)
        letters = await named(kit, ids) if ids else await chosen.letters(kit)
        if not letters and not ids:
            return report([], "sent again", as_json)
        begun = await campaigns.begin(
            kit.database,
            [letter.id for letter in letters],
            selection={"ids": list(ids)} if ids else asdict(chosen),
            rate_per_s=rate,
            max_failure_share=max_failures,
            by=operator(),
        )
        left_out = _left_out({read_id(text) for text in ids}, {letter.id for letter in letters}, begun)
        if not begun.letters:
            return await _tell(kit, begun.id, None, left_out, as_json)
        # nothing follows a single letter, so nothing waits for its outcome
        return await _run(kit, begun.id, wait_s if len(begun.letters) > 1 else 0.0, left_out, as_json)


async def resume(campaign_text: str, wait_s: float, as_json: bool) -> int:
    """Go on with a campaign that halted, or whose command died."""
    try:
        campaign_id = UUID(campaign_text)
    except ValueError:
        fail(f"'{campaign_text}' is not the id of a campaign.", USAGE)
    async with tools(with_settings()) as kit:
        async with kit.database.connection("replays") as connection:
            campaign = await replays.find(connection, campaign_id)
        if campaign is None:
            fail(f"There is no campaign {campaign_id}.", BAD_ANSWER)
        if campaign.state == "done":
            async with kit.database.connection("replays") as connection:
                counts = await replays.settle(connection, campaign_id)
            return await _tell(kit, campaign_id, Ended(counts, None), [], as_json)
        return await _run(kit, campaign_id, wait_s, [], as_json)


async def edit(letter_id: str, body: bytes, reason: str, sure: bool, as_json: bool) -> int:
    """Show the difference, then send the letter again with this body."""
    if not reason.strip():
        fail("Say why the event is changed: --reason.", USAGE)
    async with tools(with_settings()) as kit:
        edited = await editing.prepare(kit.database, read_id(letter_id), body)
        if edited is None:
            return report([replaying.Replayed(read_id(letter_id), "not_found")], "sent again", as_json)
        if not as_json:
            click.echo("\n".join(edited.diff) or "The body is the same.")
        if sys.stdin.isatty() and not (sure or as_json) and not click.confirm("Send it like this?"):
            return BAD_ANSWER
        sent = await editing.send(kit.database, edited.letter.id, body, operator(), reason)
    if not as_json:
        return report([sent], "sent again, edited", as_json)
    before, after = _loaded(edited.letter.body), _loaded(body)
    print_json([{"id": sent.id, "result": sent.result, "before": before, "after": after, "diff": edited.diff}])
    return 0 if sent.result == "sent" else BAD_ANSWER


def _loaded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", errors="backslashreplace")


def _left_out(asked: set[UUID], exist: set[UUID], begun: campaigns.Begun) -> list[dict[str, Any]]:
    """Return a result for each letter that the campaign did not get."""
    missing = [{"id": each, "result": "not_found"} for each in sorted(asked - exist)]
    others = [{"id": each, "result": "taken", "campaign": begun.taken[each]} for each in sorted(begun.taken)]
    closed = sorted(exist - set(begun.letters) - set(begun.taken))
    return [*missing, *others, *({"id": each, "result": "already_closed"} for each in closed)]


async def _run(kit: Tools, campaign_id: UUID, wait_s: float, left_out: list[dict[str, Any]], as_json: bool) -> int:
    click.echo(f"Campaign {campaign_id}; if this command ends early: dead replay --resume {campaign_id}", err=True)
    with Progress() as progress:
        runner = Runner(kit.database, kit.clock, campaign_id, operator(), wait_s, progress.show)
        try:
            ended = await runner.run()
        except campaigns.CampaignTaken as exc:
            fail(str(exc), BAD_ANSWER)
    return await _tell(kit, campaign_id, ended, left_out, as_json)


async def _tell(
    kit: Tools, campaign_id: UUID, ended: Ended | None, left_out: list[dict[str, Any]], as_json: bool
) -> int:
    async with kit.database.connection("replays") as connection:
        placed = await replays.letters_of(connection, campaign_id)
    results = [*(_result(each, campaign_id) for each in placed), *left_out]
    sent = sum(each["result"] == "sent" for each in results)
    failed = sum(each.get("outcome") in ("failed", "held") for each in results)
    if as_json:
        print_json(results)
    else:
        click.echo(f"{sent} dead letter{'' if sent == 1 else 's'} sent again; {failed} failed again or held.")
        words = {
            "already_closed": "was replayed or discarded before.", "not_found": "does not exist.",
            "taken": "belongs to another campaign; go on with it: dead replay --resume", "not_sent": "was not sent.",
        }  # fmt: skip
        for each in results:
            if each["result"] != "sent":
                which = f" {each['campaign']}" if each["result"] == "taken" else ""
                click.echo(f"{each['id']} {words[each['result']]}{which}")
    if ended is not None and ended.halted_because:
        click.echo(f"{ended.halted_because}\nGo on afterwards: dead replay --resume {campaign_id}", err=True)
    return 0 if sent == len(results) and not failed else BAD_ANSWER


def _result(placed: Placed, campaign_id: UUID) -> dict[str, Any]:
    result, outcome = _OUTCOMES[placed.state]
    return {
        "id": placed.letter_id,
        "result": result,
        "outcome": outcome,
        "cause": placed.cause,
        "campaign": campaign_id,
    }


class Progress:
    """A bar on a terminal; elsewhere a line on stderr whenever a step begins, waits or ends."""

    def __init__(self) -> None:
        self._rich: Any = None
        self._task: Any = None
        self._last = ""
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as RichProgress

            self._rich = RichProgress(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                console=Console(stderr=True),
            )  # fmt: skip

    def __enter__(self) -> Self:
        if self._rich:
            self._rich.start()
            self._task = self._rich.add_task("replay", total=None)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._rich:
            self._rich.stop()

    def show(self, counts: Counts) -> None:
        """Show how far it is."""
        whole = counts.tried + counts.waiting
        if self._rich:
            text = f"{counts.done} done, {counts.bad} failed, {counts.pending} at work"
            self._rich.update(self._task, completed=counts.tried, total=whole, description=text)
            return
        # while sending, only the steps' ends are worth a line
        if counts.waiting and counts.tried not in campaigns.step_ends():
            return
        line = f"{counts.tried} of {whole} sent: {counts.done} done, {counts.bad} failed, {counts.pending} at work"
        if counts.tried and line != self._last:
            self._last = line
            click.echo(line, err=True)
