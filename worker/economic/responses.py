"""Status and body of an answer → the error it means. Decided by status, code and property, never by the message,
which is in the language of the agreement.
"""

import json
from collections.abc import Mapping
from typing import Any

from schemas.problem import Cause, EconomicDetail, Problem
from worker.economic.findings import Finding, findings_in
from worker.errors import GrantRevoked, RateLimited, Refused, Unavailable, WithProblem

REVOKED = Problem(
    cause=Cause.GRANT_REVOKED,
    user_message="e-conomic no longer accepts Pike's access to this agreement.",
    remedy="A superuser of the agreement must reconnect it under Workspace settings → Integrations. "
    "Waiting requests then go on by themselves.",
    final=False,
)

_UNAVAILABLE = Problem(
    cause=Cause.ECONOMIC_UNAVAILABLE,
    user_message="e-conomic does not answer as it should at the moment.",
    remedy="Nothing has to be done: it is tried again by itself.",
    final=False,
)

_RATE_LIMITED = Problem(
    cause=Cause.RATE_LIMITED,
    user_message="e-conomic asks Pike to slow down. Paused; it goes on by itself.",
    remedy="Nothing has to be done.",
    final=False,
)


def unavailable(detail: str, retry_after_s: float | None = None) -> Unavailable:
    """Make the error for an answer that cannot be used. ``detail`` is for engineers and holds no token."""
    return Unavailable(_UNAVAILABLE, detail, retry_after_s)


def outcome_unknown_problem() -> Problem:
    """Explain a write whose answer was lost."""
    return Problem(
        cause=Cause.OUTCOME_UNKNOWN,
        user_message="e-conomic did not answer, so it is not known yet whether it took this. Checking e-conomic.",
        remedy="Nothing has to be done: Pike looks it up by its reference and never sends it twice.",
        final=False,
    )


def error_for(status: int, headers: Mapping[str, str], body: bytes, what: str) -> WithProblem:
    """Return the error that an unsuccessful answer means. ``what`` names the call in business words."""
    document = parse_object(body)
    log_id = _text(document, "logId") or _text(document, "traceId")
    detail = f"{what}: HTTP {status}" + (f", logId {log_id}" if log_id else "")
    if status == 401:
        return GrantRevoked(REVOKED, detail)
    if status == 403:
        return _forbidden(document, log_id, detail)
    if status == 404:
        return _not_found(document, log_id, what, detail)
    if status == 429:
        return RateLimited(_RATE_LIMITED, detail, retry_after_s(headers))
    if status in (400, 405, 409, 415, 422) and document:
        return _refused(findings_in(document), document, log_id, what, detail)
    return unavailable(detail, retry_after_s(headers))


def status_inside(body: bytes) -> int | None:
    """Return the status that an error body states although it came with 200, else ``None``."""
    if b"errorCode" not in body[:4096] and b"httpStatusCode" not in body[:4096]:
        return None
    document = parse_object(body)
    for name in ("httpStatusCode", "status"):
        status = document.get(name)
        if isinstance(status, int) and status >= 400 and ("errorCode" in document or "message" in document):
            return status
    return None


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Read ``Retry-After`` in seconds; a date or rubbish counts as absent."""
    text = headers.get("Retry-After", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        return None
    return min(seconds, 24 * 3600.0) if seconds >= 0 else None


def parse_object(body: bytes) -> dict[str, Any]:
    """Return a JSON object, or an empty one for anything else."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _text(document: Mapping[str, Any], name: str) -> str | None:
    value = document.get(name)
    return value[:200] if isinstance(value, str) else None


def _forbidden(document: Mapping[str, Any], log_id: str | None, detail: str) -> Refused:
    code = _text(document, "errorCode")
    if code in ("AccessDeniedAgreementMissingModules", "E03040"):
        return Refused(
            Problem(
                cause=Cause.MODULE_MISSING,
                user_message="The agreement lacks a module of e-conomic that this needs.",
                remedy="Enable the add-on module in e-conomic, or change the subscription, then try again.",
                economic=EconomicDetail(error_code=code, log_id=log_id),
            ),
            detail,
        )
    return Refused(
        Problem(
            cause=Cause.ACCESS_DENIED,
            user_message="Pike's access to this agreement does not cover this.",
            remedy="A superuser of the agreement must reconnect it and allow what Pike asks for.",
            economic=EconomicDetail(error_code=code, log_id=log_id),
        ),
        detail,
    )


def _not_found(document: Mapping[str, Any], log_id: str | None, what: str, detail: str) -> Refused:
    return Refused(
        Problem(
            cause=Cause.NOT_FOUND,
            user_message=f"e-conomic does not have it ({what}): it was deleted there, or the number is wrong.",
            remedy="Check the number in e-conomic.",
            economic=EconomicDetail(error_code=_text(document, "errorCode"), log_id=log_id),
        ),
        detail,
    )


def _refused(
    findings: list[Finding], document: Mapping[str, Any], log_id: str | None, what: str, detail: str
) -> Refused:
    from worker.economic.causes import explain  # the table imports nothing of this module

    code = _text(document, "errorCode")
    first = findings[0] if findings else Finding((), code, None, None)
    cause, message, remedy = explain(first, what)
    return Refused(
        Problem(
            cause=cause,
            user_message=message,
            remedy=remedy,
            fields=[finding.path for finding in findings if finding.path],
            economic=EconomicDetail(error_code=first.code or code, property=first.name, log_id=log_id),
        ),
        f"{detail}, {first.code or code or 'no code'} on {first.path or 'the request'}",
    )
