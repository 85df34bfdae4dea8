"""``/api/v1``: for operators' programs, by bearer token. Answers have the keys of the command line's ``--json``.

Refusals are ``application/problem+json``. Roles are those of the console: a viewer looks, an operator acts.
"""

import json
from dataclasses import asdict
from functools import partial
from typing import Any
from uuid import UUID

from aiohttp import web

from worker.handlers.dry_run import DryRun
from worker.insight.attention import concerns
from worker.insight.letters import planned, summary, whole
from worker.insight.plain import plain
from worker.insight.room import room
from worker.runtime import replay as replaying
from worker.runtime.replay import Replayed
from worker.store import dead_letters, letter_lists, operator_audit
from worker.store.letter_lists import STATES, Chosen
from worker.web.console.paging import moment
from worker.web.front import FRONT
from worker.web.hardening import refusal
from worker.web.named_letter import MOST_REASON, named_letter
from worker.web.operators import Operator, Role
from worker.web.signing_in import checked_form, require

MOST = 500
_dumps = partial(json.dumps, default=plain, ensure_ascii=False)


def add_routes(app: web.Application) -> None:
    """Add the addresses."""
    app.router.add_get("/api/v1/status", _status)
    app.router.add_get("/api/v1/dead", _list)
    app.router.add_get("/api/v1/dead/{letter}", _show)
    app.router.add_post("/api/v1/dead/{letter}/dry-run", _dry_run)
    app.router.add_post("/api/v1/dead/{letter}/replay", _replay)
    app.router.add_post("/api/v1/dead/{letter}/discard", _discard)


async def _status(request: web.Request) -> web.StreamResponse:
    """Answer with the operations room and what in it needs somebody; without the broker's own queue counts."""
    await require(request, Role.VIEWER)
    front = request.app[FRONT]
    async with front.database.connection("status") as connection:
        seen = {"at": front.clock.now(), **await room(connection)}
    return _answer({**seen, "concerns": [asdict(each) for each in concerns(seen)]})


async def _list(request: web.Request) -> web.StreamResponse:
    """Answer with letters, newest first. ``Link`` with ``rel="next"`` leads on while there are more."""
    await require(request, Role.VIEWER)
    query = request.query
    try:
        limit = min(int(query.get("limit", "100")), MOST)
        key = (moment(query["after"]), UUID(query["after_id"])) if "after" in query else None
    except (ValueError, KeyError):
        return refusal(request, 400, "Bad Request", "limit is a number; after and after_id go together.", {})
    state = query.get("state", "open")
    if state not in (*STATES, "all") or limit < 1:
        return refusal(
            request, 400, "Bad Request", f"state is one of {', '.join(STATES)}, all; limit is at least 1.", {}
        )
    chosen = Chosen(
        state=None if state == "all" else state,
        cause=query.get("cause"),
        workspace_id=query.get("workspace"),
        event_type=query.get("type"),
    )
    async with request.app[FRONT].database.connection("list dead letters") as connection:
        found = await letter_lists.page(connection, chosen, limit + 1, key, backwards=False)
    answer = _answer([summary(letter) for letter in found[:limit]])
    if len(found) > limit:
        last = found[limit - 1]
        more = request.rel_url.update_query({"after": last.buried_at.isoformat(), "after_id": str(last.id)})
        answer.headers["Link"] = f'<{more}>; rel="next"'
    return answer


async def _show(request: web.Request) -> web.StreamResponse:
    await require(request, Role.VIEWER)
    letter = await named_letter(request)
    async with request.app[FRONT].database.connection("dead letter") as connection:
        audit = await operator_audit.of_letter(connection, letter.id)
        event = (letter.source, letter.event_id) if letter.source and letter.event_id else None
        same = await dead_letters.search(connection, event=event, state=None) if event else []
    return _answer(whole(letter, audit, [other for other in same if other.id != letter.id]))


async def _dry_run(request: web.Request) -> web.StreamResponse:
    operator = await require(request, Role.OPERATOR)
    await checked_form(request)
    front, letter = request.app[FRONT], await named_letter(request)
    trial = DryRun(front.database, front.client, front.vault, front.clock, _name(operator))
    plans = [plan async for plan in trial.plans([letter])]
    return _answer(planned(plans[0]))


async def _replay(request: web.Request) -> web.StreamResponse:
    operator = await require(request, Role.OPERATOR)
    await checked_form(request)
    letter = await named_letter(request)
    return _told(request, await replaying.replay(request.app[FRONT].database, letter.id, _name(operator)))


async def _discard(request: web.Request) -> web.StreamResponse:
    operator = await require(request, Role.OPERATOR)
    reason = (await checked_form(request)).get("reason", "").strip()
    letter = await named_letter(request)
    if not reason or len(reason) > MOST_REASON:
        told = f"Say why nothing has to be done: form field reason, at most {MOST_REASON} characters."
        return refusal(request, 422, "Unprocessable Content", told, {})
    return _told(request, await replaying.discard(request.app[FRONT].database, letter.id, _name(operator), reason))


def _told(request: web.Request, result: Replayed) -> web.Response:
    """Answer with what happened; that somebody else was faster is a conflict, and nothing happened twice."""
    if result.result == "sent":
        return _answer({"id": result.id, "result": result.result})
    return refusal(request, 409, "Conflict", "This letter was replayed or discarded before; nothing was done.", {})


def _answer(value: Any) -> web.Response:
    return web.json_response(value, dumps=_dumps)


def _name(operator: Operator) -> str:
    """Return who acts, for the record."""
    return f"api: {operator.name}"
