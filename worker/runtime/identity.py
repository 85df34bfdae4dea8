"""What makes two deliveries the same request: the publisher's id, or the bytes where there is none to read."""

import hashlib
from collections.abc import Mapping
from typing import Any

from events.envelope import Envelope
from worker.broker.delivery import Delivery
from worker.store.inbox import Received


def received(delivery: Delivery, event: Envelope[Any], owner: str) -> Received:
    """Return the inbox row of an event. ``owner``: one text per delivery, with which it may claim again."""
    return Received(
        source=event.source,
        event_id=event.id,
        type=event.type,
        workspace_id=event.workspace_id,
        lane=delivery.lane.value,
        body=delivery.body,
        body_hash=meaning(event),
        content_type=delivery.content_type,
        headers=texts(delivery.headers),
        owner=owner,
    )


def received_by_body(delivery: Delivery, event: Envelope[Any], kind: str) -> Received:
    """Return the inbox row of a message that has no identity of its own. ``kind`` stands where the source would."""
    digest = hashlib.sha256(delivery.body)
    return Received(
        source=kind,
        event_id=digest.hexdigest(),
        type=event.type,
        workspace_id=event.workspace_id,
        lane=delivery.lane.value,
        body=b"",
        body_hash=digest.digest(),
        content_type=delivery.content_type,
        headers={},
        owner=kind,
    )


def meaning(event: Envelope[Any]) -> bytes:
    """Fingerprint of what an event asks for. A publisher that repeats it with another time stamp means the same."""
    text = "\x1f".join((event.type, event.workspace_id, event.data.model_dump_json()))
    return hashlib.sha256(text.encode()).digest()


def texts(headers: Mapping[str, object]) -> dict[str, str]:
    """Keep the headers that binary mode and people need; the broker's own bookkeeping (x-death, …) is left out."""
    return {name: str(value) for name, value in headers.items() if not name.startswith("x-")}
