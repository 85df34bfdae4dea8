"""A request of Pike on its way out: in its envelope, and read as the integration will read it before it is sent."""

import uuid
from datetime import UTC, datetime
from typing import TypeVar

from events import EVENTS, INTERNAL
from events.codec import CONTENT_TYPE, decode, encode
from events.envelope import Envelope, Incoming
from events.errors import MalformedEvent

RequestT = TypeVar("RequestT", bound=Incoming)


class NotPublished(Exception):
    """An event was not published, or nobody can say that it was. ``event_id`` is the event's."""

    def __init__(self, event_id: str, sentence: str) -> None:
        super().__init__(sentence)
        self.event_id = event_id


class NoListener(NotPublished):
    """No queue takes the event: the integration was never started on this virtual host. Nothing was kept."""


class NotConfirmed(NotPublished):
    """RabbitMQ did not confirm in time; it may have the event all the same. Publish it again with the same id."""


class NotAccepted(NotPublished):
    """Repeating does not help: the event is not one of the contract, or the address, login or right is wrong."""


def new_event(
    data: RequestT,
    *,
    source: str,
    workspace_id: str,
    event_id: str | None = None,
    subject: str | None = None,
    correlation_id: str | None = None,
    causation_id: str | None = None,
    traceparent: str | None = None,
) -> Envelope[RequestT]:
    """Put an event into its envelope, with a new id unless one is given, and the time now.

    Raises ``NotAccepted`` when the integration would not read it, with the sentence that it would answer.
    """
    event: Envelope[RequestT] = Envelope(
        id=event_id or str(uuid.uuid4()),
        source=source,
        type=data.TYPE,
        time=datetime.now(UTC),
        workspace_id=workspace_id,
        data=data,
        correlation_id=correlation_id,
        causation_id=causation_id,
        traceparent=traceparent,
        subject=subject,
    )
    encoded(event)
    return event


def encoded(event: Envelope[Incoming]) -> bytes:
    """Return the event as bytes. Raises ``NotAccepted`` for what would become a dead letter."""
    if event.type not in EVENTS or event.type in INTERNAL or not isinstance(event.data, Incoming):
        raise NotAccepted(event.id, f"{event.type} is not an event that services publish to the e-conomic integration.")
    try:
        body = encode(event)
        decode(body, {}, CONTENT_TYPE)
    except MalformedEvent as exc:
        raise NotAccepted(event.id, f"{event.type} would not be read: {exc.user_message}") from exc
    return body
