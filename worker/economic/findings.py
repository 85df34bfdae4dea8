"""Single errors inside an error body: the legacy tree that mirrors the request, and the list of problem+json."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MAX_DEPTH = 20
MAX_FINDINGS = 100


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
    def line(self) -> int | None:
        """Number of the invoice line, from 1, when the error is about one."""
        for name, index in zip(self.where, self.where[1:], strict=False):
            if name == "lines" and isinstance(index, int):
                return index + 1
        return None

    @property
    def subject(self) -> str:
        """The property the error is about, in lower case, without array positions."""
        names = [part for part in self.where if isinstance(part, str)]
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
    if isinstance(node, Mapping):
        if _is_error(node):
            yield _finding(node, where)
            return
        prefix = where
        if isinstance(node.get("arrayIndex"), int):
            prefix = (*where, node["arrayIndex"])
        for name, child in node.items():
            inner = prefix if name in ("errors", "items") else (*prefix, str(name))
            yield from _walk(child, inner, depth + 1)
    elif isinstance(node, list):
        for child in node:
            yield from _walk(child, where, depth + 1)


def _is_error(node: Mapping[str, Any]) -> bool:
    return isinstance(node.get("errorCode"), str) and ("errorMessage" in node or "message" in node)


def _finding(node: Mapping[str, Any], where: tuple[str | int, ...]) -> Finding:
    name = node.get("propertyName") or node.get("property")
    if isinstance(name, str) and (not where or str(where[-1]).lower() != name.lower()):
        where = (*where, name)
    return Finding(
        where,
        node["errorCode"],
        name if isinstance(name, str) else None,
        node.get("inputValue", node.get("value")),
    )
