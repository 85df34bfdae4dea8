"""Light or dark: as the browser prefers, unless somebody chose. The choice is a cookie; it is no secret."""

from typing import Literal

from aiohttp import web

from worker.web.front import FRONT

COOKIE = "pike_theme"
LASTS_S = 365 * 24 * 3600
Theme = Literal["auto", "light", "dark"]
THEMES: dict[str, str] = {"auto": "As the system", "light": "Light", "dark": "Dark"}


def theme_of(request: web.Request) -> str:
    """Return what was chosen: light, dark or auto."""
    chosen = request.cookies.get(COOKIE, "auto")
    return chosen if chosen in THEMES else "auto"


def choose(request: web.Request, answer: web.StreamResponse, theme: str) -> None:
    """Keep a choice for a year; anything that is no theme means auto."""
    answer.set_cookie(
        COOKIE, theme if theme in THEMES else "auto", max_age=LASTS_S, path="/", httponly=True, samesite="Strict",
        secure=request.app[FRONT].secure,
    )  # fmt: skip
