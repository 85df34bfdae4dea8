"""What a handler gets and gives: one request in, one answer out, no I/O. Also the two error shapes.

Legacy errors have their own JSON shape, the OpenAPI services answer RFC 9457 problems (both as recorded 2024-2026).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from worker.sandbox.jsontext import dumps

JSON = "application/json; charset=utf-8"
PROBLEM_JSON = "application/problem+json; charset=utf-8"
_NOT_FOUND_HINT = (
    "The API tries to provide all the resource urls you need. If you have hard coded urls yourself, then try to "
    "look at the enclosing collection for hypermedia information on where the resource you are looking for could be."
)


@dataclass(slots=True)
class Answer:
    """A finished answer. ``cost`` is what it takes from the caller's rate limit."""

    status: int = 200
    body: bytes = b""
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    cost: int = 1


class ApiError(Exception):
    """A refusal; the surface that catches it chooses the shape."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        *,
        hint: str | None = None,
        errors: Any = None,
        extra: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.hint = hint
        self.errors = errors
        self.extra = dict(extra or {})
        self.headers = dict(headers or {})


def not_found(code: str | None = None) -> ApiError:
    """Return the refusal for something that does not exist (code seen both absent and E06000)."""
    return ApiError(404, "Resource not found.", code, hint=_NOT_FOUND_HINT)


def legacy_error(error: ApiError, log_id: str, now: datetime) -> Answer:
    """Return the legacy shape: message, errorCode, developerHint, logId, httpStatusCode, errors, logTime."""
    body: dict[str, Any] = {"message": error.message}
    if error.code:
        body["errorCode"] = error.code
    if error.hint:
        body["developerHint"] = error.hint
    body |= {"logId": log_id, "httpStatusCode": error.status}
    if error.errors is not None:
        body["errors"] = error.errors
    body["logTime"] = now.strftime("%Y-%m-%dT%H:%M:%S")
    return Answer(error.status, dumps(body | error.extra), headers=error.headers)


_SECTIONS = {400: "15.5.1", 401: "15.5.2", 403: "15.5.4", 404: "15.5.5", 405: "15.5.6", 409: "15.5.10", 415: "15.5.16"}
_CODES = {401: "Unauthorized", 403: "AccessDenied", 404: "ResourceNotFound", 405: "MethodNotAllowed"}


def problem(error: ApiError, log_id: str, now: datetime) -> Answer:
    """Return the OpenAPI shape, ``application/problem+json``."""
    section = _SECTIONS.get(error.status, "15.6.1")
    body = {
        "type": f"https://tools.ietf.org/html/rfc9110#section-{section}",
        "title": error.message,
        "status": error.status,
        "detail": "The resource you have been looking for does not exist." if error.status == 404 else error.message,
        "errors": error.errors if isinstance(error.errors, list) else [],
        "traceId": log_id,
        "traceTimeUtc": now.strftime("%Y-%m-%dT%H:%M:%S"),
        "errorCode": _problem_code(error),
    }
    return Answer(error.status, dumps(body), PROBLEM_JSON, dict(error.headers))


def _problem_code(error: ApiError) -> str:
    if error.code and not error.code.startswith("E0"):
        return error.code
    return _CODES.get(error.status, "InvalidInput")
