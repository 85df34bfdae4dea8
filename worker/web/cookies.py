"""Cookies that only this service sets and reads, and the tokens of forms that belong to them."""

import hashlib
import hmac
import re
import secrets
from typing import Literal

from aiohttp import web

from worker.web.front import FRONT

_VALUE = re.compile(r"[A-Za-z0-9_-]{43}")


def new_value() -> str:
    """Return 256 random bits as text."""
    return secrets.token_urlsafe(32)


def get(request: web.Request, name: str) -> str | None:
    """Return the cookie, if it looks like one of ours."""
    value = request.cookies.get(_full(request, name), "")
    return value if _VALUE.fullmatch(value) else None


def put(
    request: web.Request, response: web.StreamResponse, name: str, value: str, same_site: Literal["Lax", "Strict"]
) -> None:
    """Set a cookie for this browser session. Behind TLS it is ``__Host-``: no other host can set or read it."""
    secure = request.app[FRONT].secure
    response.set_cookie(_full(request, name), value, path="/", httponly=True, secure=secure, samesite=same_site)


def drop(request: web.Request, response: web.StreamResponse, name: str) -> None:
    """Take a cookie back."""
    response.del_cookie(_full(request, name), path="/", httponly=True, secure=request.app[FRONT].secure)


def form_token(cookie: str, purpose: str) -> str:
    """Return the hidden field of a form: only a page of ours, shown to the browser with this cookie, knows it."""
    return hmac.new(cookie.encode(), f"form {purpose}".encode(), hashlib.sha256).hexdigest()


def same(given: str, expected: str) -> bool:
    """Compare in constant time; text that is not ASCII is never right."""
    return hmac.compare_digest(given.encode(), expected.encode())


def _full(request: web.Request, name: str) -> str:
    return f"__Host-{name}" if request.app[FRONT].secure else name
