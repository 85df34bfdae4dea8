"""One authorised request as handlers see it, and the table that finds the handler."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus

from worker.sandbox.agreement import Agreement
from worker.sandbox.answers import Answer, ApiError, not_found
from worker.sandbox.jsontext import NotJson, loads


@dataclass(slots=True)
class Call:
    """A request. ``segments`` are the decoded path parts, ``keys`` those that the route left open."""

    method: str
    path: str
    segments: tuple[str, ...]
    query: str
    body: bytes
    agreement: Agreement
    base: str
    keys: tuple[str, ...] = ()
    app_public_token: str = ""
    pairs: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pairs = [(unquote_plus(k), unquote_plus(v)) for k, v in self.raw_pairs()]

    def raw_pairs(self) -> list[tuple[str, str]]:
        """Return the query as sent, still encoded, in order."""
        parts = [part.partition("=") for part in self.query.split("&") if part]
        return [(name, value) for name, _, value in parts]

    def param(self, name: str) -> str | None:
        """Return the first value of a query parameter, ignoring case of the name."""
        return next((value for key, value in self.pairs if key.lower() == name.lower()), None)

    def json(self) -> Any:
        """Return the body as JSON. Raises the 400 for anything else."""
        try:
            return loads(self.body)
        except NotJson as exc:
            raise ApiError(400, "The request body is not valid JSON.", hint=str(exc)) from exc

    def number(self, index: int = 0) -> int:
        """Return an open path part as a number; anything else does not exist."""
        key = self.keys[index]
        if not (key.isascii() and key.isdecimal() and len(key) < 12):
            raise not_found("E06000")
        return int(key)


Handler = Callable[[Call], Answer]


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path pattern, ``*`` standing for a key, with the resource that roles are granted on."""

    method: str
    pattern: tuple[str, ...]
    handler: Handler
    resource: str


def route(method: str, path: str, handler: Handler, resource: str) -> Route:
    """Return a route; ``path`` is written like ``customers/*/contacts``."""
    return Route(method, tuple(path.split("/")), handler, resource)


class Router:
    """Finds routes by length and literal parts; literal beats ``*``. ``fold`` ignores case, as OpenAPI paths do."""

    def __init__(self, routes: Iterable[Route], *, fold: bool = False) -> None:
        self._fold = fold
        self._by_length: dict[int, list[Route]] = {}
        for entry in routes:
            self._by_length.setdefault(len(entry.pattern), []).append(entry)
        for entries in self._by_length.values():
            entries.sort(key=lambda entry: entry.pattern.count("*"))

    def find(self, method: str, segments: tuple[str, ...]) -> tuple[Route, tuple[str, ...]]:
        """Return the route and its keys. Raises 404 or 405."""
        plain = tuple(part.lower() for part in segments) if self._fold else segments
        matches = [entry for entry in self._by_length.get(len(segments), ()) if _fits(entry.pattern, plain)]
        for entry in matches:
            if entry.method == method:
                keys = tuple(s for s, p in zip(segments, entry.pattern, strict=True) if p == "*")
                return entry, keys
        if matches:
            allowed = ", ".join(sorted({entry.method for entry in matches}))
            raise ApiError(405, "The HTTP method is not allowed here.", headers={"Allow": allowed})
        raise not_found()


def _fits(pattern: tuple[str, ...], segments: tuple[str, ...]) -> bool:
    return all(p in ("*", s) for p, s in zip(pattern, segments, strict=True))
