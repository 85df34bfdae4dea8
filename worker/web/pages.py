"""Rendering. Every value is escaped; templates hold no script and no style of their own."""

import hashlib
from functools import cache
from importlib import resources
from typing import Any

import jinja2
from aiohttp import web
from markupsafe import Markup

from worker.web import wording, words

_TYPES = {
    "pike.css": "text/css",
    "console.css": "text/css",
    "console.js": "text/javascript",
    "workspace.css": "text/css",
    "icon.svg": "image/svg+xml",
}
_HOUR, _YEAR = "public, max-age=3600", "public, max-age=31536000, immutable"


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("worker.web", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update({**words.FILTERS, **wording.FILTERS})
    environment.globals["asset"] = asset
    return environment


def render(template: str, **values: Any) -> Markup:
    """Return a template's HTML, which other templates take as such. A value that it lacks is an error, not a gap."""
    return Markup(_environment().get_template(template).render(values))  # noqa: S704  # escaped value by value


def page(template: str, *, status: int = 200, **values: Any) -> web.Response:
    """Answer with a page."""
    return web.Response(status=status, text=render(template, **values), content_type="text/html", charset="utf-8")


@cache
def asset(name: str) -> str:
    """Return the address of a static file. It changes with the file, so that browsers may keep what they have."""
    return f"/static/{name}?v={hashlib.sha256(_static(name)).hexdigest()[:12]}"


async def static(request: web.Request) -> web.Response:
    """Serve one of the few files that pages refer to."""
    name = request.match_info["name"]
    if name not in _TYPES:
        raise web.HTTPNotFound
    keep = _YEAR if f"{request.path}?{request.query_string}" == asset(name) else _HOUR
    return web.Response(body=_static(name), content_type=_TYPES[name], charset="utf-8", headers={"Cache-Control": keep})


@cache
def _static(name: str) -> bytes:
    return resources.files("worker.web").joinpath("static", name).read_bytes()
