"""Which changes of the contract break somebody: a list of known ones, and a search for breaks that go unnoticed."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from events.contract.compatibility import breaks
from events.contract.document import document
from events.contract.widening import Comparison

Document = dict[str, Any]
REQUEST = "pike.import.requested"


def shape(contract: Document, name: str) -> dict[str, Any]:
    found: dict[str, Any] = contract["components"]["schemas"][name]
    return found


def changed(change: Callable[[Document], object]) -> list[str]:
    new = copy.deepcopy(document())
    change(new)
    return [str(entry) for entry in breaks(document(), new)]


def _put(name: str, field: str, **keywords: Any) -> Callable[[Document], None]:
    return lambda contract: shape(contract, name)["properties"].__setitem__(field, keywords)


def _edit(name: str, field: str, **keywords: Any) -> Callable[[Document], None]:
    return lambda contract: shape(contract, name)["properties"][field].update(keywords)


def _pop(name: str, field: str) -> Callable[[Document], None]:
    return lambda contract: shape(contract, name)["properties"].pop(field)


def _require(name: str, field: str) -> Callable[[Document], None]:
    return lambda contract: shape(contract, name).setdefault("required", []).append(field)


def _values(name: str, *values: str) -> Callable[[Document], None]:
    return lambda contract: shape(contract, name)["enum"].extend(values)


def _also_null(name: str, field: str) -> Callable[[Document], None]:
    return lambda contract: shape(contract, name)["properties"].__setitem__(
        field, {"anyOf": [shape(contract, name)["properties"][field], {"type": "null"}]}
    )


def _rename(name: str, old: str, new: str) -> Callable[[Document], None]:
    def rename(contract: Document) -> None:
        properties = shape(contract, name)["properties"]
        properties[new] = properties.pop(old)

    return rename


@pytest.mark.requirement("B18")
def test_unchanged_contract_breaks_nothing() -> None:
    assert changed(lambda contract: None) == []


@pytest.mark.requirement("B18")
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(_put("CreatedInvoice", "purchase_order", type="string"), id="optional field of a request"),
        pytest.param(_put("InvoiceSynced", "pdf_url", type="string"), id="field of an answer"),
        pytest.param(_edit("CreatedInvoice", "lines", maxItems=5000), id="more lines accepted"),
        pytest.param(_also_null("CreatedInvoice", "title"), id="null accepted"),
        pytest.param(_values("Cause", "moon_in_the_way"), id="new cause"),
        pytest.param(_edit("RecordsChanged", "ids", maxItems=10), id="fewer ids promised"),
        pytest.param(_edit("InvoiceSynced", "net", description="Another word."), id="description"),
    ],
)
def test_additions_are_free(change: Callable[[Document], object]) -> None:
    assert changed(change) == []


def test_new_event_is_free() -> None:
    old = copy.deepcopy(document())
    del old["operations"]["send.economic.invoice.changed"]
    assert breaks(old, document()) == []


@pytest.mark.requirement("B18")
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda contract: contract["operations"].pop(f"receive.{REQUEST}"),
            f"{REQUEST}: the event is no longer part of the contract, and others publish it.",
        ),
        (
            lambda contract: contract["operations"].pop("send.economic.invoice.synced"),
            "economic.invoice.synced: the event is no longer part of the contract, and others listen to it.",
        ),
        (
            _pop("CreatedLine", "discount_percent"),
            (
                "pike.invoice.created, data.invoice.lines[].discount_percent: the field is gone or has another name, "
                "and publishers send it and would not notice."
            ),
        ),
        (
            _rename("InvoiceSynced", "gross", "total"),
            "economic.invoice.synced, data.gross: the field is gone or has another name, and readers rely on it.",
        ),
        (
            _require("CreatedInvoice", "due_date"),
            (
                "pike.invoice.created, data.invoice.due_date: the field must be given now, and publishers of the last "
                "release may leave it out."
            ),
        ),
        (
            lambda contract: shape(contract, "InvoiceSynced")["required"].remove("vat"),
            (
                "economic.invoice.synced, data.vat: the field may be missing now, and readers were told that it is "
                "always there."
            ),
        ),
        (
            _edit("ImportRequested", "mode", enum=["full"]),
            'pike.import.requested, data.mode: "changes" is no longer accepted.',
        ),
        (
            _values("InvoiceStatus", "lost"),
            'economic.invoice.synced, data.status: it may be "lost" now, which readers were told does not happen.',
        ),
        (
            _edit("ImportRequested", "mode", default="changes"),
            "pike.import.requested, data.mode: left out it meant 'full' and would now mean 'changes'.",
        ),
        (
            _edit("CreatedInvoice", "title", type="integer"),
            "pike.invoice.created, data.invoice.title: a text is no longer accepted there.",
        ),
        (
            _also_null("InvoiceSynced", "vat"),
            "economic.invoice.synced, data.vat: it may be null now, which readers do not expect.",
        ),
        (
            _edit("CreatedInvoice", "title", maxLength=10),
            (
                "pike.invoice.created, data.invoice.title: maxLength was not set and is 10 now, so that good events "
                "would be refused."
            ),
        ),
        (
            _edit("CreatedInvoice", "lines", maxItems=10),
            (
                "pike.invoice.created, data.invoice.lines: maxItems was 1000 and is 10 now, so that good events would "
                "be refused."
            ),
        ),
        (
            _edit("RecordsChanged", "ids", maxItems=5000),
            (
                "economic.records.changed, data.ids: maxItems was 1000 and is 5000 now, which is more than readers "
                "were told."
            ),
        ),
        (
            _edit("InvoiceSynced", "net", pattern="^.*$"),
            "economic.invoice.synced, data.net: pattern was",
        ),
        (
            _edit("EntityCounts", "created", minimum=-1),
            "economic.import.completed, data.counts.*.created: minimum was 0 and is -1 now",
        ),
        (
            _edit("CreatedInvoice", "title", contentEncoding="base64"),
            'pike.invoice.created, data.invoice.title: contentEncoding was not set and is "base64" now',
        ),
    ],
)
def test_break_is_told_with_its_place_its_victim_and_the_way_out(
    change: Callable[[Document], object], sentence: str
) -> None:
    found = changed(change)
    assert any(entry.startswith(sentence) for entry in found), found
    assert all(entry.endswith("or publish the change as an event of a new type.") for entry in found)


NAMES = st.sampled_from(["a", "b", "c"])
LEAVES = st.one_of(
    st.just({"type": "null"}),
    st.just({"type": "boolean"}),
    st.just({}),
    st.builds(
        lambda low, more: {"type": "string", "minLength": low, "maxLength": low + more},
        st.integers(0, 2),
        st.integers(0, 2),
    ),
    st.builds(
        lambda low, more: {"type": "integer", "minimum": low, "maximum": low + more},
        st.integers(-2, 2),
        st.integers(0, 3),
    ),
    st.builds(lambda top: {"type": "number", "maximum": top}, st.integers(-1, 3)),
    st.builds(
        lambda values: {"type": "string", "enum": sorted(values)},
        st.sets(st.sampled_from(["x", "y", "zz"]), min_size=1),
    ),
)


def _objects(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(NAMES, children, max_size=3).flatmap(
        lambda fields: st.builds(
            lambda required: {"type": "object", "properties": fields, "required": sorted(required)},
            st.sets(st.sampled_from(sorted(fields)), max_size=3) if fields else st.just(set()),
        )
    )


SCHEMAS = st.recursive(
    LEAVES,
    lambda children: st.one_of(
        _objects(children),
        st.builds(lambda items, most: {"type": "array", "items": items, "maxItems": most}, children, st.integers(0, 2)),
        st.builds(lambda some: {"anyOf": some}, st.lists(children, min_size=1, max_size=3)),
        st.builds(lambda entry: {"type": "object", "additionalProperties": entry}, children),
    ),
    max_leaves=6,
)


@st.composite
def _mutated(draw: st.DrawFn, schema: Any) -> Any:
    """Another schema that differs in about one place, as a later release does."""
    if draw(st.integers(0, 3)) == 0:
        return draw(LEAVES)
    new = copy.deepcopy(schema)
    for key in ("properties", "items", "additionalProperties", "anyOf"):
        inside = new.get(key)
        if isinstance(inside, dict) and key != "properties":
            new[key] = draw(_mutated(inside))
        elif inside:
            place = draw(st.sampled_from(sorted(inside) if isinstance(inside, dict) else range(len(inside))))
            inside[place] = draw(_mutated(inside[place]))
    for key in ("minLength", "maxLength", "minimum", "maximum", "maxItems"):
        if key in new:
            new[key] = max(0, new[key] + draw(st.integers(-1, 1)))
    for key in ("required", "enum"):
        if key in new:
            more = draw(st.sampled_from(["x", "y"] if key == "enum" else sorted(new["properties"]) or ["a"]))
            new[key] = sorted({*new[key], more} if draw(st.booleans()) else {*new[key]} - {more}) or new[key]
    return new


def _values_of(schema: Any) -> st.SearchStrategy[Any]:  # noqa: PLR0911  # one for each kind of schema
    """Values that a schema accepts, naming only the fields that it names: readers ignore the others by agreement."""
    if "anyOf" in schema:
        return st.one_of([_values_of(branch) for branch in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema.get("type"):
        case "object" if "additionalProperties" in schema:
            return st.dictionaries(NAMES, _values_of(schema["additionalProperties"]), max_size=2)
        case "object":
            fields = {name: _values_of(field) for name, field in schema["properties"].items()}
            needed = {name: fields[name] for name in schema["required"]}
            free = {name: field for name, field in fields.items() if name not in needed}
            return st.fixed_dictionaries(needed, optional=free)
        case "array":
            return st.lists(_values_of(schema["items"]), max_size=schema["maxItems"])
        case "string":
            return st.text("xyz", min_size=schema["minLength"], max_size=schema["maxLength"])
        case "integer":
            return st.integers(schema["minimum"], schema["maximum"])
        case "number":
            return st.integers(-5, schema["maximum"]) | st.just(schema["maximum"] - 0.5)
        case None:
            return st.sampled_from([None, True, 7, "zz", [], {}])
        case kind:
            return {"null": st.none(), "boolean": st.booleans()}[kind]


@settings(max_examples=1500)
@given(st.data())
def test_no_value_is_lost_where_no_change_is_seen(data: st.DataObject) -> None:
    narrower = data.draw(SCHEMAS)
    wider = data.draw(_mutated(narrower))
    if not Comparison({}, {}).changes(wider, narrower):
        value = data.draw(_values_of(narrower))
        assert Draft202012Validator(narrower).is_valid(value)
        assert Draft202012Validator(wider).is_valid(value)


def test_an_object_of_free_names_is_not_taken_where_one_of_the_names_wants_something_else() -> None:
    free = {"type": "object", "additionalProperties": {"type": "boolean"}}
    named = {"type": "object", "properties": {"a": {"type": "null"}}, "required": []}
    assert [change.path for change in Comparison({}, {}).changes(named, free)] == ["a"]
    assert Comparison({}, {}).changes({**named, "properties": {"a": {"type": "boolean"}}}, free) == []


@given(SCHEMAS)
def test_schema_accepts_itself(schema: Any) -> None:
    assert Comparison({}, {}).changes(schema, copy.deepcopy(schema)) == []
