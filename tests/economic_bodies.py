"""Error bodies of e-conomic for tests, and what the client makes of them."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from schemas.problem import Problem
from worker.economic.responses import error_for
from worker.errors import Refused

EXAMPLES = Path(__file__).parent / "data" / "economic" / "examples"
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def refusal(body: Any, status: int = 400, *, write: bool = True) -> Problem:
    """Return the problem of a refused call, which is "creating the draft"."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    error = error_for(status, {}, data, "creating the draft", now=NOW, write=write)
    assert isinstance(error, Refused)
    return error.problem


def at(path: Sequence[str | int], code: str | None, value: Any = None, name: str | None = None) -> dict[str, Any]:
    """Return a legacy body with one error at a place of the request, its message in Danish."""
    return body_with(_tree(path, code, value, name))


def body_with(errors: Any) -> dict[str, Any]:
    """Return the legacy envelope of a refused request around its errors."""
    return {"message": "Fejl.", "errorCode": "E04300", "logId": "9-CPH", "httpStatusCode": 400, "errors": errors}


def at_all(*errors: tuple[Sequence[str | int], str | None, Any]) -> dict[str, Any]:
    """Return a body with several errors, in this order."""
    return body_with([_tree(path, code, value, None) for path, code, value in errors])


def _tree(path: Sequence[str | int], code: str | None, value: Any, name: str | None) -> dict[str, Any]:
    last = next((part for part in reversed(path) if isinstance(part, str)), None)
    error = {
        "propertyName": name or last,
        "errorMessage": "Noget er galt.",
        "errorCode": code,
        "inputValue": value,
    }
    tree: dict[str, Any] = {"errors": [{key: item for key, item in error.items() if item is not None}]}
    for part in reversed(path):
        tree = {"items": [{"arrayIndex": part, **tree}]} if isinstance(part, int) else {part: tree}
    return tree
