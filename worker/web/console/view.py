"""The frame of every page of the console: navigation, who is signed in, theme, and the token of its forms."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from worker.web.hardening import SCRIPTED
from worker.web.operators import Operator, Role
from worker.web.pages import page
from worker.web.signing_in import session_form_token
from worker.web.theme import THEMES, theme_of


@dataclass(frozen=True, slots=True)
class Place:
    """An entry of the navigation. ``icon`` is drawn by ``_frame.html``."""

    key: str
    label: str
    address: str
    icon: str


PLACES = (
    Place("room", "Operations", "/console/", "pulse"),
    Place("workspaces", "Workspaces", "/console/workspaces", "link"),
    Place("dead", "Dead letters", "/console/dead", "letters"),
)
"""In the order of the navigation. A page names its own by ``place``."""


def show(
    request: web.Request, operator: Operator, template: str, *, place: str, status: int = 200, **values: Any
) -> web.Response:
    """Answer with a page of the console. ``place`` is the key of its entry in the navigation."""
    answer = page(template, status=status, place=place, **frame(request, operator), **values)
    answer.headers.update(SCRIPTED)
    return answer


def frame(request: web.Request, operator: Operator) -> Mapping[str, Any]:
    """Return what the frame shows, and what forms on the page need: ``form_token``, ``may_act``, ``here``."""
    return {
        "places": PLACES,
        "operator": operator,
        "may_act": operator.role >= Role.OPERATOR,
        "form_token": session_form_token(request),
        "here": request.path_qs,
        "theme": theme_of(request),
        "themes": THEMES,
    }


def notice(request: web.Request, sentences: Mapping[str, str]) -> str:
    """Return the sentence about what was just done: forms lead to ``page?done=key``, and only known keys are shown."""
    return sentences.get(request.query.get("done", ""), "")


def see(address: str) -> web.Response:
    """Lead the browser on after a form, so that loading again repeats nothing."""
    return web.Response(status=303, headers={"Location": address})
