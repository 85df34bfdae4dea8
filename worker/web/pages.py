"""Rendering. Every value is escaped; templates hold no script and no style of their own."""

from functools import cache
from importlib import resources
from typing import Any

import jinja2
from aiohttp import web

_TYPES = {"pike.css": "text/css", "icon.svg": "image/svg+xml"}


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("worker.web", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def page(template: str, *, status: int = 200, **values: Any) -> web.Response:
    """Answer with a page. A value that the template needs and does not get is an error, not a gap."""
    text = _environment().get_template(template).render(values)
    return web.Response(status=status, text=text, content_type="text/html", charset="utf-8")


async def static(request: web.Request) -> web.Response:
    """Serve one of the few files that pages refer to."""
    name = request.match_info["name"]
    if name not in _TYPES:
        raise web.HTTPNotFound
    return web.Response(
        body=_static(name), content_type=_TYPES[name], headers={"Cache-Control": "public, max-age=3600"}
    )


@cache
def _static(name: str) -> bytes:
    return resources.files("worker.web").joinpath("static", name).read_bytes()
