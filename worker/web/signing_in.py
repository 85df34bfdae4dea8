"""Operators: signing in to a session, tokens for programs, roles, and who may see or do what.

A page or endpoint asks ``require(request, Role.…)``, and every one that changes something reads its form with
``checked_form``; both are what the console's pages and ``/api/v1`` build on.
"""

import ipaddress
import re
from urllib.parse import quote

import structlog
from aiohttp import web

from worker.handlers.connect_links import fingerprint
from worker.store import access_audit, operator_sessions
from worker.web import cookies
from worker.web.front import FRONT
from worker.web.hardening import route_name
from worker.web.operators import Operator, Role
from worker.web.pages import page
from worker.web.theme import theme_of

log = structlog.get_logger()

COOKIE = "pike_operator"
DOOR = "pike_door"
"""Cookie of the sign-in form, so that nobody can be signed in by another site."""

HOME = "/console/"

_BEARER = "Bearer "
_OUR_PAGE = re.compile(r"/console/[A-Za-z0-9/_.~%:@-]*(\?[A-Za-z0-9/_.~%:@=&+-]*)?")


def add_routes(app: web.Application) -> None:
    """Add sign-in, sign-out and the answer to "who am I"."""
    app.router.add_get("/console/login", _show_login)
    app.router.add_post("/console/login", _sign_in)
    app.router.add_post("/console/logout", _sign_out)
    app.router.add_get("/api/v1/whoami", _whoami)


def look_again(request: web.Request) -> str:
    """Return where somebody goes on who has to sign in first.

    Every address of the console that takes a form shows that form when it is asked for: so it is always this address.
    """
    return "" if request.path_qs == HOME else f"?next={quote(request.path_qs)}"


def page_of_ours(address: str) -> str:
    """Return the address if it is one of the console's pages, else the first page: nobody is sent anywhere else."""
    return address if _OUR_PAGE.fullmatch(address) and not address.startswith("/console/log") else HOME


async def find_operator(request: web.Request) -> Operator | None:
    """Return who asks: by bearer token (programs) or by session cookie (the console)."""
    front = request.app[FRONT]
    given = request.headers.get("Authorization", "")
    if given:
        return front.operators.find(given.removeprefix(_BEARER)) if given.startswith(_BEARER) else None
    cookie = cookies.get(request, COOKIE)
    if cookie is None:
        return None
    async with front.database.connection("find a session") as connection:
        session = await operator_sessions.find(connection, fingerprint(cookie))
    return front.operators.still(session.operator, session.token_hash) if session else None


async def require(request: web.Request, role: Role) -> Operator:
    """Return the operator, or refuse: people are sent to sign in, programs get 401; too small a role is 403."""
    operator = await find_operator(request)
    if operator is None:
        if request.path.startswith("/console") and not request.headers.get("Authorization"):
            raise web.HTTPSeeOther(f"/console/login{look_again(request)}")
        raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "Bearer"})
    if operator.role < role:
        async with request.app[FRONT].database.connection("note a refusal") as connection:
            await access_audit.write(
                connection, f"operator:{operator.name}", "refused", address=peer(request),
                details={"route": route_name(request)},
            )  # fmt: skip
        raise web.HTTPForbidden
    return operator


async def still_signed_in(request: web.Request) -> bool:
    """Whether the session of a request goes on. Asking does not keep it alive: nobody may be looking any more."""
    cookie, front = cookies.get(request, COOKIE), request.app[FRONT]
    if cookie is None:
        return await find_operator(request) is not None
    async with front.database.connection("look at a session") as connection:
        session = await operator_sessions.look(connection, fingerprint(cookie))
    return session is not None and front.operators.still(session.operator, session.token_hash) is not None


async def checked_form(request: web.Request) -> dict[str, str]:
    """Return a form of a signed-in page. Raises 403 unless the page was ours (hidden token, same site).

    Programs with a bearer token need no hidden token: a browser does not send theirs by itself.
    """
    form = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
    token = form.pop("form_token", "")
    if request.headers.get("Authorization"):
        return form
    _refuse_cross_site(request)
    cookie = cookies.get(request, COOKIE)
    if cookie is None or not cookies.same(token, cookies.form_token(cookie, "console")):
        raise web.HTTPForbidden
    return form


def session_form_token(request: web.Request) -> str:
    """Return the hidden field for the forms of a signed-in page."""
    return cookies.form_token(cookies.get(request, COOKIE) or "", "console")


def peer(request: web.Request) -> str:
    """Return where a request came from, without the port; a network of /64 counts as one address in IPv6."""
    try:
        address = ipaddress.ip_address(request.remote or "")
    except ValueError:
        return "unknown"
    if address.version == 6:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def _refuse_cross_site(request: web.Request) -> None:
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise web.HTTPForbidden


async def _show_login(request: web.Request) -> web.StreamResponse:
    return _login_page(request, "")


def _login_page(request: web.Request, problem: str, status: int = 200) -> web.Response:
    door = cookies.get(request, DOOR) or cookies.new_value()
    back = page_of_ours(request.query.get("next", HOME))
    answer = page(
        "login.html", status=status, problem=problem, interrupted=back != HOME, theme=theme_of(request),
        action=f"/console/login?next={quote(back)}" if back != HOME else "/console/login",
        form_token=cookies.form_token(door, "login"),
    )  # fmt: skip
    cookies.put(request, answer, DOOR, door, "Strict")
    return answer


async def _sign_in(request: web.Request) -> web.StreamResponse:
    front, address = request.app[FRONT], peer(request)
    _refuse_cross_site(request)
    form = await request.post()
    door = cookies.get(request, DOOR)
    if door is None or not cookies.same(str(form.get("form_token", "")), cookies.form_token(door, "login")):
        return _login_page(request, "The form was too old, or cookies are blocked. Please try again.", 403)
    async with front.database.connection("sign in") as connection:
        wait_s = await operator_sessions.blocked_s(connection, address)
        if wait_s:
            answer = _login_page(request, f"Too many tries. Please wait {int(wait_s) + 1} seconds.", 429)
            answer.headers["Retry-After"] = str(int(wait_s) + 1)
            return answer
        operator = front.operators.find(str(form.get("token", "")))
        if operator is None:
            failures = await operator_sessions.note_failure(connection, address)
            await access_audit.write(connection, "stranger", "login_failed", address=address)
            log.warning("operator.login_failed", address=address, failures=failures)
            return _login_page(request, "This token is not known.", 403)
        session = cookies.new_value()  # always a new one: a value from before could be somebody else's
        await operator_sessions.begin(connection, fingerprint(session), operator.name, operator.token_hash)
        await operator_sessions.note_success(connection, address)
        await access_audit.write(connection, f"operator:{operator.name}", "login", address=address)
    answer = web.Response(status=303, headers={"Location": page_of_ours(request.query.get("next", HOME))})
    cookies.put(request, answer, COOKIE, session, "Strict")
    cookies.drop(request, answer, DOOR)
    return answer


async def _sign_out(request: web.Request) -> web.StreamResponse:
    operator = await require(request, Role.VIEWER)
    await checked_form(request)
    cookie = cookies.get(request, COOKIE)
    async with request.app[FRONT].database.connection("sign out") as connection:
        if cookie is not None:
            await operator_sessions.end(connection, fingerprint(cookie))
        await access_audit.write(connection, f"operator:{operator.name}", "logout", address=peer(request))
    answer = web.Response(status=303, headers={"Location": "/console/login"})
    cookies.drop(request, answer, COOKIE)
    return answer


async def _whoami(request: web.Request) -> web.StreamResponse:
    operator = await require(request, Role.VIEWER)
    return web.json_response({"name": operator.name, "role": operator.role.name.lower()})
