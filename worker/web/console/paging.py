"""Lists are paged by key: a link holds the key of the row at the edge, so a page costs the same however far it is.

A store function takes ``Edge`` (the key, and the way to go) and returns up to ``size + 1`` rows in the order of that
way; ``Slice.of`` makes the page of them and its two links.
"""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from aiohttp import web

from worker.web.console.filters import Filters

Row = TypeVar("Row")
_MAX_TEXT = 1000


@dataclass(frozen=True, slots=True)
class Edge:
    """Where a page begins: after this key, or before it. The key's parts are text; the store reads them."""

    key: tuple[str, ...]
    backwards: bool = False

    @classmethod
    def read(cls, request: web.Request, parts: int) -> "Edge | None":
        """Take the edge from the address; one that is not ours counts as the first page."""
        for name, backwards in (("after", False), ("before", True)):
            text = request.query.get(name)
            if text is not None:
                key = _decoded(text, parts)
                return cls(key, backwards) if key else None
        return None


@dataclass(frozen=True, slots=True)
class Slice(Generic[Row]):
    """One page of a list, with the addresses of those beside it; empty when there is none."""

    rows: Sequence[Row]
    newer: str
    older: str

    @classmethod
    def of(
        cls, found: Sequence[Row], size: int, edge: Edge | None, key: Callable[[Row], tuple[str, ...]], filters: Filters
    ) -> "Slice[Row]":
        """Make a page of what the store found, one row more than a page if it goes on."""
        more, rows = len(found) > size, list(found[:size])
        backwards = edge is not None and edge.backwards
        if backwards:
            rows.reverse()
        before = bool(rows) and (more if backwards else edge is not None)
        after = bool(rows) and (backwards or more)
        return cls(
            rows,
            filters.address(before=_encoded(key(rows[0]))) if before else "",
            filters.address(after=_encoded(key(rows[-1]))) if after else "",
        )


def moment(text: str) -> datetime:
    """Read the time in a key. Raises ``ValueError`` for what is no time, or one of no zone."""
    read = datetime.fromisoformat(text)
    if read.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return read


def _encoded(key: tuple[str, ...]) -> str:
    return base64.urlsafe_b64encode(json.dumps(key, separators=(",", ":")).encode()).decode().rstrip("=")


def _decoded(text: str, parts: int) -> tuple[str, ...] | None:
    if len(text) > _MAX_TEXT:
        return None
    try:
        key = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return None
    if not isinstance(key, list) or len(key) != parts or not all(isinstance(part, str) for part in key):
        return None
    return tuple(key)
