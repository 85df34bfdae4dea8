"""Bytes in and out: reads requests, and sends answers in every broken way that a fault rule asks for."""

import asyncio
from collections.abc import Callable
from urllib.parse import unquote

from aiohttp import web

from worker.sandbox.answers import Answer, ApiError
from worker.sandbox.faults import FaultRule
from worker.sandbox.gate import Request, Surface
from worker.sandbox.world import World

_HTML = b"<!DOCTYPE html><html><head><title>Service unavailable</title></head><body><h1>Try later</h1></body></html>"
_TEXTS = {429: "You have exceeded your rate limit.", 502: "Bad gateway.", 503: "Service unavailable."}


async def read_request(http: web.Request, surface: str, decode: Callable[[str], str] | None) -> Request:
    """Return a request with its path split and decoded part by part, as the surface encodes keys."""
    raw = http.raw_path.partition("?")[0]
    if "://" in raw:
        raw = "/" + raw.partition("://")[2].partition("/")[2]
    path = raw.removeprefix(f"/{surface}").strip("/")
    segments = tuple((decode or unquote)(part) for part in path.split("/"))
    headers = {name.lower(): value for name, value in http.headers.items()}
    return Request(http.method, path, segments, http.raw_path.partition("?")[2], headers, await http.read())


async def strike(sandbox: World, surface: Surface, rule: FaultRule | None) -> Answer | None:
    """Wait as latency and rule say; return the answer of a fault that keeps the request from acting, else None."""
    if sandbox.faults.latency_s:
        await asyncio.sleep(sandbox.faults.latency_s)
    if rule is None:
        return None
    headers = {"Retry-After": str(rule.retry_after)} if rule.retry_after is not None else {}
    match rule.kind:
        case "delay":
            await asyncio.sleep(rule.seconds)
        case "hang":
            await asyncio.sleep(rule.seconds)
            return Answer(504)
        case "status":
            text = _TEXTS.get(rule.status, "An internal error occurred.")
            return sandbox.refusal(surface, ApiError(rule.status, text, headers=headers))
        case "html":
            return Answer(rule.status, _HTML, "text/html; charset=utf-8", headers)
        case "error_in_200":
            answer = sandbox.refusal(surface, ApiError(500, "An internal error occurred."))
            return Answer(200, answer.body, answer.content_type)
    return None


async def send(http: web.Request, answer: Answer | None, rule: FaultRule | None) -> web.StreamResponse:
    """Send an answer, or spoil it as the rule says."""
    kind = rule.kind if rule else None
    if answer is None or kind in ("drop_before", "drop_after", "hang"):
        return _cut(http)
    if rule is not None and kind == "hang_after":
        await asyncio.sleep(rule.seconds)
        return _cut(http)
    if kind == "truncated_json":
        answer.body = answer.body[: max(1, len(answer.body) // 2)]
    headers = dict(answer.headers)
    if answer.body:
        headers["Content-Type"] = answer.content_type
    if kind == "cut_body":
        return await _half(http, answer, headers)
    if rule is not None and kind == "trickle":
        return await _trickle(http, answer, headers, rule.seconds)
    return web.Response(status=answer.status, body=answer.body, headers=headers)


def _cut(http: web.Request) -> web.StreamResponse:
    """Reset the connection without an answer."""
    if http.transport is not None:
        http.transport.abort()
    return web.Response(status=500)


async def _half(http: web.Request, answer: Answer, headers: dict[str, str]) -> web.StreamResponse:
    headers["Content-Length"] = str(len(answer.body) + 1)
    response = web.StreamResponse(status=answer.status, headers=headers)
    await response.prepare(http)
    await response.write(answer.body[: max(1, len(answer.body) // 2)])
    if http.transport is not None:
        http.transport.close()
    return response


async def _trickle(http: web.Request, answer: Answer, headers: dict[str, str], seconds: float) -> web.StreamResponse:
    """Send the body in ten pieces spread over that many seconds."""
    headers["Content-Length"] = str(len(answer.body))
    response = web.StreamResponse(status=answer.status, headers=headers)
    await response.prepare(http)
    step = max(1, len(answer.body) // 10)
    for start in range(0, len(answer.body), step):
        await response.write(answer.body[start : start + step])
        await asyncio.sleep(seconds / 10)
    await response.write_eof()
    return response
