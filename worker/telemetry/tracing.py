"""Where an event stands in its publisher's trace (W3C Trace Context)."""

import hashlib


def trace_id_of(traceparent: str | None, source: str, event_id: str) -> str:
    """Return the trace id of an event: its publisher's, or one that every delivery of the event agrees on."""
    if traceparent:
        return traceparent.split("-")[1]
    return hashlib.sha256(f"{source}\x1f{event_id}".encode()).hexdigest()[:32]
