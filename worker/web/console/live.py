"""Parts of a page that renew themselves: server-sent events with the HTML of each part that has changed.

Streams are few (``MAX_STREAMS`` per worker), last for minutes at most and are opened again by the browser, and end with
the session that opened them. A page is whole without them; ``console.js`` only puts the new HTML in its place.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import structlog
from aiohttp import web

from worker.errors import StoreUnavailable
from worker.web.hardening import let_stay, route_name
from worker.web.signing_in import still_signed_in

log = structlog.get_logger()

MAX_STREAMS = 32
LASTS_S = 300.0
"""Then the browser opens the stream again, at whichever worker it comes to."""
LOOKS_AT_SESSION_S = 10.0
RETRY_MS = 2000


@dataclass(frozen=True, slots=True)
class Parts:
    """HTML by the id of the element that it fills. ``over``: nothing will change any more."""

    html: Mapping[str, str]
    over: bool = False


@dataclass
class _Streams:
    open: int = 0
    closing: asyncio.Event = field(default_factory=asyncio.Event)


_STREAMS = web.AppKey("streams", _Streams)


def prepare(app: web.Application) -> None:
    """Count the application's streams, and end them when it ends: a worker that stops waits for nobody's browser."""
    app[_STREAMS] = _Streams()

    async def close(_app: web.Application) -> None:
        app[_STREAMS].closing.set()

    app.on_shutdown.append(close)


async def stream(
    request: web.Request, look: Callable[[], Awaitable[Parts]], *, every_s: float = 2.0
) -> web.StreamResponse:
    """Send what ``look`` returns whenever it has changed, until it is over, the session ends or the time is up.

    The caller has asked ``require`` before. While Postgres is away the page keeps what it shows.
    """
    streams = request.app[_STREAMS]
    if streams.open >= MAX_STREAMS:
        raise web.HTTPServiceUnavailable(headers={"Retry-After": "15"})
    streams.open += 1
    try:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        answer.headers["X-Accel-Buffering"] = "no"
        await answer.prepare(request)
        let_stay(request)
        try:
            await answer.write(f"retry: {RETRY_MS}\n\n".encode())
            await _tell(request, answer, look, every_s, streams.closing)
        except ConnectionError:
            pass  # the browser has gone
        except Exception:  # the answer has begun: it can only end
            log.exception("console.stream_failed", route=route_name(request))
    finally:
        streams.open -= 1
    return answer


async def _tell(
    request: web.Request,
    answer: web.StreamResponse,
    look: Callable[[], Awaitable[Parts]],
    every_s: float,
    closing: asyncio.Event,
) -> None:
    loop = asyncio.get_running_loop()
    ends, asked_at = loop.time() + LASTS_S, loop.time()
    shown: dict[str, str] = {}
    while loop.time() < ends and not closing.is_set():
        if loop.time() - asked_at >= LOOKS_AT_SESSION_S:
            asked_at = loop.time()
            if not await _goes_on(request):
                await answer.write(_event("signed-out", {}))
                return
        with contextlib.suppress(StoreUnavailable):
            parts = await look()
            changed = {name: html for name, html in parts.html.items() if shown.get(name) != html}
            shown |= changed
            # an event without parts tells the page that it is up to date
            await answer.write(_event("parts", changed))
            if parts.over:
                await answer.write(_event("over", {}))
                return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(closing.wait(), every_s)


async def _goes_on(request: web.Request) -> bool:
    with contextlib.suppress(StoreUnavailable):
        return await still_signed_in(request)
    return True  # nobody knows; asked again in a moment


def _event(name: str, data: Mapping[str, str]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
