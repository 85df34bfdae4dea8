"""The envelope's attributes: taken from a structured event or from binary-mode headers, then checked one by one."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from events.errors import MalformedEvent, malformed
from schemas.problem import Cause

MAX_ID = 200
MAX_TYPE = 200
MAX_SOURCE = 500

_PREFIX = re.compile(r"cloudevents[_:]", re.IGNORECASE)
WORKSPACE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_PLAIN = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)
TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def from_headers(headers: Mapping[str, object]) -> dict[str, Any]:
    """Return the attributes of a binary-mode event: headers ``cloudEvents_x`` or ``cloudEvents:x``, in any case."""
    found: dict[str, Any] = {}
    for name, value in headers.items():
        match = _PREFIX.match(name)
        if match is None:
            continue
        attribute = name[match.end() :].lower()
        text = _as_text(value)
        if attribute in found and found[attribute] != text:
            raise malformed(f'The headers give the attribute "{attribute[:60]}" twice, with different values.')
        found[attribute] = text
    return found


def _as_text(value: object) -> object:
    """AMQP has typed headers; CloudEvents attributes are texts."""
    if isinstance(value, bytes | bytearray):
        try:
            return bytes(value).decode("utf-8")
        except UnicodeDecodeError as exc:
            raise malformed("A header of the event is not UTF-8 text.") from exc
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return aware.isoformat()
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value


def hint(attributes: Mapping[str, Any]) -> dict[str, str]:
    """Return what can be recognised safely: only well-formed values, under the names of ``Envelope``."""
    found: dict[str, str] = {}
    for name, limit in (("id", MAX_ID), ("source", MAX_SOURCE), ("type", MAX_TYPE)):
        value = attributes.get(name)
        if isinstance(value, str) and len(value) <= limit and _PLAIN.fullmatch(value) and value.strip():
            found[name] = value
    workspace = attributes.get("workspaceid")
    if isinstance(workspace, str) and WORKSPACE.fullmatch(workspace):
        found["workspace_id"] = workspace
    return found


def check_version(attributes: Mapping[str, Any]) -> None:
    """Accept CloudEvents 1.0 only."""
    version = attributes.get("specversion")
    if version is None:
        raise malformed('The event has no "specversion": it is not a CloudEvent.', fields=("specversion",))
    if version != "1.0":
        raise malformed('"specversion" must be "1.0".', fields=("specversion",))


def required_text(attributes: Mapping[str, Any], name: str, limit: int) -> str:
    """Return a required attribute: a text of 1 to ``limit`` printable characters."""
    value = attributes.get(name)
    if value is None or value == "":
        raise malformed(f'The event has no "{name}".', fields=(name,))
    if not isinstance(value, str) or len(value) > limit or not _PLAIN.fullmatch(value) or not value.strip():
        raise malformed(f'"{name}" must be a text of at most {limit} characters.', fields=(name,))
    return value


def optional_text(attributes: Mapping[str, Any], name: str, limit: int = MAX_ID) -> str | None:
    """Return an optional attribute, ``None`` when absent or empty."""
    return None if attributes.get(name) in (None, "") else required_text(attributes, name, limit)


def workspace(attributes: Mapping[str, Any]) -> str:
    """Return the workspace: 1 to 64 letters, digits, ``_ . : -``."""
    value = attributes.get("workspaceid")
    if isinstance(value, str) and WORKSPACE.fullmatch(value):
        return value
    what = (
        'The event has no "workspaceid", so nobody can tell whose it is.'
        if value is None or value == ""
        else '"workspaceid" must be 1 to 64 letters, digits or the signs _ . : -'
    )
    raise MalformedEvent(
        Cause.MISSING_WORKSPACE,
        what,
        'The publisher must set the CloudEvents extension "workspaceid" to the workspace\'s id.',
        fields=("workspaceid",),
    )


def time(attributes: Mapping[str, Any]) -> datetime | None:
    """Return the event's time in UTC, ``None`` when the publisher gave none; it is never invented."""
    value = attributes.get("time")
    if value is None or value == "":
        return None
    if isinstance(value, str) and len(value) <= 64 and _TIME.fullmatch(value):
        try:
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            pass  # such as the 31st of February: the same answer as for any other text
    raise malformed('"time" must be a time with its zone, such as "2024-05-31T12:00:00Z".', fields=("time",))


def traceparent(attributes: Mapping[str, Any]) -> str | None:
    """Return the trace context; a malformed one is dropped, as W3C Trace Context asks."""
    value = attributes.get("traceparent")
    return value if isinstance(value, str) and TRACEPARENT.fullmatch(value) else None
