"""``/webhooks/economic/{connection}``: where e-conomic calls when something changed there.

The secret comes in a header; hooks set up by hand carry another one in the address. A connection that nobody has and a
secret that is wrong get the same answer, after the same comparison. Whatever is answered 2xx is committed.
"""

from uuid import UUID

from aiohttp import web

from worker.errors import StoreUnavailable
from worker.handlers.hooks.keeping import HEADER, PATH
from worker.telemetry import metrics
from worker.web.front import FRONT
from worker.web.hook_body import MAX_BODY, BadCall, hint_of

_MAX_SECRET = 200


def add_routes(app: web.Application) -> None:
    """Add the address to the application. In the oldest form hooks were GET as well."""
    app.router.add_post(f"{PATH}/{{connection}}", _by_header)
    app.router.add_post(f"{PATH}/{{connection}}/{{secret}}", _by_address)
    app.router.add_get(f"{PATH}/{{connection}}/{{secret}}", _by_address, allow_head=False)


async def _by_header(request: web.Request) -> web.Response:
    return await _take(request, request.headers.get(HEADER, ""), by_address=False)


async def _by_address(request: web.Request) -> web.Response:
    return await _take(request, request.match_info["secret"], by_address=True)


async def _take(request: web.Request, secret: str, *, by_address: bool) -> web.Response:
    desk = request.app[FRONT].desk
    with metrics.HOOK_DURATION.time():
        try:
            receiver = await desk.recognise(_connection(request), secret[:_MAX_SECRET], by_address=by_address)
            if receiver is None:
                metrics.hook_calls("refused").inc()
                return _refuse(404, "Not Found", "There is nothing at this address.")
            body = await _body(request)
            if body is None:
                metrics.hook_calls("too_large").inc()
                return _refuse(413, "Too large", f"A call may have {MAX_BODY} bytes.")
            await desk.keep(receiver, [hint_of(request.query, body)])
        except BadCall as exc:
            metrics.hook_calls("malformed").inc()
            return _refuse(400, "This call cannot be understood", str(exc))
        except StoreUnavailable:
            metrics.hook_calls("unavailable").inc()
            raise
    metrics.hook_calls("accepted").inc()
    return web.Response(status=202)


def _connection(request: web.Request) -> UUID | None:
    try:
        return UUID(request.match_info["connection"])
    except ValueError:
        return None


async def _body(request: web.Request) -> bytes | None:
    """Read the body up to its limit; ``None`` when there is more."""
    if (request.content_length or 0) > MAX_BODY:
        return None
    body = bytearray()
    async for chunk in request.content.iter_chunked(MAX_BODY):
        body += chunk
        if len(body) > MAX_BODY:
            return None
    return bytes(body)


def _refuse(status: int, title: str, detail: str) -> web.Response:
    """Say what is wrong; the connection ends with a call that was too large, instead of reading the rest of it."""
    answer = web.json_response(
        {"type": "about:blank", "title": title, "status": status, "detail": detail},
        status=status,
        content_type="application/problem+json",
    )
    if status != 400:
        answer.force_close()
    return answer
