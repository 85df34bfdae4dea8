"""Bytes and headers to ``Envelope`` and back. Reads CloudEvents 1.0 in structured and binary mode, writes structured.

Whatever the bytes, ``decode`` returns an envelope or raises ``MalformedEvent``; nothing past it sees raw JSON.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_json

from events import EVENTS, attributes
from events.envelope import Envelope, EventData
from events.errors import MalformedEvent, UnknownEvent, malformed
from events.explain import explain
from events.safe_json import find_unstorable, parse
from schemas.problem import Cause

__all__ = ["CONTENT_TYPE", "MalformedEvent", "UnknownEvent", "decode", "encode", "headers_of"]

CONTENT_TYPE = "application/cloudevents+json"

_VERSIONED = re.compile(r"(?P<base>.+)\.v(?P<version>\d{1,6})", re.ASCII)


def decode(body: bytes, headers: Mapping[str, object], content_type: str | None) -> Envelope[Any]:
    """Read an event.

    Structured mode: ``application/cloudevents+json``, with or without parameters; also ``application/json`` or no
    content type when the body is a CloudEvent. Binary mode: attributes in headers, the body is the data.
    Raises ``MalformedEvent`` or ``UnknownEvent``, and nothing else.
    """
    found: Mapping[str, Any] = {}
    try:
        media = (content_type or "").partition(";")[0].strip().lower()
        found = attributes.from_headers(headers)
        if media != CONTENT_TYPE and "specversion" in found:
            _require_json(media or found.get("datacontenttype"))
            data = parse(body)
        else:
            found, data = _structured(body, media)
        return _envelope(found, data, escapes=b"\\u" in body)
    except MalformedEvent as problem:
        # What is known of the envelope travels with the error, to the dead letter and the failed event.
        problem.envelope_hint = problem.envelope_hint or attributes.hint(found)
        raise


def encode(envelope: Envelope[EventData]) -> bytes:
    """Write an event in structured mode. Amounts are decimal strings, times RFC 3339 UTC."""
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": envelope.id,
        "source": envelope.source,
        "type": envelope.type,
    }
    optional = {
        "time": _utc_text(envelope.time) if envelope.time else None,
        "subject": envelope.subject,
        "workspaceid": envelope.workspace_id,
        "correlationid": envelope.correlation_id,
        "causationid": envelope.causation_id,
        "traceparent": envelope.traceparent,
    }
    event |= {name: value for name, value in optional.items() if value is not None}
    event |= {"datacontenttype": "application/json", "data": envelope.data}
    return to_json(event, by_alias=False, inf_nan_mode="null")


def headers_of(envelope: Envelope[EventData]) -> dict[str, str]:
    """Return a few headers for people who look into queues; nobody reads them back."""
    return {"type": envelope.type, "workspace": envelope.workspace_id}


def _structured(body: bytes, media: str) -> tuple[dict[str, Any], Any]:
    if media == "application/cloudevents-batch+json":
        raise malformed("The message is a batch of events.", "Publish each event as a message of its own.")
    if media not in (CONTENT_TYPE, "application/json", "text/json", "application/octet-stream", ""):
        raise malformed(
            f'The content type is not "{CONTENT_TYPE}".',
            f'Publish the event as JSON with the content type "{CONTENT_TYPE}".',
        )
    event = parse(body)
    if not isinstance(event, dict):
        raise malformed("The event must be a JSON object.")
    try:
        if event.get("data_base64") is not None:
            raise malformed('The event carries "data_base64"; its data must be JSON under "data".', fields=("data",))
        _require_json(event.get("datacontenttype"))
    except MalformedEvent as problem:
        problem.envelope_hint = attributes.hint(event)
        raise
    return event, event.get("data")


def _require_json(media: object) -> None:
    if media is None or media == "":
        return
    plain = media.partition(";")[0].strip().lower() if isinstance(media, str) else ""
    if plain not in ("application/json", "text/json") and not plain.endswith("+json"):
        raise malformed('The data of the event must be JSON ("datacontenttype": "application/json").')


def _envelope(found: Mapping[str, Any], data: Any, *, escapes: bool) -> Envelope[Any]:
    attributes.check_version(found)
    event_id = attributes.required_text(found, "id", attributes.MAX_ID)
    source = attributes.required_text(found, "source", attributes.MAX_SOURCE)
    event_type = attributes.required_text(found, "type", attributes.MAX_TYPE)
    shape = _shape_of(event_type)
    workspace = attributes.workspace(found)
    return Envelope(
        id=event_id,
        source=source,
        type=event_type,
        time=attributes.time(found),
        workspace_id=workspace,
        data=_data(shape, data, escapes=escapes),
        correlation_id=attributes.optional_text(found, "correlationid"),
        causation_id=attributes.optional_text(found, "causationid"),
        traceparent=attributes.traceparent(found),
        subject=attributes.optional_text(found, "subject", attributes.MAX_SOURCE),
    )


def _shape_of(event_type: str) -> type[EventData]:
    shape = EVENTS.get(event_type)
    if shape is not None:
        return shape
    versioned = _VERSIONED.fullmatch(event_type)
    if versioned and versioned["base"] in EVENTS:
        raise UnknownEvent(
            Cause.UNKNOWN_EVENT_TYPE,
            f'The event is version {versioned["version"]} of "{versioned["base"]}"; this service reads version 1 only.',
            "Upgrade this service and replay the event, or publish the version without a suffix.",
            fields=("type",),
        )
    raise UnknownEvent(
        Cause.UNKNOWN_EVENT_TYPE,
        f'Nothing here reads events of the type "{event_type}".',
        "Check the spelling of the type; if it is new, upgrade this service and replay the event.",
        fields=("type",),
    )


def _data(shape: type[EventData], data: Any, *, escapes: bool) -> EventData:
    """Return the typed body. ``escapes``: whether the text had any; without them it holds nothing that is no text."""
    if not isinstance(data, dict):
        raise malformed(
            '"data" must be an object.' if data is not None else 'The event has no "data".', fields=("data",)
        )
    broken = find_unstorable(data, "data") if escapes else None
    if broken is not None:
        raise malformed(f"{broken[:200]}: contains a character that is no text (NUL or half a pair).", fields=(broken,))
    try:
        return shape.model_validate(data)
    except ValidationError as exc:
        sentence, fields = explain(exc)
    # Raised outside the handler, so that the original error, which repeats values of the body, does not travel along.
    raise malformed(f"{sentence}.", fields=fields)


def _utc_text(value: datetime) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
