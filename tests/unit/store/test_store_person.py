"""A person is taken out of texts however they are spelled, and nothing else is."""

import json

import pytest

from worker.store.personal.person import ERASED, Person

ID = "0b0f0d5e-1111-4222-8333-444455556666"
PERSON = Person.of(
    ID,
    [
        {
            "name": 'Bo "Bobo" Ærø',
            "primary_contact_email": "bo@x.example; Konto@x.example",
            "address": "Gade 7\nst. tv.",
        },
        {"name": "Bo", "primary_contact_first_name": "Bo", "zip": "8000", "vat_number": "DK12345678"},
    ],
)


@pytest.mark.parametrize(
    "text",
    [
        "til BO@X.example",
        "konto@x.example",
        "DK12345678",
        "Gade 7",
        "linje\\nGade 7",
        'Bo "Bobo" Ærø',
        'Bo \\"Bobo\\" \\u00c6r\\u00f8',
    ],
)
def test_every_spelling_is_found_and_taken_out(text: str) -> None:
    assert PERSON.named_in(f"x {text} y")
    scrubbed = PERSON.scrub_text(f"x {text} y")
    assert ERASED in scrubbed
    assert not PERSON.named_in(scrubbed)


@pytest.mark.parametrize("text", ["Bo er ude", "8000 Aarhus", "Bogade 70", "bo@x.exampel", ""])
def test_what_only_looks_like_it_is_left(text: str) -> None:
    assert not PERSON.named_in(text)
    assert PERSON.scrub({"a": [text, 1, None, True]}) == {"a": [text, 1, None, True]}


def test_a_record_with_the_persons_id_is_blanked_but_for_the_id() -> None:
    event = {"data": {"customer": {"id": ID.upper(), "zip": "8000", "n": 3}, "total": "10.00"}}
    assert PERSON.scrub(event) == {"data": {"customer": {"id": ID.upper(), "zip": ERASED, "n": None}, "total": "10.00"}}


def test_a_body_is_scrubbed_whatever_it_is() -> None:
    body = json.dumps({"a": 'Bo "Bobo" Ærø', "customer": {"id": ID, "city": "Byen"}, "amount": "1.50"}).encode()
    scrubbed = json.loads(PERSON.scrub_body(body))
    assert scrubbed == {"a": ERASED, "customer": {"id": ID, "city": ERASED}, "amount": "1.50"}
    assert PERSON.scrub_body(b"\xff not json, bo@x.example") == b"\xff not json, " + ERASED.encode()
    untouched = b'{"a" :1.10}'
    assert PERSON.scrub_body(untouched) == untouched


def test_somebody_without_a_word_of_their_own_is_known_by_the_id_only() -> None:
    nobody = Person.of(ID, [{"name": "Bo"}])
    assert nobody.needles == [ID]
    assert nobody.scrub_text("Bo bor her") == "Bo bor her"
