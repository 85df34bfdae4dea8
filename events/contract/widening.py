"""Whether one JSON Schema accepts everything that another one does, for the schemas that pydantic makes.

Understands references, alternatives, objects, arrays, texts, numbers and sets of values. What it does not understand
has to be equal: it may call a harmless change a break, never a break harmless.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Schema = Mapping[str, Any]

_AT_LEAST = ("minLength", "minimum", "exclusiveMinimum", "minItems", "minProperties")
_AT_MOST = ("maxLength", "maximum", "exclusiveMaximum", "maxItems", "maxProperties")
_STRUCTURE = frozenset({"$ref", "type", "anyOf", "enum", "const", "properties", "required", "items"})
_CHECKED = _STRUCTURE | {"additionalProperties", "propertyNames", *_AT_LEAST, *_AT_MOST}
_ONLY_NARROWING = frozenset({"pattern", "format", "uniqueItems", "multipleOf"})
_WORDS = frozenset({"title", "description", "default", "examples", "deprecated", "readOnly", "x-extensible-enum"})


@dataclass(frozen=True, slots=True)
class Change:
    """Something that the narrower schema allows and the wider one does not.

    ``what`` names it: the field, the values, the type, or the keyword whose two settings are ``wide`` and ``narrow``.
    """

    path: str
    kind: Literal["required", "values", "type", "limit"]
    what: str
    wide: str = ""
    narrow: str = ""


class Comparison:
    """Two sets of named schemas; references are looked up in the set that the schema is from."""

    def __init__(self, wider: Mapping[str, Schema], narrower: Mapping[str, Schema]) -> None:
        self.wider = wider
        self.narrower = narrower

    def changes(self, wider: Schema, narrower: Schema, path: str = "") -> list[Change]:
        """Return why ``wider`` does not accept everything that ``narrower`` does; nothing when it does."""
        found: list[Change] = []
        places = list(_branches(wider, self.wider))
        for branch in _branches(narrower, self.narrower):
            if any(_takes_all(place) for place in places):
                continue
            fitting = [place for place in places if _type_fits(place, branch)]
            if not fitting:
                found.append(Change(path, "type", _kind(branch)))
                continue
            # The nearest alternative is the one whose differences a person wants to read.
            differences = [self._branch(place, branch, path) for place in fitting]
            nearest: list[Change] = min(differences, key=len)
            found += nearest
        return found

    def missing(self, old: Schema, new: Schema, path: str = "") -> Iterator[str]:
        """Yield the fields of ``old`` (looked up in ``wider``) that ``new`` (in ``narrower``) no longer names."""
        for name, before, now in self._fields(old, new):
            where = _join(path, name)
            if now is None:
                yield where
            else:
                yield from self.missing(before, now, where)

    def defaults(self, old: Schema, new: Schema, path: str = "") -> Iterator[tuple[str, Any, Any]]:
        """Yield the fields whose meaning when left out has changed, with both meanings."""
        for name, before, now in self._fields(old, new):
            if now is None:
                continue
            where = _join(path, name)
            if "default" in before and before["default"] != now.get("default"):
                yield where, before["default"], now.get("default")
            yield from self.defaults(before, now, where)

    def _fields(self, old: Schema, new: Schema) -> Iterator[tuple[str, Schema, Schema | None]]:
        named: dict[str, Schema] = {}
        entries: list[Schema] = []
        for branch in _branches(new, self.narrower):
            named |= branch.get("properties", {})
            entries += [branch[key] for key in ("items", "additionalProperties") if isinstance(branch.get(key), dict)]
        for branch in _branches(old, self.wider):
            for name, field in branch.get("properties", {}).items():
                yield name, field, named.get(name)
            for key in ("items", "additionalProperties"):
                if isinstance(branch.get(key), dict) and entries:
                    yield "[]" if key == "items" else "*", branch[key], entries[0]

    def _branch(self, wider: Schema, narrower: Schema, path: str) -> list[Change]:
        found = _value_changes(wider, narrower, path)
        found += _limit_changes(wider, narrower, path)
        found += self._object_changes(wider, narrower, path)
        if "items" in wider:
            found += self.changes(wider["items"], narrower.get("items", {}), f"{path}[]")
        for key in ("additionalProperties", "propertyNames"):
            if isinstance(wider.get(key), dict):
                found += self.changes(wider[key], narrower.get(key, {}), _join(path, "*"))
        return found

    def _object_changes(self, wider: Schema, narrower: Schema, path: str) -> list[Change]:
        given = set(narrower.get("required", ()))
        found = [Change(_join(path, name), "required", name) for name in wider.get("required", ()) if name not in given]
        named, any_other = narrower.get("properties", {}), narrower.get("additionalProperties")
        for name, ours in wider.get("properties", {}).items():
            theirs = named.get(name, any_other)  # an object of free names may have this one too
            if isinstance(theirs, Mapping):
                found += self.changes(ours, theirs, _join(path, name))
        return found


def _branches(schema: Schema, names: Mapping[str, Schema]) -> Iterator[Schema]:
    """Yield the alternatives that a schema consists of, references followed."""
    if "$ref" in schema:
        yield from _branches(names[schema["$ref"].rpartition("/")[2]], names)
    elif "anyOf" in schema:
        for branch in schema["anyOf"]:
            yield from _branches(branch, names)
    elif isinstance(schema.get("type"), list):
        for kind in schema["type"]:
            yield {**schema, "type": kind}
    else:
        yield schema


def _takes_all(schema: Schema) -> bool:
    return not set(schema) - _WORDS


def _values(schema: Schema) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    return schema.get("enum")


def _type_fits(wider: Schema, narrower: Schema) -> bool:
    kind = wider.get("type")
    return kind is None or kind == narrower.get("type") or (kind == "number" and narrower.get("type") == "integer")


def _value_changes(wider: Schema, narrower: Schema, path: str) -> list[Change]:
    allowed, possible = _values(wider), _values(narrower)
    if allowed is None or wider.get("x-extensible-enum"):
        return []
    if possible is None:
        return [Change(path, "values", f"anything but {_listed(allowed)}")]
    more = [value for value in possible if value not in allowed]
    return [Change(path, "values", _listed(more))] if more else []


def _limit_changes(wider: Schema, narrower: Schema, path: str) -> list[Change]:
    found: list[str] = []
    for keys, sign in ((_AT_LEAST, 1), (_AT_MOST, -1)):
        for key in keys:
            limit, other = wider.get(key), narrower.get(key)
            if limit is not None and (other is None or sign * other < sign * limit):
                found.append(key)
    for key in sorted((set(wider) | set(narrower)) - _CHECKED - _WORDS):
        # Patterns, formats and whatever pydantic may come to write: equal, or nothing asked by the wider side.
        if wider.get(key) != narrower.get(key) and (key in wider or key not in _ONLY_NARROWING):
            found.append(key)
    return [Change(path, "limit", key, _setting(wider, key), _setting(narrower, key)) for key in found]


def _setting(schema: Schema, key: str) -> str:
    return json.dumps(schema[key], ensure_ascii=False) if key in schema else "not set"


def _kind(schema: Schema) -> str:
    kind = schema.get("type")
    if kind is None:
        return "anything" if _takes_all(schema) else "what it was before"
    return {"null": "null", "array": "a list", "object": "an object", "string": "a text"}.get(kind, f"a {kind}")


def _listed(values: list[Any]) -> str:
    return ", ".join(json.dumps(value, ensure_ascii=False) for value in values)


def _join(path: str, name: str) -> str:
    return name if not path else f"{path}{name}" if name == "[]" else f"{path}.{name}"
