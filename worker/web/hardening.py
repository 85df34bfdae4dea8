"""What every answer obeys: headers, time limits, a bound on what is at work, and errors that give nothing away."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import uuid4

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from worker.errors import StoreUnavailable
from worker.web.front import FRONT
from worker.web.pages import page
from worker.web.theme import theme_of

log = structlog.get_logger()

MAX_BODY = 64 * 1024
MAX_AT_WORK = 64
REQUEST_LIMIT_S = 90.0
"""From the last header to the answer, body included; verifying a grant waits for e-conomic up to a minute."""

PUBLIC_LIMIT_S = 20.0
"""The same for pages that wait for nobody."""

_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
SCRIPTED = {"Content-Security-Policy": f"{_POLICY}; script-src 'self'; connect-src 'self'"}
"""Header of pages that bring our own script along: those of the console, behind the sign-in. No other page runs any."""

_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex",
}
_OPEN = frozenset({"/health/live", "/health/ready", "/metrics"})
_SLOW = ("/connect/callback", "/connect/confirm")
_READS_THERE = "/dry-run"
"""End of addresses that read from e-conomic before they answer."""
_HOOKS = "/webhooks/"
MAX_HOOKS_AT_WORK = 512
"""Webhook calls are many, short, and come in bursts: they have places of their own."""
_AT_WORK = web.AppKey("at_work", dict[bool, int])


class _Bounds:
    """A request's place among those at work, and its time limit."""

    def __init__(self, at_work: dict[bool, int], hook: bool, limit: asyncio.Timeout) -> None:
        self._at_work, self._hook = at_work, hook
        self.limit = limit
        self._inside = True
        at_work[hook] += 1

    def leave(self) -> None:
        """Give the place back, once."""
        if self._inside:
            self._inside = False
            self._at_work[self._hook] -= 1


_BOUNDS = web.RequestKey("bounds", _Bounds)


def let_stay(request: web.Request) -> None:
    """Let a request go on without end and without a place among those at work; its number is bounded elsewhere."""
    bounds = request[_BOUNDS]
    bounds.limit.reschedule(None)
    bounds.leave()


Middleware = Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]


def harden(app: web.Application) -> None:
    """Make every answer of the application obey."""
    app[_AT_WORK] = {True: 0, False: 0}
    app.middlewares.append(_within_bounds)
    app.on_response_prepare.append(_add_headers)


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers["Server"] = "pike-economic"
    if FRONT in request.app and request.app[FRONT].secure:
        response.headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"


@web.middleware
async def _within_bounds(request: web.Request, handler: Handler) -> web.StreamResponse:
    at_work, hook = request.app[_AT_WORK], request.path.startswith(_HOOKS)
    if at_work[hook] >= (MAX_HOOKS_AT_WORK if hook else MAX_AT_WORK) and request.path not in _OPEN:
        return refusal(request, 503, "Too much at once", "Please try again in a few seconds.", {"Retry-After": "5"})
    try:
        slow = request.path.startswith(_SLOW) or request.path.endswith(_READS_THERE)
        async with asyncio.timeout(REQUEST_LIMIT_S if slow else PUBLIC_LIMIT_S) as limit:
            bounds = request[_BOUNDS] = _Bounds(at_work, hook, limit)
            try:
                return await handler(request)
            finally:
                bounds.leave()
    except Exception as exc:  # the edge: whatever it was becomes an answer
        return _answer_to(request, exc)


def _answer_to(request: web.Request, error: Exception) -> web.StreamResponse:
    """Return what is told about an error: what to do, and nothing of how it came to be."""
    if isinstance(error, web.HTTPException):
        if error.status < 400:
            return web.Response(status=error.status, headers={"Location": error.headers["Location"]})
        told = {
            name: error.headers[name] for name in ("Allow", "Retry-After", "WWW-Authenticate") if name in error.headers
        }
        return refusal(request, error.status, error.reason, _SENTENCES.get(error.status, "This cannot be done."), told)
    if isinstance(error, TimeoutError):
        return refusal(request, 408, "This took too long", "Please try again.", {"Connection": "close"})
    if isinstance(error, StoreUnavailable):
        log.warning("http.store_unavailable", error=str(error))
        return refusal(request, 503, "Not available right now", "Please try again in a minute.", {"Retry-After": "30"})
    number = str(uuid4())
    log.error("http.failed", number=number, method=request.method, route=route_name(request), exc_info=error)
    return refusal(request, 500, "Something went wrong here", f"Please tell us this number: {number}", {})


_SENTENCES = {
    400: "The request cannot be read.",
    401: "Sign in first.",
    403: "You are not allowed to do this.",
    404: "There is nothing at this address.",
    405: "This address does not take that.",
    413: "The request is too large.",
    429: "Too many tries. Please wait a little.",
}


def refusal(request: web.Request, status: int, title: str, text: str, headers: dict[str, str]) -> web.Response:
    """Refuse: with a page where people look, with ``application/problem+json`` where programs do."""
    if request.path.startswith(("/connect", "/console")):
        answer = page(
            "message.html", status=status, tone="bad", title=title, text=text, remedy="", details=[], go_on="",
            theme=theme_of(request),
        )  # fmt: skip
    else:
        answer = web.json_response(
            {"type": "about:blank", "title": title, "status": status, "detail": text},
            status=status,
            content_type="application/problem+json",
        )
    answer.headers.update(headers)
    return answer


def route_name(request: web.Request) -> str:
    """Name the route for logs: never the address itself, whose query may hold a token."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unknown"
