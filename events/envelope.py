"""What every event has: the envelope's attributes (CloudEvents 1.0) and a typed body.

Bodies that we read ignore unknown fields; bodies that we write refuse them.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict


class EventData(BaseModel):
    """Body of an event. ``TYPE`` is the CloudEvents type, which is also the routing key."""

    model_config = ConfigDict(frozen=True)

    TYPE: ClassVar[str]


class Incoming(EventData):
    """Something we read: unknown fields are ignored, so that publishers may grow."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Outgoing(EventData):
    """Something we write: a field nobody declared is a mistake of ours."""

    model_config = ConfigDict(frozen=True, extra="forbid")


D_co = TypeVar("D_co", bound=EventData, covariant=True)


@dataclass(frozen=True, slots=True)
class Envelope(Generic[D_co]):
    """An event. (``source``, ``id``) identifies it: the same pair is acted on once, however often it arrives.

    ``time`` is aware UTC, or ``None`` when the publisher gave none. ``correlation_id`` of an answer is the id of
    the request; ``causation_id`` is the id of the event that made this one happen.
    """

    id: str
    source: str
    type: str
    time: datetime | None
    workspace_id: str
    data: D_co
    correlation_id: str | None = None
    causation_id: str | None = None
    traceparent: str | None = None
    subject: str | None = None
