"""The catalogue: complete, consistent, one stored sample per type, one answer per failed request."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import ValidationError

import events
from events import CONSUMED, EMITTED, EVENTS, INTERNAL, Incoming, Outgoing, failed_event, failure_of
from events.codec import CONTENT_TYPE, decode, encode
from schemas.problem import Cause, Problem

SAMPLES = Path(events.__file__).parent / "examples"
PROBLEM = Problem(cause=Cause.NOT_FOUND, user_message="Gone.", remedy="Look.")

READ_BY_CONTRACT = {
    "pike.import.requested",
    "pike.import.cancel_requested",
    "pike.refresh.requested",
    "pike.invoice.created",
    "pike.invoice.updated",
    "pike.product.updated",
    "pike.disconnect.requested",
}
EMITTED_BY_CONTRACT = {
    *(f"economic.connection.{what}" for what in ("established", "revoked", "closed")),
    *(f"economic.import.{what}" for what in ("started", "progressed", "previewed", "completed", "failed", "cancelled")),
    "economic.records.changed",
    *(f"economic.refresh.{what}" for what in ("completed", "failed")),
    *(f"economic.invoice.{what}" for what in ("synced", "sync_failed", "outcome_unknown", "changed")),
    "economic.change.refused",
}


def sample(event_type: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((SAMPLES / f"{event_type}.json").read_text(encoding="utf-8"))
    return content


def test_types_read_are_those_of_the_contract() -> None:
    assert CONSUMED - INTERNAL == READ_BY_CONTRACT


def test_types_emitted_are_those_of_the_contract() -> None:
    assert EMITTED == EMITTED_BY_CONTRACT


@pytest.mark.requirement("R5")
def test_no_bill_event_is_read() -> None:
    assert not [name for name in EVENTS if "bill" in name]


def test_every_event_class_is_listed_under_its_own_type() -> None:
    classes = {
        entry
        for entry in vars(events).values()
        if isinstance(entry, type) and issubclass(entry, Incoming | Outgoing) and entry not in (Incoming, Outgoing)
    }
    assert classes == set(EVENTS.values())
    assert all(name == shape.TYPE for name, shape in EVENTS.items())
    assert set(EVENTS) == CONSUMED | EMITTED
    assert not CONSUMED & EMITTED


def test_stored_samples_are_exactly_the_catalogue() -> None:
    assert {path.stem for path in SAMPLES.glob("*.json")} == set(EVENTS)


@pytest.mark.parametrize("event_type", sorted(EVENTS))
def test_sample_decodes_and_is_the_same_after_encoding(event_type: str) -> None:
    body = (SAMPLES / f"{event_type}.json").read_bytes()
    envelope = decode(body, {}, CONTENT_TYPE)
    assert isinstance(envelope.data, EVENTS[event_type])
    assert decode(encode(envelope), {}, CONTENT_TYPE) == envelope


@pytest.mark.parametrize("event_type", sorted(EMITTED))
def test_emitted_sample_is_byte_for_byte_what_is_written(event_type: str) -> None:
    written = json.loads(encode(decode(json.dumps(sample(event_type)).encode(), {}, CONTENT_TYPE)))
    assert written == sample(event_type)


@pytest.mark.parametrize("event_type", sorted(EVENTS))
def test_readers_ignore_unknown_fields_and_writers_refuse_them(event_type: str) -> None:
    shape = EVENTS[event_type]
    data = sample(event_type)["data"] | {"added_next_year": 1}
    if issubclass(shape, Incoming):
        assert "added_next_year" not in shape.model_validate(data).model_dump()
    else:
        with pytest.raises(ValidationError, match="added_next_year"):
            shape.model_validate(data)


@pytest.mark.parametrize("event_type", sorted(CONSUMED))
def test_failed_request_is_answered_with_the_event_of_the_table(event_type: str) -> None:
    shape = EVENTS[event_type]
    data = shape.model_validate(sample(event_type)["data"])
    answer = failed_event(shape, "e-1", data, PROBLEM)
    expected = failure_of.get(shape)
    assert (None if answer is None else type(answer)) == expected
    assert answer is None or answer.model_dump()["problem"] == PROBLEM.model_dump()
    assert expected is None or expected.TYPE in EMITTED


def test_every_request_of_pike_has_a_failed_event() -> None:
    answered = {shape.TYPE for shape in failure_of}
    assert answered - INTERNAL == CONSUMED - INTERNAL
    assert answered & INTERNAL == {"pike-economic.import.continue"}


@pytest.mark.requirement("F20")
def test_unreadable_import_is_answered_under_its_event_id_and_unreadable_slice_not_at_all() -> None:
    answer = failed_event(events.ImportRequested, "e-1", None, PROBLEM)
    assert answer == events.ImportFailed(import_id="e-1", problem=PROBLEM)
    assert failed_event(events.ImportContinue, "e-1", None, PROBLEM) is None


@pytest.mark.requirement("F20")
@pytest.mark.parametrize("event_type", sorted(READ_BY_CONTRACT))
def test_unreadable_request_of_pike_still_gets_an_answer(event_type: str) -> None:
    assert failed_event(EVENTS[event_type], "e-1", None, PROBLEM) is not None


def test_failed_answers_say_what_they_are_about() -> None:
    invoice = uuid4()
    data = events.InvoiceUpdated(id=invoice, changes={"title": "x", "due_date": None})
    answer = failed_event(events.InvoiceUpdated, "e-1", data, PROBLEM)
    assert answer == events.ChangeRefused(
        entity="invoice", id=str(invoice), fields=("title", "due_date"), problem=PROBLEM
    )


def test_at_most_a_thousand_ids_are_announced_at_once() -> None:
    ids = tuple(uuid4() for _ in range(1001))
    assert len(events.RecordsChanged(entity="invoice", ids=ids[:1000]).ids) == 1000
    with pytest.raises(ValidationError):
        events.RecordsChanged(entity="invoice", ids=ids)
