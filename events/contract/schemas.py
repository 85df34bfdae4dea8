"""JSON Schemas of whole events: the CloudEvents attributes around the body, as they travel in structured mode.

What the worker reads is described as publishers must write it, what it emits as readers will find it: every field
there, ``null`` included. Objects stay open, because readers must ignore fields that a later version adds.
"""

import copy
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from inspect import cleandoc
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema
from pydantic_core import core_schema

from events import CONSUMED, EMITTED, EVENTS, INTERNAL, attributes
from events.safe_json import parse

Schema = dict[str, Any]

REQUESTS: Final = tuple(event for event in EVENTS if event in CONSUMED and event not in INTERNAL)
"""Types that others publish, in the order of the catalogue."""
ANSWERS: Final = tuple(event for event in EVENTS if event in EMITTED)
"""Types that the worker publishes, in the order of the catalogue."""
PUBLIC: Final = (*REQUESTS, *ANSWERS)

_REQUIREMENTS = re.compile(r"\s*\([RBF]\d+(?:[,–-] ?[RBF]\d+)*\)")
_CODE = re.compile(r"``([^`]+)``")


def example(event_type: str) -> Any:
    """Return the stored example of an event, the envelope included. Raises ``FileNotFoundError`` without one."""
    return parse(resources.files("events").joinpath("examples", f"{event_type}.json").read_bytes())


def event_schema(event_type: str) -> Schema:
    """Return the self-contained schema (JSON Schema 2020-12) of one event, its example included."""
    parts = components()
    body = copy.deepcopy(parts[event_type])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:pike-economic:event:{event_type}",
        **_relocated(body),
        "examples": [example(event_type)],
        "$defs": {name: _relocated(copy.deepcopy(parts[name])) for name in sorted(_reachable(body, parts))},
    }


@cache
def components() -> Mapping[str, Schema]:
    """Return every schema of the contract by name: events under their type, the shapes they use under their class.

    References are written for AsyncAPI, ``#/components/schemas/…``. Not to be changed by the caller.
    """
    models = [(EVENTS[event], _mode(event)) for event in PUBLIC]
    placed, made = models_json_schema(models, schema_generator=_Generator, ref_template="#/components/schemas/{model}")
    shapes = {name: _tidy(shape) for name, shape in made["$defs"].items()}
    events = {event: _event(event, placed[EVENTS[event], _mode(event)]) for event in PUBLIC}
    return {**events, **dict(sorted(shapes.items()))}


def reference(name: str) -> Schema:
    """Return a reference to a schema of ``components``."""
    return {"$ref": f"#/components/schemas/{name}"}


def references(value: Any) -> Iterator[str]:
    """Yield the names of the schemas that a schema points at itself."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"].rpartition("/")[2]
        for entry in value.values():
            yield from references(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from references(entry)


def _mode(event_type: str) -> JsonSchemaMode:
    return "validation" if event_type in CONSUMED else "serialization"


def _event(event_type: str, data: Mapping[str, Any]) -> Schema:
    text = {"type": "string", "minLength": 1, "maxLength": attributes.MAX_ID}
    properties: Schema = {
        "specversion": {"type": "string", "const": "1.0"},
        "id": text | {"description": "With `source` it identifies the event: the same pair is acted on once."},
        "source": text | {"maxLength": attributes.MAX_SOURCE, "description": "Who published it: /pike/finance."},
        "type": {"type": "string", "const": event_type, "description": "Also the routing key."},
        "workspaceid": {"type": "string", "pattern": f"^{attributes.WORKSPACE.pattern}$"},
        "time": {"type": "string", "format": "date-time", "description": "RFC 3339, in UTC when emitted."},
        "subject": text | {"maxLength": attributes.MAX_SOURCE},
        "correlationid": text | {"description": "Of an answer: the id of the request."},
        "causationid": text | {"description": "The id of the event that made this one happen."},
        "traceparent": {"type": "string", "pattern": f"^{attributes.TRACEPARENT.pattern}$"},
        "datacontenttype": {"type": "string", "const": "application/json"},
        "data": dict(data),
    }
    return {
        "title": EVENTS[event_type].__name__ + "Event",
        "description": _plain(cleandoc(EVENTS[event_type].__doc__ or "")),
        "type": "object",
        "properties": properties,
        "required": ["specversion", "id", "source", "type", "workspaceid", "data"],
    }


class _Generator(GenerateJsonSchema):
    """Pydantic's generator, without invented titles; of what we write, every field is always there."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002  # as pydantic names it
        return False

    def field_is_required(
        self,
        field: core_schema.ModelField | core_schema.DataclassField | core_schema.TypedDictField,
        total: bool,
    ) -> bool:
        return self.mode == "serialization" or super().field_is_required(field, total)


def _tidy(schema: Any) -> Any:
    """Open the objects, take the defaults off what is always there, and leave out words that only we understand."""
    if isinstance(schema, list):
        return [_tidy(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    tidied = {key: _tidy(value) for key, value in schema.items()}
    if tidied.get("additionalProperties") is False:
        del tidied["additionalProperties"]
    if isinstance(tidied.get("description"), str):
        tidied["description"] = _plain(tidied["description"])
    for name in tidied.get("required", ()):
        tidied.get("properties", {}).get(name, {}).pop("default", None)
    return tidied


def _plain(text: str) -> str:
    return _CODE.sub(r"`\1`", _REQUIREMENTS.sub("", text)).strip()


def _relocated(schema: Any) -> Any:
    """Point references at ``$defs`` instead of AsyncAPI's components."""
    if isinstance(schema, dict):
        return {
            key: f"#/$defs/{value.rpartition('/')[2]}" if key == "$ref" else _relocated(value)
            for key, value in schema.items()
        }
    return [_relocated(entry) for entry in schema] if isinstance(schema, list) else schema


def _reachable(schema: Schema, parts: Mapping[str, Schema]) -> set[str]:
    found: set[str] = set()
    waiting = list(references(schema))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(references(parts[name]))
    return found
