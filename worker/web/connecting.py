"""``/connect/…``: the pages of connecting an agreement, from Pike's link to the first import (R8).

The popup takes no address to go back to from anybody: it ends on a page of ours, and Pike learns the rest by event.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from aiohttp import web
from pydantic import SecretStr

from schemas.kinds import IMPORTABLE
from worker.handlers.connect_links import BadLink, read
from worker.handlers.connect_steps import Offer, Turned
from worker.store.attempts import Attempt
from worker.web import connect_form, cookies
from worker.web.connect_reasons import told
from worker.web.front import FRONT
from worker.web.pages import page

COOKIE = "pike_connect"
ENTITIES = {name: name.capitalize() for name in IMPORTABLE}
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def add_routes(app: web.Application) -> None:
    """Add the pages to the application. ``/connect/callback`` comes before the workspaces: none can be called that."""
    for method, path, handler in (
        ("GET", "/connect/callback", _come_back),
        ("GET", "/connect/confirm/{attempt}", _show_offer),
        ("POST", "/connect/confirm/{attempt}", _confirm),
        ("POST", "/connect/import/{attempt}", _import),
        ("GET", "/connect/{workspace}", _open_link),
    ):
        app.router.add_route(method, path, _explained(handler))


def _explained(handler: _Handler) -> _Handler:
    async def explained(request: web.Request) -> web.StreamResponse:
        if not request.app[FRONT].can_connect:
            return told("not_set_up", {})
        try:
            return await handler(request)
        except Turned as turned:
            return told(turned.reason, turned.facts)

    return explained


async def _open_link(request: web.Request) -> web.StreamResponse:
    front = request.app[FRONT]
    query = dict(request.query.items())
    if len(query) != len(request.query):
        raise Turned("forged")
    try:
        link = read(request.match_info["workspace"], query, front.link_keys, front.clock.now().timestamp())
    except BadLink as exc:
        raise Turned("link_expired" if str(exc) == "expired" else "forged") from None
    browser = cookies.get(request, COOKIE) or cookies.new_value()
    attempt, state = await front.steps.open_link(link, browser)
    if state is None:
        answer = _see(f"/connect/confirm/{attempt.id}")
    else:
        back = f"{front.public_url}/connect/callback?{urlencode({'state': state})}"
        wanted = urlencode({"appPublicToken": front.app_public_token, "redirectUrl": back})
        answer = _see(f"{front.consent_url}?{wanted}")
    cookies.put(request, answer, COOKIE, browser, "Lax")  # Strict would not come back with the way from e-conomic
    return answer


async def _come_back(request: web.Request) -> web.StreamResponse:
    """Take the grant out of the address at once: what is seen, bookmarked or sent on from here holds no token."""
    grant = request.query.get("token", "").strip()
    if len(request.query.getall("token", [])) > 1 or len(request.query.getall("state", [])) > 1 or len(grant) > 500:
        raise Turned("forged")
    browser = cookies.get(request, COOKIE)
    if browser is None:
        raise Turned("other_browser")
    steps = request.app[FRONT].steps
    attempt = await steps.come_back(request.query.get("state", ""), browser, SecretStr(grant) if grant else None)
    return _see(f"/connect/confirm/{attempt.id}")


async def _show_offer(request: web.Request) -> web.StreamResponse:
    attempt, browser = await _mine(request)
    if attempt.stage == "connected":
        return _done(attempt, browser, asked=attempt.ended_because == "imported")
    offer = await request.app[FRONT].steps.offer(attempt)
    return _form(offer, browser, connect_form.at_first(offer), {})


async def _confirm(request: web.Request) -> web.StreamResponse:
    attempt, browser = await _mine(request)
    sent = await _sent(request, browser, attempt)
    steps = request.app[FRONT].steps
    if sent.get("answer") == "cancel":
        await steps.cancel(attempt)
        raise Turned("cancelled")
    offer = await steps.offer(attempt)
    filled = connect_form.read(offer, sent)
    problems = dict(filled.problems)
    if not problems and filled.product_number and not await steps.has_product(attempt, filled.product_number):
        problems["default_product"] = f"The agreement has no product {filled.product_number} that can be sold."
    if problems:
        return _form(offer, browser, filled.values, problems, status=422)
    await steps.confirm(offer, filled.choices)
    return _see(f"/connect/confirm/{attempt.id}")


async def _import(request: web.Request) -> web.StreamResponse:
    attempt, browser = await _mine(request)
    sent = await _sent(request, browser, attempt)
    chosen = [entity for entity in ENTITIES if sent.get(entity) == "yes"]
    if chosen:
        await request.app[FRONT].steps.import_first(attempt, chosen)
    return _see(f"/connect/confirm/{attempt.id}")


async def _mine(request: web.Request) -> tuple[Attempt, str]:
    """Return the attempt in the address, if this browser made it."""
    browser = cookies.get(request, COOKIE)
    try:
        attempt_id = UUID(request.match_info["attempt"])
    except ValueError:
        raise Turned("forged") from None
    if browser is None:
        raise Turned("other_browser")
    return await request.app[FRONT].steps.attempt(attempt_id, browser), browser


async def _sent(request: web.Request, browser: str, attempt: Attempt) -> dict[str, str]:
    form = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
    if not cookies.same(form.pop("form_token", ""), cookies.form_token(browser, str(attempt.id))):
        raise Turned("forged")
    return form


def _form(
    offer: Offer, browser: str, values: Mapping[str, str], problems: Mapping[str, str], status: int = 200
) -> web.Response:
    shown = {**connect_form.at_first(offer), "another": "", **values}
    return page(
        "confirm.html", status=status, offer=offer, values=shown, problems=problems, form=connect_form,
        form_token=cookies.form_token(browser, str(offer.attempt.id)),
    )  # fmt: skip


def _done(attempt: Attempt, browser: str, *, asked: bool) -> web.Response:
    agreement: Mapping[str, Any] = attempt.agreement
    return page(
        "connected.html", attempt=attempt, agreement=agreement, asked=asked, entities=ENTITIES,
        form_token=cookies.form_token(browser, str(attempt.id)),
    )  # fmt: skip


def _see(address: str) -> web.Response:
    return web.Response(status=303, headers={"Location": address})
