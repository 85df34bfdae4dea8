"""The AsyncAPI 3 document: one exchange, a channel per event type, and which answers end which request.

Seen from the worker, as AsyncAPI asks: it *receives* what Pike publishes and *sends* the answers.
"""

from typing import Any, Final

from events import EVENTS, answers
from events.contract.schemas import ANSWERS, REQUESTS, Schema, components, example, reference
from events.envelope import Incoming

VERSION: Final = "1.0.0"
"""Of the contract, not of the software: the middle number goes up with every addition; nothing else is ever changed."""

_EXCHANGE = {"name": "pike.events", "type": "topic", "durable": True, "autoDelete": False}
_BINDING = "0.3.0"
_ABOUT = """\
Events between Pike and the e-conomic integration, on one durable RabbitMQ topic exchange for both directions. The \
routing key is the event's type.

- CloudEvents 1.0, structured mode: content type `application/cloudevents+json`, persistent, `message_id` = `id`. \
Binary mode is read as well (headers with the prefix `cloudEvents_` or `cloudEvents:`).
- Publish with confirms and as mandatory: a returned message was not taken by any queue.
- (`source`, `id`) identifies an event. The same pair is acted on once, however often it arrives, so publishing again \
after a doubt is safe, with the same id.
- Amounts are decimal strings, dates `YYYY-MM-DD`, times RFC 3339.
- Ignore fields and causes that you do not know. A breaking change comes as a new type.
- Never rely on the order of events: newer state wins.
"""


def document() -> Schema:
    """Return the AsyncAPI 3.0 document, in the form that ``json.dumps`` writes."""
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Pike e-conomic", "version": VERSION, "description": _ABOUT},
        "defaultContentType": "application/cloudevents+json",
        "servers": {
            "rabbitmq": {
                "host": "rabbitmq:5672",
                "protocol": "amqp",
                "protocolVersion": "0-9-1",
                "description": "Pike's RabbitMQ; address and virtual host are those of the installation.",
            }
        },
        "channels": _channels(),
        "operations": _operations(),
        "components": {
            "messages": {_name(event): _message(event) for event in (*REQUESTS, *ANSWERS)},
            "schemas": dict(components()),
        },
    }


def _name(event_type: str) -> str:
    return EVENTS[event_type].__name__


def _channels() -> Schema:
    channels = {event: _channel(event, event) for event in (*REQUESTS, *ANSWERS)}
    answers_of_all = _channel("economic.#", *ANSWERS)
    answers_of_all["description"] = "Every answer: bind a queue of your own to the exchange with this pattern."
    return {**channels, "answers": answers_of_all}


def _channel(address: str, *event_types: str) -> Schema:
    return {
        "address": address,
        "messages": {_name(event): {"$ref": f"#/components/messages/{_name(event)}"} for event in event_types},
        "bindings": {"amqp": {"is": "routingKey", "exchange": dict(_EXCHANGE), "bindingVersion": _BINDING}},
    }


def _message(event_type: str) -> Schema:
    return {
        "name": event_type,
        "title": _name(event_type),
        "summary": components()[event_type]["description"],
        "contentType": "application/cloudevents+json",
        "correlationId": {"location": "$message.payload#/correlationid"},
        "payload": reference(event_type),
        "examples": [{"name": "example", "payload": example(event_type)}],
    }


def _operations() -> Schema:
    received = {f"receive.{event}": _operation("receive", event) | _reply(event) for event in REQUESTS}
    sent = {f"send.{event}": _operation("send", event) for event in ANSWERS}
    return received | sent


def _operation(action: str, event_type: str) -> Schema:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{event_type}"},
        "messages": [{"$ref": f"#/channels/{event_type}/messages/{_name(event_type)}"}],
        "bindings": {"amqp": {"deliveryMode": 2, "mandatory": True, "bindingVersion": _BINDING}},
    }


def _reply(event_type: str) -> dict[str, Any]:
    request = EVENTS[event_type]
    assert issubclass(request, Incoming)  # noqa: S101  # narrows the type
    ends = [answer.__name__ for answer in answers.ANSWERS[request]]
    return {
        "reply": {
            "channel": {"$ref": "#/channels/answers"},
            "messages": [{"$ref": f"#/channels/answers/messages/{name}"} for name in ends],
        }
    }
