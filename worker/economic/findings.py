"""Single errors inside an error body: the legacy tree that mirrors the request, and the list of problem+json.

Shapes seen: ``{"lines": {"items": [{"arrayIndex": 8, "product": {"errors": [...]}}]}}``; a list of objects with
``arrayIndex``; a list of texts; ``errorMessage``/``inputValue`` or, older, ``message``/``value``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MAX_DEPTH = 20
MAX_FINDINGS = 100
_MAX_NAME = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """One error: where in the request (names and array indexes), its code, and what was sent there."""

    where: tuple[str | int, ...]
    code: str | None
    name: str | None
    value: Any = None

    @property
    def path(self) -> str:
        """``lines[8].product``."""
        text = ""
        for part in self.where:
            text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
        return text

    @property
    def names(self) -> tuple[str, ...]:
        """The path without array positions, in lower case: ``("lines", "product")``."""
        return tuple(part.lower() for part in self.where if isinstance(part, str))

    @property
    def line(self) -> int | None:
        """Number of the invoice line, from 1, when the error is about one."""
        for name, index in zip(self.where, self.where[1:], strict=False):
            if isinstance(name, str) and name.lower() == "lines" and isinstance(index, int):
                return index + 1
        return None

    @property
    def subject(self) -> str:
        """The property the error is about, in lower case."""
        names = self.names
        return (self.name or (names[-1] if names else "")).lower()


def findings_in(document: Mapping[str, Any]) -> list[Finding]:
    """Collect the errors of a body of either surface, in the order they stand in. Unknown shapes give an empty list."""
    found: list[Finding] = []
    for finding in _walk(document.get("errors"), (), 0):
        found.append(finding)
        if len(found) >= MAX_FINDINGS:
            break
    return found


def _walk(node: Any, where: tuple[str | int, ...], depth: int) -> Iterator[Finding]:
    if depth > MAX_DEPTH:
        return
    if isinstance(node, list):
        for child in node:
            yield from _walk(child, where, depth + 1)
    elif isinstance(node, Mapping):
        index = node.get("arrayIndex")
        inside = (*where, index) if isinstance(index, int) and not isinstance(index, bool) else where
        if _is_error(node):
            yield _finding(node, inside)
            return
        for name, child in node.items():
            inner = inside if name in ("errors", "items") else (*inside, str(name)[:_MAX_NAME])
            yield from _walk(child, inner, depth + 1)


def _is_error(node: Mapping[str, Any]) -> bool:
    """Tell an error from a level of the tree: its message is a text, while a property of that name is a node."""
    return any(isinstance(node.get(name), str) for name in ("errorCode", "errorMessage", "message"))


def _finding(node: Mapping[str, Any], where: tuple[str | int, ...]) -> Finding:
    name = _short(node.get("propertyName")) or _short(node.get("property"))
    last = next((part for part in reversed(where) if isinstance(part, str)), "")
    if name and (not where or last.lower() != name.lower()):
        where = (*where, name)
    return Finding(where, _short(node.get("errorCode")), name, node.get("inputValue", node.get("value")))


def _short(value: Any) -> str | None:
    return value[:_MAX_NAME] if isinstance(value, str) and value else None
