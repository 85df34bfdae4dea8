"""Status and body of an answer → the error it means. Decided by status, code and property, never by the message,
which is in the language of the agreement.

| status | error |
|---|---|
| 401 | ``GrantRevoked`` |
| 403 | ``Refused``: access denied, or a module is missing |
| 404 with an error body | ``Refused``: not found |
| 409 | ``Unavailable``: read again and repeat |
| 429 | ``RateLimited`` |
| 400 of a write whose idempotency key was used for something else | ``OutcomeUnknown`` |
| 400, 405, 413, 415, 422, 501 with an error body | ``Refused``, explained by ``causes`` |
| anything else, HTML, 3xx, 5xx | ``Unavailable`` |
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from schemas.problem import Cause, EconomicDetail, Problem
from worker.economic.causes import explain, fields_of
from worker.economic.decoding import decode
from worker.economic.findings import Finding, findings_in
from worker.economic.sentences import outcome_unknown, rate_limited, revoked, unavailable
from worker.errors import Refused, WithProblem

_REFUSALS = frozenset({400, 405, 413, 415, 422, 501})
_KEY_CODES = frozenset({"PayloadChanged", "URLChanged"})
"""The key was used before, so something was sent under it: what came of that must be looked up, not sent again."""
_MODULE_CODES = frozenset({"AccessDeniedAgreementMissingModules", "E03040"})
_MISSING_MODULES = re.compile(r"Missing modules?: (?P<names>[\w ,.&/-]{1,200})")
_REQUEST_ID = re.compile(r"[\w.:|-]+", re.ASCII)
_MAX_RETRY_AFTER_S = 24 * 3600.0
_ERROR_MARKS = ("errorCode", "httpStatusCode", "message", "logId", "traceId", "title")


def error_for(  # noqa: PLR0911  # one row of the table, one return
    status: int, headers: Mapping[str, str], body: bytes, what: str, *, now: datetime, write: bool = False
) -> WithProblem:
    """Return the error that an unsuccessful answer means. ``what`` names the call in business words."""
    document = _error_document(body)
    log_id = _text(document, "logId") or _text(document, "traceId")
    detail = f"{what}: HTTP {status}" + (f", logId {log_id}" if log_id else _request_id(headers))
    economic = EconomicDetail(error_code=_text(document, "errorCode"), log_id=log_id)
    if status == 401:
        return revoked(detail, economic)
    if status == 403:
        return _forbidden(document, economic, what, detail)
    if status == 429:
        return rate_limited(detail, retry_after_s(headers), now)
    if status == 404 and document:
        return _not_found(economic, what, detail, write=write)
    if status in _REFUSALS and document:
        findings = findings_in(document)
        if write and _KEY_CODES.intersection([economic.error_code, *(finding.code for finding in findings)]):
            return outcome_unknown(f"{detail}, the idempotency key was used before")
        return _refused(findings, economic, what, detail)
    return unavailable(detail, retry_after_s(headers))


def status_inside(body: bytes) -> int | None:
    """Return the status that an error body states although it came with a 2xx, else ``None``."""
    if b'"errorCode"' not in body[:4096] and b'"httpStatusCode"' not in body[:4096]:
        return None  # an error states itself early; a page of a megabyte is not parsed for it
    document = _error_document(body)
    for name in ("httpStatusCode", "status"):
        status = document.get(name)
        if isinstance(status, int) and 400 <= status < 600 and ("errorCode" in document or "message" in document):
            return status
    return None


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Read ``Retry-After`` in seconds, at most a day; a date or rubbish counts as absent."""
    try:
        seconds = float(headers.get("Retry-After", ""))
    except ValueError:
        return None
    return min(seconds, _MAX_RETRY_AFTER_S) if seconds >= 0 else None


def _request_id(headers: Mapping[str, str]) -> str:
    """Return what e-conomic's support finds the call by when the body is none of its own, as after a 502."""
    value = headers.get("X-RequestId", "")
    return f", requestId {value[:100]}" if _REQUEST_ID.fullmatch(value[:100]) else ""


def _error_document(body: bytes) -> dict[str, Any]:
    """Return a JSON object that looks like e-conomic's errors, or an empty one: a proxy's 404 says nothing."""
    try:
        document = decode(body)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(document, dict) or not any(mark in document for mark in _ERROR_MARKS):
        return {}
    return document


def _text(document: Mapping[str, Any], name: str) -> str | None:
    value = document.get(name)
    return value[:200] if isinstance(value, str) and value else None


def _forbidden(document: Mapping[str, Any], economic: EconomicDetail, what: str, detail: str) -> Refused:
    if economic.error_code in _MODULE_CODES:
        named = _MISSING_MODULES.search(_text(document, "title") or "")
        module = f"the module {named['names'].strip()}" if named else "a module of e-conomic"
        return _refusal(
            Cause.MODULE_MISSING,
            f"The agreement lacks {module} that this needs.",
            "Enable the add-on module in e-conomic, or change the subscription, then try again.",
            economic,
            detail,
        )
    return _refusal(
        Cause.ACCESS_DENIED,
        f"Pike's access to this agreement does not cover this ({what}).",
        "A superuser of the agreement must reconnect it and allow what Pike asks for; a subscription that only reads "
        "must be changed in e-conomic.",
        economic,
        detail,
    )


def _not_found(economic: EconomicDetail, what: str, detail: str, *, write: bool) -> Refused:
    thing = "Something this refers to" if write else what[:1].upper() + what[1:]
    return _refusal(
        Cause.NOT_FOUND,
        f"{thing} does not exist in e-conomic: it was deleted there, or the number is wrong.",
        "Check the number in e-conomic, then relink or send it again.",
        economic,
        detail,
    )


def _refused(findings: list[Finding], economic: EconomicDetail, what: str, detail: str) -> Refused:
    code = economic.error_code
    first, (cause, message, remedy) = explain(findings or [Finding((), code, None)], what)
    stated = EconomicDetail(error_code=first.code or code, property=first.name, log_id=economic.log_id)
    at = f"{first.code or code or 'no code'} on {first.path or 'the request'}"
    return _refusal(cause, message, remedy, stated, f"{detail}, {at}", fields_of(findings))


def _refusal(
    cause: Cause, message: str, remedy: str, economic: EconomicDetail, detail: str, fields: list[str] | None = None
) -> Refused:
    return Refused(
        Problem(cause=cause, user_message=message, remedy=remedy, fields=fields or [], economic=economic), detail
    )


__all__ = ["error_for", "retry_after_s", "status_inside"]
