"""The driver's messages to our shapes and back: deliveries, deaths, and the properties of what we publish."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from aiormq.abc import DeliveredMessage
from pamqp import encode
from pamqp.commands import Basic

from worker.broker.delivery import DeathInfo, Delivery, Lane
from worker.broker.topology import LANE_QUEUES

REASON_HEADER = "x-pike-economic-reason"
WAITS_HEADER = "x-pike-economic-waits"
"""How often the message was put away; it counts on when the store, which counts attempts, is away."""
NO_ID_HEADER = "x-pike-economic-no-message-id"
"""The original had no message id; the copy has one only because returned messages are found by it."""
MAX_REASON = 200
MAX_HEADER_BYTES = 100_000
"""A header table must fit one frame, 128 kB by default; a larger one ends the connection."""

# Written by the broker, or an instruction to it. On a copy the first would tell of an earlier life (and make the
# broker see a dead-letter cycle), and the second would route the copy a second time.
NOT_COPIED = frozenset({"x-death", "x-delivery-count", "x-acquired-count", "cc", "bcc"})
NOT_COPIED_PREFIXES = ("x-first-death-", "x-last-death-")

PERSISTENT = 2
LANES = {queue: lane for lane, queue in LANE_QUEUES.items()}


class Uncopyable(ValueError):
    """The headers cannot be written again: too large for a frame, or of a type that we cannot encode."""


def to_delivery(message: DeliveredMessage, lane: Lane) -> Delivery:
    """Return the message as the runtime sees it."""
    properties = message.header.properties
    headers = properties.headers or {}
    return Delivery(
        body=message.body,
        headers=headers,
        content_type=properties.content_type or None,
        message_id=None if NO_ID_HEADER in headers else properties.message_id or None,
        routing_key=message.routing_key or "",
        lane=lane,
        redelivered=bool(message.redelivered),
        delivery_count=_delivery_count(headers) if message.redelivered else 0,
    )


def _delivery_count(headers: Mapping[str, Any]) -> int:
    # Since 4.3 a delivery whose consumer was lost counts in x-acquired-count only.
    counts = (headers.get("x-delivery-count"), headers.get("x-acquired-count"))
    return max((count for count in counts if isinstance(count, int)), default=0)


def waiting_copy(message: DeliveredMessage, reason: str, more: Mapping[str, str] | None = None) -> Basic.Properties:
    """Return the properties of a copy that waits: as they came, plus why and how often, and ``more`` headers.

    Dropped are headers of the broker's own, ``expiration`` (it would cut the wait short) and ``user_id`` (the
    broker refuses one that is not the connection's). Raises ``Uncopyable``.
    """
    original = message.header.properties
    headers = {key: value for key, value in (original.headers or {}).items() if _is_copied(key)}
    waits = headers.get(WAITS_HEADER)
    headers[WAITS_HEADER] = waits + 1 if isinstance(waits, int) else 1
    headers[REASON_HEADER] = reason[:MAX_REASON]
    headers |= more or {}
    if not original.message_id:
        headers[NO_ID_HEADER] = True
    try:
        size = len(encode.field_table(headers))
    except (TypeError, ValueError, OverflowError, RecursionError) as exc:
        raise Uncopyable(f"its headers cannot be written again: {exc}") from exc
    if size > MAX_HEADER_BYTES:
        raise Uncopyable(f"its headers take {size} bytes")
    return Basic.Properties(
        content_type=original.content_type,
        content_encoding=original.content_encoding,
        headers=headers,
        delivery_mode=PERSISTENT,
        priority=original.priority,
        correlation_id=original.correlation_id,
        reply_to=original.reply_to,
        message_id=original.message_id,
        timestamp=original.timestamp,
        message_type=original.message_type,
        app_id=original.app_id,
    )


def _is_copied(header: str) -> bool:
    name = header.lower()
    return name not in NOT_COPIED and not name.startswith(NOT_COPIED_PREFIXES)


def to_dead(message: DeliveredMessage) -> tuple[Delivery, DeathInfo]:
    """Return a message of the dead queue and what the broker says of its death."""
    deaths = (message.header.properties.headers or {}).get("x-death")
    newest = deaths[0] if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict) else {}
    queue, count, died_at = newest.get("queue"), newest.get("count"), newest.get("time")
    info = DeathInfo(
        reason=str(newest.get("reason", "unknown")),
        queue=queue if isinstance(queue, str) else None,
        count=count if isinstance(count, int) else 0,
        died_at=died_at if isinstance(died_at, datetime) else None,
    )
    return to_delivery(message, LANES.get(info.queue or "", Lane.WORK)), info
