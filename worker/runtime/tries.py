"""The span of one try at an event: under its publisher's trace, linked to the try before it."""

from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from events.attributes import TRACEPARENT
from events.envelope import Envelope
from worker.broker.delivery import Delivery, Move, PutAway, Verdict
from worker.telemetry import tracing

if TYPE_CHECKING:
    from opentelemetry.trace import Span


def trying(event: Envelope[Any], delivery: Delivery) -> "AbstractContextManager[Span | None]":
    """Make the span of a delivery; OpenTelemetry's conventions for messaging name it."""
    if not tracing.is_on():
        return tracing.OFF
    return tracing.span(
        f"process {event.type}",
        "consumer",
        parent=parent_of(event, delivery),
        link=_header(delivery, tracing.TRY_HEADER),
        attributes={
            "messaging.system": "rabbitmq",
            "messaging.operation.type": "process",
            "messaging.operation.name": "process",
            "messaging.destination.name": delivery.lane.value,
            "messaging.message.id": event.id,
            "messaging.message.body.size": len(delivery.body),
            "cloudevents.event_type": event.type,
            "cloudevents.event_source": event.source,
            "pike_economic.workspace": event.workspace_id,
        },
    )


def parent_of(event: Envelope[Any], delivery: Delivery) -> str:
    """Return the context under which all tries of the event stand: its own, its message's, or one made for it."""
    known = event.traceparent or _header(delivery, tracing.PARENT_HEADER)
    return tracing.context_of(known, event.source, event.id)


def linked(verdict: Verdict, span: "Span | None") -> Verdict:
    """Let a copy that comes again name this try."""
    made = tracing.traceparent_of(span)
    if made is None or not isinstance(verdict, PutAway | Move):
        return verdict
    return replace(verdict, headers={**verdict.headers, tracing.TRY_HEADER: made})


def _header(delivery: Delivery, name: str) -> str | None:
    value = delivery.headers.get(name)
    return value if isinstance(value, str) and TRACEPARENT.fullmatch(value) else None
