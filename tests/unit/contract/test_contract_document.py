"""The generated contract: current, valid, and true of what the codec reads and writes."""

import json
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator, Draft202012Validator

from events import EVENTS, INTERNAL, answers, codec, failure_of
from events.contract import __main__ as command
from events.contract.document import document
from events.contract.schemas import ANSWERS, PUBLIC, REQUESTS, event_schema, example

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy" / "contract"
ASYNCAPI = json.loads((FOLDER / "vendor" / "asyncapi-3.0.0.schema.json").read_text(encoding="utf-8"))


def validator(event_type: str) -> Draft202012Validator:
    return Draft202012Validator(event_schema(event_type), format_checker=Draft202012Validator.FORMAT_CHECKER)


def decoded(event: Any) -> Any:
    return codec.decode(json.dumps(event).encode(), {}, codec.CONTENT_TYPE)


@pytest.mark.requirement("B18")
def test_checked_in_files_are_current_valid_and_compatible() -> None:
    assert command.check(FOLDER) == []


@pytest.mark.requirement("B18")
def test_document_is_valid_asyncapi_and_the_validator_can_say_no() -> None:
    Draft7Validator(ASYNCAPI).validate(document())
    spoilt = document()
    spoilt["operations"]["send.economic.invoice.synced"]["action"] = "shout"
    assert not Draft7Validator(ASYNCAPI).is_valid(spoilt)


def test_every_public_type_has_channel_operation_message_and_example() -> None:
    made = document()
    assert set(PUBLIC) == set(EVENTS) - INTERNAL
    assert set(made["channels"]) == {*PUBLIC, "answers"}
    assert set(made["operations"]) == {f"receive.{event}" for event in REQUESTS} | {
        f"send.{event}" for event in ANSWERS
    }
    assert {message["name"] for message in made["components"]["messages"].values()} == set(PUBLIC)


def test_every_reference_of_the_document_leads_somewhere() -> None:
    made = document()

    def follow(value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                target = made
                for part in value["$ref"].removeprefix("#/").split("/"):
                    target = target[part]
            for entry in value.values():
                follow(entry)
        elif isinstance(value, list):
            for entry in value:
                follow(entry)

    follow(made)


def test_answers_name_every_request_and_contain_its_failure() -> None:
    assert {request.TYPE for request in answers.ANSWERS} == set(REQUESTS)
    assert all(failure_of[request] in ends for request, ends in answers.ANSWERS.items())


@pytest.mark.requirement("B18")
@pytest.mark.parametrize("event_type", PUBLIC)
def test_example_satisfies_its_schema_and_decodes(event_type: str) -> None:
    schema = event_schema(event_type)
    Draft202012Validator.check_schema(schema)
    validator(event_type).validate(example(event_type))
    assert decoded(example(event_type)).type == event_type


@pytest.mark.parametrize("event_type", ANSWERS)
def test_what_the_codec_writes_satisfies_the_schema(event_type: str) -> None:
    written = json.loads(codec.encode(decoded(example(event_type))))
    validator(event_type).validate(written)
    assert set(written["data"]) == set(_data_schema(event_type)["required"])


@pytest.mark.parametrize("event_type", PUBLIC)
def test_field_that_a_later_version_adds_is_no_violation(event_type: str) -> None:
    event = example(event_type)
    validator(event_type).validate(event | {"data": event["data"] | {"added_next_year": 1}})


@pytest.mark.parametrize("event_type", REQUESTS)
def test_schema_and_codec_agree_on_what_a_request_must_have(event_type: str) -> None:
    event = example(event_type)
    for name in _data_schema(event_type).get("properties", {}):
        shorter = event | {"data": {key: value for key, value in event["data"].items() if key != name}}
        valid = validator(event_type).is_valid(shorter)
        try:
            decoded(shorter)
        except codec.MalformedEvent:
            accepted = False
        else:
            accepted = True
        assert valid == accepted or (event_type, name) in _SAID_IN_WORDS, name


_SAID_IN_WORDS = {("pike.refresh.requested", "id"), ("pike.refresh.requested", "external_number")}
"""Either of the two: a rule between fields, which the schema tells in its description only."""


@given(st.from_regex(r"-?[0-9]{1,18}(\.[0-9]{1,30})?", fullmatch=True))
def test_any_amount_of_the_schema_is_read_exactly_as_written(amount: str) -> None:
    event = example("pike.invoice.created")
    event["data"]["invoice"]["lines"][0]["quantity"] = amount
    assert validator("pike.invoice.created").is_valid(event) == amount.isascii()
    if amount.isascii():
        assert decoded(event).data.invoice.lines[0].quantity == Decimal(amount)


def test_stale_missing_and_left_over_files_are_named(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "contract")
    folder = tmp_path / "contract"
    (folder / "asyncapi.json").write_text("{}", encoding="utf-8")
    (folder / "schemas" / "pike.import.requested.schema.json").unlink()
    (folder / "schemas" / "pike.bill.created.schema.json").write_text("{}", encoding="utf-8")
    found = command.check(folder)
    assert [line.split(" ")[0].removeprefix(f"{folder}/") for line in found] == [
        "asyncapi.json",
        "schemas/pike.import.requested.schema.json",
        "schemas/pike.bill.created.schema.json",
    ]
    assert all("make contract" in line for line in found)
    assert command.main(["--folder", str(folder)]) == 0
    assert command.main(["--folder", str(folder), "--check"]) == 0


def test_planted_break_fails_the_check_with_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(FOLDER, tmp_path / "contract")
    released = tmp_path / "contract" / "released.asyncapi.json"
    promised = json.loads(released.read_text(encoding="utf-8"))
    promised["components"]["schemas"]["InvoiceSynced"]["properties"]["pdf_url"] = {"type": "string"}
    released.write_text(json.dumps(promised), encoding="utf-8")
    assert command.main(["--folder", str(tmp_path / "contract"), "--check"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        (
            "economic.invoice.synced, data.pdf_url: the field is gone or has another name, and readers rely on it. "
            "Keep the old form and add to it, or publish the change as an event of a new type."
        )
    ]


def _data_schema(event_type: str) -> dict[str, Any]:
    schema = event_schema(event_type)
    found: dict[str, Any] = schema["$defs"][schema["properties"]["data"]["$ref"].rpartition("/")[2]]
    return found
