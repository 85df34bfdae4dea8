"""``/console/dead/{letter}``: one dead letter whole, and what may be done with it.

Every act is decided by the database: of two operators on the same letter the second is told what the first did.
"""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from aiohttp import web

from worker.errors import Refused
from worker.handlers.dry_run import DryRun
from worker.insight.story import Story, tell
from worker.runtime import edit as editing
from worker.runtime import replay as replaying
from worker.runtime.letters import document_of
from worker.runtime.replay import Replayed
from worker.store import dead_letters, operator_audit, story
from worker.store.dead_letters import DeadLetter
from worker.store.pool import Connection
from worker.web.console import live
from worker.web.console.live import Parts
from worker.web.console.payload import payload_of
from worker.web.console.view import notice, see, show
from worker.web.front import FRONT
from worker.web.named_letter import MOST_REASON, named_letter
from worker.web.operators import Operator, Role
from worker.web.pages import render
from worker.web.signing_in import checked_form, require

DONE = {
    "replayed": "Sent again. What becomes of it is shown below as soon as it is known.",
    "edited": "Sent again with the edited event. What becomes of it is shown below as soon as it is known.",
    "discarded": "Discarded. The letter stays here for the record; nothing more is done about it.",
}


def add_routes(app: web.Application) -> None:
    """Add the letter's page, its stream and its acts. Each act's address shows its form when it is asked for."""
    at = "/console/dead/{letter:[0-9a-f-]{36}}"
    app.router.add_get(at, _show)
    app.router.add_get(f"{at}/live", _live)
    for name, ask, act in (
        ("dry-run", _ask_dry_run, _dry_run),
        ("replay", _ask_replay, _replay),
        ("edit", _ask_edit, _edit),
        ("discard", _ask_discard, _discard),
    ):
        app.router.add_get(f"{at}/{name}", ask)
        app.router.add_post(f"{at}/{name}", act)


async def _show(request: web.Request) -> web.StreamResponse:
    operator = await require(request, Role.VIEWER)
    letter = await named_letter(request)
    async with request.app[FRONT].database.connection("dead letter") as connection:
        audit = await operator_audit.of_letter(connection, letter.id)
        others = await _same_event(connection, letter)
    return show(
        request, operator, "console/dead/letter.html", place="dead", letter=letter, payload=payload_of(letter),
        document=document_of(letter), audit=audit, others=others, done=notice(request, DONE),
        parts=(await _look(request, letter.id)()).html,
    )  # fmt: skip


async def _live(request: web.Request) -> web.StreamResponse:
    await require(request, Role.VIEWER)
    return await live.stream(request, _look(request, (await named_letter(request)).id), every_s=1.0)


def _look(request: web.Request, letter_id: UUID) -> Callable[[], Awaitable[Parts]]:
    """Return what tells how the event stands now; it is over when its letter is closed and its outcome known."""
    front = request.app[FRONT]

    async def look() -> Parts:
        async with front.database.connection("story of a dead letter") as connection:
            found = await story.find(connection, str(letter_id))
        told: Story | None = tell(found[0], front.clock.now()) if found else None
        letter = next((each for each in found[0].letters if each.id == letter_id), None) if found else None
        ended = letter is not None and letter.state != "open" and told is not None and told.state in ("done", "dead")
        values: dict[str, Any] = {"story": told, "letter": letter}
        return Parts(
            {name: render(f"console/dead/{name}.html", **values) for name in ("state", "story")},
            over=ended,
        )

    return look


async def _ask_dry_run(request: web.Request) -> web.StreamResponse:
    return await _form(request, "dry_run", plan=None)


async def _dry_run(request: web.Request) -> web.StreamResponse:
    operator, letter, _ = await _asked(request)
    front = request.app[FRONT]
    trial = DryRun(front.database, front.client, front.vault, front.clock, name_of(operator))
    plans = [plan async for plan in trial.plans([letter])]
    return _shown(request, operator, letter, "dry_run", plan=plans[0])


async def _ask_replay(request: web.Request) -> web.StreamResponse:
    return await _form(request, "replay")


async def _replay(request: web.Request) -> web.StreamResponse:
    operator, letter, _ = await _asked(request)
    result = await replaying.replay(request.app[FRONT].database, letter.id, name_of(operator))
    return await _after(request, operator, result, "replayed")


async def _ask_edit(request: web.Request) -> web.StreamResponse:
    letter = await named_letter(request)
    return await _form(request, "edit", body=payload_of(letter).to_edit, reason="", diff=None, problem=None, shown="")


async def _edit(request: web.Request) -> web.StreamResponse:
    """First show the difference; send only what was shown before."""
    operator, letter, form = await _asked(request)
    database = request.app[FRONT].database
    body, reason = form.get("body", "").replace("\r\n", "\n"), form.get("reason", "").strip()
    values: dict[str, Any] = {"body": body, "reason": reason, "diff": None, "problem": None, "shown": _digest(body)}
    try:
        edited = await editing.prepare(database, letter.id, body.encode())
        if edited is None:
            raise web.HTTPNotFound
        if form.get("answer") != "send" or form.get("shown") != _digest(body):
            return _shown(request, operator, letter, "edit", **values | {"diff": edited.diff})
        if not reason or len(reason) > MOST_REASON:
            told = "Say why the event is changed." if not reason else f"At most {MOST_REASON} characters, please."
            return _shown(request, operator, letter, "edit", 422, **values | {"diff": edited.diff, "problem": told})
        result = await editing.send(database, letter.id, body.encode(), name_of(operator), reason)
    except Refused as exc:
        told = f"{exc.problem.user_message} {exc.problem.remedy}"
        return _shown(request, operator, letter, "edit", 422, **values | {"problem": told})
    return await _after(request, operator, result, "edited")


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()


async def _ask_discard(request: web.Request) -> web.StreamResponse:
    return await _form(request, "discard", reason="", problem=None)


async def _discard(request: web.Request) -> web.StreamResponse:
    operator, letter, form = await _asked(request)
    reason = form.get("reason", "").strip()
    if not reason or len(reason) > MOST_REASON:
        told = "Say why nothing has to be done." if not reason else f"At most {MOST_REASON} characters, please."
        return _shown(request, operator, letter, "discard", 422, reason=reason, problem=told)
    result = await replaying.discard(request.app[FRONT].database, letter.id, name_of(operator), reason)
    return await _after(request, operator, result, "discarded")


async def _asked(request: web.Request) -> tuple[Operator, DeadLetter, dict[str, str]]:
    operator = await require(request, Role.OPERATOR)
    form = await checked_form(request)
    return operator, await named_letter(request), form


async def _form(request: web.Request, template: str, **values: Any) -> web.StreamResponse:
    operator = await require(request, Role.OPERATOR)
    return _shown(request, operator, await named_letter(request), template, **values)


def _shown(
    request: web.Request, operator: Operator, letter: DeadLetter, template: str, status: int = 200, **values: Any
) -> web.Response:
    return show(
        request, operator, f"console/dead/{template}.html", place="dead", status=status, letter=letter,
        document=document_of(letter), most_reason=MOST_REASON, **values,
    )  # fmt: skip


async def _after(request: web.Request, operator: Operator, result: Replayed, done: str) -> web.StreamResponse:
    """Lead on to the letter; or tell the second of two operators what the first did."""
    if result.result == "sent":
        return see(f"/console/dead/{result.id}?done={done}")
    return _shown(request, operator, await named_letter(request), "taken", 409)


async def _same_event(connection: Connection, letter: DeadLetter) -> list[DeadLetter]:
    if not (letter.source and letter.event_id):
        return []
    same = await dead_letters.search(connection, event=(letter.source, letter.event_id), state=None)
    return [each for each in same if each.id != letter.id]


def name_of(operator: Operator) -> str:
    """Return who acts, for the record."""
    return f"console: {operator.name}"
