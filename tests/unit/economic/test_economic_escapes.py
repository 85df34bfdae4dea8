"""Filter values and keys in paths, read back by decoders written here from the vendor's tables alone."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from worker.economic import filters
from worker.economic.keys import path_key

TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
TRICKY = st.text(alphabet="$()*,[]:_/\\%&?.#+<> æØ1eqandor", min_size=1, max_size=40)

VENDOR_KEYS = ["<", ">", "*", "%", ":", "&", "/", "\\", "_", " ", "?", ".", "#", "+"]
"""In the vendor's order: the position is the number between the underscores."""


def decoded_key(encoded: str) -> str:
    return re.sub(r"_(\d+)_", lambda match: VENDOR_KEYS[int(match[1])], unquote(encoded))


def decoded_value(text: str) -> tuple[str, str]:
    """Read a value up to an operator or closing parenthesis that is not escaped; return it and the rest."""
    value, position = "", 0
    while position < len(text):
        character = text[position]
        if character == "$":
            following = text[position + 1 : position + 2]
            if following not in ("$", "(", ")", "*", ","):
                break
            value += following
            position += 2
            continue
        if character == ")":
            break
        value += character
        position += 1
    return value, text[position:]


@given(TEXT | TRICKY)
@example("My Awesome Product_Discount5%")
@example("_0_")
@example("..")
@example("_")
def test_keys_survive_the_way_through_a_path(key: str) -> None:
    encoded = path_key(key)
    assert decoded_key(encoded) == key
    assert re.fullmatch(r"[A-Za-z0-9_~%-]+", encoded), "nothing in it has a meaning in a path"


def test_the_vendors_own_example_of_a_key() -> None:
    assert path_key("My Awesome Product_Discount5%") == "My_9_Awesome_9_Product_8_Discount5_3_"
    assert path_key(471147) == "471147"
    with pytest.raises(ValueError, match="empty"):
        path_key("")


@given(TEXT | TRICKY)
@example("$null:")
@example("a$and:b$eq:c")
@example("x)$or:(y")
def test_filter_values_survive_and_nothing_of_them_is_syntax(value: str) -> None:
    joined = filters.both(filters.equals("name", value), filters.equals("zip", 1))
    assert joined is not None
    read, rest = decoded_value(joined.removeprefix("name$eq:"))
    assert read == value
    assert rest == "$and:zip$eq:1"


@given(TEXT | TRICKY)
def test_a_substring_is_escaped_and_its_brackets_match_themselves(value: str) -> None:
    read, rest = decoded_value(filters.contains("email", value).removeprefix("email$like:"))
    assert rest == ""
    assert read.replace("[[]", "[") == value
    assert re.sub(r"\[\[\]", "", read).count("[") == 0


def test_brackets_stay_bare_where_values_are_compared_as_a_whole() -> None:
    assert filters.equals("name", "a[1]") == "name$eq:a[1]"


def test_times_are_written_in_utc_and_dates_as_dates() -> None:
    cet = timezone(timedelta(hours=1))
    assert filters.at_least("lastUpdated", datetime(2026, 1, 1, 0, 30, 15, 999, cet)) == (
        "lastUpdated$gte:2025-12-31T23:30:15Z"
    )
    assert filters.at_least("lastUpdated", datetime(2026, 1, 1, tzinfo=UTC)) == "lastUpdated$gte:2026-01-01T00:00:00Z"
    assert filters.at_least("date", date(2026, 1, 2)) == "date$gte:2026-01-02"
    assert filters.at_most("documentId", 9) == "documentId$lte:9"
    assert filters.more_than("documentId", 9) == "documentId$gt:9"


def test_lists_of_numbers_have_brackets_and_a_limit() -> None:
    assert filters.one_of("documentId", [1, 2]) == "documentId$in:[1,2]"
    filters.one_of("documentId", range(200))
    too_few_or_many: list[Sequence[int]] = [[], range(201)]
    for values in too_few_or_many:
        with pytest.raises(ValueError, match="1 to 200"):
            filters.one_of("documentId", values)


def test_expressions_are_joined_only_when_there_are_several() -> None:
    assert filters.both(None, None) is None
    assert filters.both(None, "a$eq:1") == "a$eq:1"
    assert filters.either("a$eq:1", "b$eq:1", "a$eq:1") == "a$eq:1$or:b$eq:1"
    for make in (filters.equals, filters.contains):
        with pytest.raises(ValueError, match="empty"):
            make("name", "")
