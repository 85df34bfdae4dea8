"""The codec: both modes are read, one is written, and whatever is wrong becomes a ``MalformedEvent`` with a cause."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from events import Envelope, ImportRequested, InvoiceCreated, InvoiceUpdated, RefreshRequested
from events.codec import CONTENT_TYPE, MalformedEvent, UnknownEvent, decode, encode, headers_of
from schemas.invoice import RequestedInvoice
from schemas.problem import Cause

INVOICE = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"
OTHER = "7f9619ff-8b86-4d01-b42d-00cf4fc964ff"


def event(event_type: str = "pike.disconnect.requested", data: Any = None, **attributes: Any) -> dict[str, Any]:
    base = {"specversion": "1.0", "id": "e-1", "source": "/pike", "type": event_type, "workspaceid": "w-1"}
    merged = base | {"data": {} if data is None else data} | attributes
    return {name: value for name, value in merged.items() if value is not ...}


def invoice(**changes: Any) -> dict[str, Any]:
    line = {"id": OTHER, "description": "Hours", "quantity": "1.50", "unit_price": "10.00"}
    base = {
        "id": INVOICE,
        "title": "May",
        "customer_id": OTHER,
        "issue_date": "2024-05-31",
        "due_date": "2024-06-14",
        "currency": "DKK",
        "lines": [line | changes.pop("line", {})],
    }
    return {"invoice": base | changes}


def read(
    content: Any, content_type: str | None = CONTENT_TYPE, headers: dict[str, object] | None = None
) -> Envelope[Any]:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return decode(body, headers or {}, content_type)


def refused(
    content: Any, content_type: str | None = CONTENT_TYPE, headers: dict[str, object] | None = None
) -> MalformedEvent:
    with pytest.raises(MalformedEvent) as caught:
        read(content, content_type, headers)
    problem = caught.value.problem
    assert problem.cause is caught.value.cause
    assert problem.user_message
    assert problem.remedy
    assert problem.final
    return caught.value


# --- both modes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content_type",
    [
        "application/cloudevents+json",
        "application/cloudevents+json; charset=utf-8",
        "Application/CloudEvents+JSON;charset=UTF-8",
        "application/json",
        "",
        None,
    ],
)
def test_structured_event_is_read_with_any_of_the_usual_content_types(content_type: str | None) -> None:
    envelope = read(event(), content_type)
    assert (envelope.id, envelope.source, envelope.workspace_id) == ("e-1", "/pike", "w-1")


@pytest.mark.parametrize("prefix", ["cloudEvents_", "cloudEvents:", "CLOUDEVENTS_", "cloudevents:"])
def test_binary_event_is_read_with_either_header_prefix_in_any_case(prefix: str) -> None:
    stated = event(time="2024-05-31T12:00:00+02:00", correlationid="r-1", causationid="c-1", subject="finance")
    data = stated.pop("data")
    headers: dict[str, object] = {prefix + name: value for name, value in stated.items()} | {"x-retry": 3}
    envelope = read(data, "application/json", headers)
    assert envelope.time == datetime(2024, 5, 31, 10, 0, tzinfo=UTC)
    assert (envelope.correlation_id, envelope.causation_id, envelope.subject) == ("r-1", "c-1", "finance")
    assert envelope == read(stated | {"data": data})


def test_typed_amqp_headers_of_a_binary_event_are_read_as_texts() -> None:
    headers: dict[str, object] = {
        "cloudEvents_specversion": b"1.0",
        "cloudEvents_id": 17,
        "cloudEvents_source": b"/pike",
        "cloudEvents_type": "pike.disconnect.requested",
        "cloudEvents_workspaceid": "w-1",
        "cloudEvents_time": datetime(2024, 5, 31, 12, 0, tzinfo=UTC),
    }
    envelope = read({}, "application/json", headers)
    assert (envelope.id, envelope.source, envelope.time) == ("17", "/pike", datetime(2024, 5, 31, 12, 0, tzinfo=UTC))


def test_structured_content_type_wins_over_headers_of_binary_mode() -> None:
    headers: dict[str, object] = {"cloudEvents_specversion": "1.0", "cloudEvents_id": "from-header"}
    assert read(event(), CONTENT_TYPE, headers).id == "e-1"


def test_binary_attribute_given_twice_with_different_values_is_refused() -> None:
    assert "twice" in refused({}, "application/json", {"cloudEvents_id": "a", "cloudEvents:id": "b"}).user_message


@pytest.mark.parametrize("media", ["application/xml", "text/plain", "application/cloudevents-batch+json"])
def test_other_content_types_are_refused(media: str) -> None:
    assert refused(event(), media).cause is Cause.MALFORMED_EVENT


def test_data_that_is_not_json_is_refused_but_the_envelope_is_recognised() -> None:
    for extra in ({"data_base64": "e30="}, {"datacontenttype": "application/xml"}):
        problem = refused(event(**extra))
        assert problem.envelope_hint == {
            "id": "e-1",
            "source": "/pike",
            "type": "pike.disconnect.requested",
            "workspace_id": "w-1",
        }


def test_written_event_is_structured_and_carries_every_attribute() -> None:
    envelope = Envelope(
        id="e-2",
        source="/pike-economic",
        type="pike.import.requested",
        time=datetime(2024, 5, 31, 12, 0, 0, 250000, tzinfo=UTC),
        workspace_id="w-1",
        data=ImportRequested(entities=("products",)),
        correlation_id="e-1",
        causation_id="e-0",
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        subject="finance",
    )
    written = json.loads(encode(envelope))
    assert written["time"] == "2024-05-31T12:00:00.250000Z"
    assert written["specversion"] == "1.0"
    assert (written["workspaceid"], written["correlationid"], written["causationid"]) == ("w-1", "e-1", "e-0")
    assert read(written) == envelope
    assert headers_of(envelope) == {"type": "pike.import.requested", "workspace": "w-1"}


def test_missing_time_is_not_invented() -> None:
    assert read(event()).time is None
    assert "time" not in json.loads(encode(read(event())))


# --- attributes ----------------------------------------------------------------------------------------


@pytest.mark.requirement("F20")
@pytest.mark.parametrize("name", ["specversion", "id", "source", "type"])
def test_missing_attribute_is_named(name: str) -> None:
    problem = refused(event(**{name: ...}))
    assert problem.cause is Cause.MALFORMED_EVENT
    assert name in problem.user_message
    assert problem.fields == (name,)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("specversion", "0.3"),
        ("specversion", 1.0),
        ("id", "x" * 201),
        ("id", "a\nb"),
        ("id", "  "),
        ("id", 5),
        ("source", "x" * 501),
        ("source", "\ud800"),
        ("type", ["pike"]),
        ("correlationid", "x" * 201),
        ("time", "yesterday"),
        ("time", "2024-05-31"),
        ("time", "2024-05-31T12:00:00"),
        ("time", "2024-02-31T12:00:00Z"),
        ("time", "0001-01-01T00:00:00+14:00"),
        ("time", 1717156800),
    ],
)
def test_attribute_that_breaks_its_rules_is_refused(name: str, value: Any) -> None:
    problem = refused(event(**{name: value}))
    assert problem.cause is Cause.MALFORMED_EVENT
    assert problem.fields == (name,)


@pytest.mark.requirement("F20")
@pytest.mark.parametrize("value", [..., None, "", "a b", "x" * 65, "ø", 7, "a/b", "w\n"])
def test_event_without_a_usable_workspace_has_a_cause_of_its_own(value: Any) -> None:
    problem = refused(event(workspaceid=value))
    assert problem.cause is Cause.MISSING_WORKSPACE
    assert problem.envelope_hint == {"id": "e-1", "source": "/pike", "type": "pike.disconnect.requested"}


@pytest.mark.parametrize("value", ["w", "Az09_.:-", "x" * 64])
def test_workspace_ids_are_letters_digits_and_four_signs(value: str) -> None:
    assert read(event(workspaceid=value)).workspace_id == value


def test_malformed_trace_context_is_dropped_and_not_a_reason_to_refuse() -> None:
    assert read(event(traceparent="nonsense")).traceparent is None


@pytest.mark.requirement("F20")
def test_unknown_type_is_told_apart_from_a_newer_version_of_a_known_one() -> None:
    unknown = refused(event("pike.bill.created"))
    newer = refused(event("pike.invoice.created.v2"))
    assert isinstance(unknown, UnknownEvent)
    assert isinstance(newer, UnknownEvent)
    assert unknown.cause is newer.cause is Cause.UNKNOWN_EVENT_TYPE
    assert "version" not in unknown.user_message
    assert "version 2" in newer.user_message
    assert newer.envelope_hint["type"] == "pike.invoice.created.v2"
    assert newer.envelope_hint["workspace_id"] == "w-1"


# --- the body as bytes ---------------------------------------------------------------------------------


@pytest.mark.requirement("F20")
@pytest.mark.parametrize(
    ("body", "cause", "says"),
    [
        (b"", Cause.MALFORMED_EVENT, "not JSON"),
        (b"{", Cause.MALFORMED_EVENT, "line 1, column 2"),
        (b"[]", Cause.MALFORMED_EVENT, "object"),
        (b'{"id": "\xff"}', Cause.MALFORMED_EVENT, "UTF-8"),
        ('{"id": "æ"}'.encode("latin-1"), Cause.MALFORMED_EVENT, "UTF-8"),
        (b'{"a": NaN}', Cause.MALFORMED_EVENT, "NaN"),
        (b'{"a": -Infinity}', Cause.MALFORMED_EVENT, "-Infinity"),
        (b'{"id": "1", "id": "2"}', Cause.MALFORMED_EVENT, '"id" twice'),
        (b'{"a": ' + b"1" * 41 + b"}", Cause.MALFORMED_EVENT, "41 characters"),
        (b'{"a": 0.' + b"1" * 40 + b"}", Cause.MALFORMED_EVENT, "42 characters"),
        (b'{"a": 1e41}', Cause.MALFORMED_EVENT, "exponent"),
        (b"[" * 33, Cause.EVENT_TOO_DEEP, "32 levels"),
        (b'{"a":' * 100_000, Cause.EVENT_TOO_DEEP, "32 levels"),
        (b" " * (1024 * 1024 + 1), Cause.EVENT_TOO_LARGE, "1,048,577 bytes"),
    ],
)
def test_body_that_cannot_be_read_is_refused_with_its_cause(body: bytes, cause: Cause, says: str) -> None:
    problem = refused(body)
    assert problem.cause is cause
    assert says in problem.user_message


def test_body_of_exactly_the_limit_is_read() -> None:
    body = json.dumps(event()).encode()
    assert read(body + b" " * (1024 * 1024 - len(body))).id == "e-1"


def test_byte_order_mark_is_accepted() -> None:
    assert read(b"\xef\xbb\xbf" + json.dumps(event()).encode()).id == "e-1"


def test_brackets_inside_texts_are_no_depth() -> None:
    assert read(event(data={"requested_by": "[{" * 90 + '\\"[['})).id == "e-1"


def test_binary_event_that_is_too_large_still_tells_whose_it_is() -> None:
    headers: dict[str, object] = {f"cloudEvents_{name}": value for name, value in event().items() if name != "data"}
    problem = refused(b" " * (1024 * 1024 + 1), "application/json", headers)
    assert problem.envelope_hint["workspace_id"] == "w-1"


@pytest.mark.parametrize("text", ["\x00", "\ud800", "ok\udfff"])
def test_text_that_no_database_takes_is_refused_where_it_stands(text: str) -> None:
    problem = refused(event("pike.invoice.created", invoice(line={"description": text})))
    assert problem.fields == ("data.invoice.lines[0].description",)


# --- data ----------------------------------------------------------------------------------------------


@pytest.mark.requirement("R3")
def test_created_invoice_is_a_requested_invoice() -> None:
    data = read(event("pike.invoice.created", invoice())).data
    assert isinstance(data, InvoiceCreated)
    assert isinstance(data.invoice, RequestedInvoice)
    assert data.invoice.lines[0].quantity == Decimal("1.50")


@pytest.mark.parametrize(
    ("literal", "exact"), [("0.1", "0.1"), ("1.10", "1.1"), ("12", "12"), ("0.30000000000000004", None)]
)
def test_amounts_as_json_numbers_are_exact_decimals(literal: str, exact: str | None) -> None:
    text = json.dumps(event("pike.invoice.created", invoice(line={"quantity": "@"}))).replace('"@"', literal)
    quantity = read(text.encode()).data.invoice.lines[0].quantity
    assert quantity == Decimal(exact or literal)


@pytest.mark.requirement("F20")
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"line": {"quantity": "many"}},
            'data.invoice.lines[0].quantity: must be a decimal number written as a string such as "1.50"',
        ),
        ({"line": {"unit_price": True}}, "data.invoice.lines[0].unit_price: must be a decimal number"),
        (
            {"line": {"unit_price": "1E-999999999"}},
            "data.invoice.lines[0].unit_price: must have at most 30 decimals",
        ),
        ({"line": {"quantity": "0E-999999999"}}, "data.invoice.lines[0].quantity: must have at most 30 decimals"),
        ({"line": {"quantity": "0E999999999"}}, "data.invoice.lines[0].quantity: must have at most 30 decimals"),
        ({"line": {"unit_price": "1E999999999"}}, "data.invoice.lines[0].unit_price: must be less than 1000000"),
        ({"line": {"unit_price": "NaN"}}, "data.invoice.lines[0].unit_price: must be a decimal number"),
        ({"line": {"id": "7"}}, "data.invoice.lines[0].id: must be a UUID"),
        ({"line": {"finance_account": 0}}, "data.invoice.lines[0].finance_account: must be at least 1"),
        ({"line": {"description": None}}, "data.invoice.lines[0].description: must be a text"),
        ({"lines": []}, "data.invoice.lines: must have at least 1 entry"),
        ({"lines": "x"}, "data.invoice.lines: must be a list"),
        ({"lines": [1]}, "data.invoice.lines[0]: must be an object"),
        ({"issue_date": "2024-05-31T00:00:00Z"}, "data.invoice.issue_date: must be a date written YYYY-MM-DD"),
        ({"issue_date": "2024-02-31"}, "data.invoice.issue_date: must be a date written YYYY-MM-DD"),
        ({"issue_date": 19874}, "data.invoice.issue_date: must be a date written YYYY-MM-DD"),
        ({"currency": "kroner"}, "data.invoice.currency: must be a currency code of three letters"),
    ],
)
def test_data_that_breaks_its_shape_is_explained_by_field(changes: dict[str, Any], says: str) -> None:
    problem = refused(event("pike.invoice.created", invoice(**changes)))
    assert problem.cause is Cause.MALFORMED_EVENT
    assert says in problem.user_message
    assert says.partition(":")[0] in problem.fields
    assert problem.envelope_hint["id"] == "e-1"


def test_wrong_entries_of_a_list_are_not_reported_as_a_short_list() -> None:
    assert "at least" not in refused(event("pike.invoice.created", invoice(line={"id": "7"}))).user_message


def test_values_of_the_body_are_not_repeated_in_the_explanation() -> None:
    problem = refused(event("pike.invoice.created", invoice(line={"quantity": "secret-value"})))
    assert "secret-value" not in f"{problem} {problem!r} {problem.problem!r}"
    assert problem.__cause__ is None
    assert problem.__context__ is None


def test_many_errors_are_summed_up() -> None:
    problem = refused(event("pike.invoice.created", invoice(lines=[{} for _ in range(30)])))
    assert "and 115 more" in problem.user_message
    assert len(problem.fields) <= 50


@pytest.mark.parametrize("data", [None, [], "x", 5])
def test_data_must_be_an_object(data: Any) -> None:
    assert refused(event(data=...) if data is None else event(data=data)).fields == ("data",)


def test_number_of_a_product_or_customer_in_an_event_is_not_trusted() -> None:
    customer = {"id": OTHER, "name": "Hansen", "external_number": "7", "later": 1}
    data = invoice(line={"product_number": "9", "later": 1}) | {"customer": customer}
    created = read(event("pike.invoice.created", data)).data
    assert created.invoice.lines[0].product_number is None
    assert created.customer.external_number is None


def test_inline_customer_must_be_the_invoices_customer() -> None:
    problem = refused(event("pike.invoice.created", invoice() | {"customer": {"id": INVOICE, "name": "Hansen"}}))
    assert "customer_id" in problem.user_message


@pytest.mark.requirement("R28")
@pytest.mark.parametrize(
    ("data", "good"),
    [
        ({"entity": "product", "external_number": "01CF8D2E-A6A6-4"}, True),
        ({"entity": "customer", "external_number": 1007}, True),
        ({"entity": "invoice", "id": INVOICE}, True),
        ({"entity": "invoice"}, False),
        ({"entity": "invoice", "id": INVOICE, "external_number": "7"}, False),
        ({"entity": "customer", "external_number": "abc"}, False),
        ({"entity": "product", "external_number": "x" * 26}, False),
        ({"entity": "bill", "external_number": "1"}, False),
    ],
)
def test_refresh_names_one_record_by_id_or_number(data: dict[str, Any], good: bool) -> None:
    if good:
        assert isinstance(read(event("pike.refresh.requested", data)).data, RefreshRequested)
    else:
        refused(event("pike.refresh.requested", data))


def test_refresh_of_an_invoice_number_means_the_booked_one_unless_said() -> None:
    data = {"entity": "invoice", "external_number": 10027}
    request = read(event("pike.refresh.requested", data)).data
    assert (request.external_number, request.document) == ("10027", "booked")


@pytest.mark.requirement("R9")
@pytest.mark.parametrize("entities", [[], ["bills"], "products", None])
def test_import_of_anything_else_is_refused(entities: Any) -> None:
    refused(event("pike.import.requested", {"entities": entities}))


@pytest.mark.requirement("R9")
def test_entities_of_an_import_are_independent_and_named_once() -> None:
    request = read(event("pike.import.requested", {"entities": ["invoices", "products", "invoices"]})).data
    assert request.entities == ("invoices", "products")
    assert (request.mode, request.dry_run) == ("full", False)


def test_changed_values_keep_amounts_as_texts() -> None:
    body = json.dumps(event("pike.invoice.updated", {"id": INVOICE, "changes": {"price": "@", "n": [1, None]}}))
    data = read(body.replace('"@"', "1.10").encode()).data
    assert data == InvoiceUpdated(id=UUID(INVOICE), changes={"price": "1.10", "n": [1, None]})
