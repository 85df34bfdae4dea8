"""Properties of the codec: no input escapes as anything but ``MalformedEvent``, and nothing changes on the way."""

import json
import string
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import Envelope, InvoiceSynced, InvoiceUpdated
from events.codec import CONTENT_TYPE, MalformedEvent, decode, encode
from events.safe_json import nesting_exceeds, parse
from schemas.invoice import Adjustment, InvoiceStatus

# The machine's load must not decide: no deadline per example, no complaint about slow generation.

plain_text = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30)
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
content_types = st.sampled_from(
    [None, "", CONTENT_TYPE, f"{CONTENT_TYPE}; charset=utf-8", "application/json", "text/plain"]
)
header_names = st.sampled_from(
    [f"cloudEvents_{name}" for name in ("specversion", "id", "source", "type", "workspaceid", "time")] + ["x"]
)
header_values = (
    st.none() | st.text() | st.binary() | st.integers() | st.datetimes() | st.just("1.0") | st.lists(st.none())
)
TYPES = ["pike.invoice.created", "pike.refresh.requested", "pike.import.requested", "pike.product.updated"]


def decodes_or_is_malformed(body: bytes, headers: dict[str, object], content_type: str | None) -> None:
    try:
        envelope = decode(body, headers, content_type)
    except MalformedEvent:
        return
    assert decode(encode(envelope), {}, CONTENT_TYPE) == envelope


@pytest.mark.requirement("F20")
@given(st.binary(max_size=200), st.dictionaries(header_names, header_values, max_size=7), content_types)
def test_random_bytes_raise_nothing_but_malformed_event(
    body: bytes, headers: dict[str, object], content_type: str | None
) -> None:
    decodes_or_is_malformed(body, headers, content_type)


@pytest.mark.requirement("F20")
@given(any_json, st.sampled_from(TYPES), content_types)
def test_random_data_raises_nothing_but_malformed_event(data: Any, event_type: str, content_type: str | None) -> None:
    event = {"specversion": "1.0", "id": "1", "source": "s", "type": event_type, "workspaceid": "w", "data": data}
    decodes_or_is_malformed(json.dumps(event).encode(), {}, content_type)


@pytest.mark.requirement("F20")
@given(
    st.dictionaries(st.sampled_from(["specversion", "id", "source", "type", "workspaceid", "time", "data"]), any_json)
)
def test_random_attributes_raise_nothing_but_malformed_event(event: dict[str, Any]) -> None:
    decodes_or_is_malformed(json.dumps(event).encode(), {}, CONTENT_TYPE)


@given(
    st.text(string.ascii_letters + string.digits + "_.:-", min_size=1, max_size=64),
    st.uuids(),
    st.none() | st.datetimes(timezones=st.just(UTC)),
    st.decimals(-(10**15), 10**15, places=4),
    st.none() | plain_text.filter(str.strip),
)
def test_whatever_is_written_is_read_back_equal(
    workspace: str, key: Any, time: datetime | None, amount: Decimal, subject: str | None
) -> None:
    adjustment = Adjustment(line_id=key, field="net_amount", sent=format(amount, "f"), stored=7)
    data = InvoiceSynced(
        invoice_id=key,
        external_number="1",
        status=InvoiceStatus.DRAFT,
        net=amount,
        vat=amount,
        gross=amount,
        last_synced_at=datetime(2024, 5, 31, 12, 0, tzinfo=UTC),
        adjustments=(adjustment,),
    )
    envelope = Envelope(
        id=str(key), source="/x", type=data.TYPE, time=time, workspace_id=workspace, data=data, subject=subject
    )
    body = encode(envelope)
    assert decode(body, {}, CONTENT_TYPE) == envelope
    assert json.loads(body)["data"]["net"] == format(amount, "f")


@given(
    st.uuids(), st.dictionaries(plain_text, st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
)
def test_changes_of_any_text_survive(key: Any, changes: dict[str, str]) -> None:
    data = InvoiceUpdated(id=key, changes=dict(changes))
    envelope = Envelope(id="1", source="/x", type=data.TYPE, time=None, workspace_id="w", data=data)
    assert decode(encode(envelope), {}, CONTENT_TYPE) == envelope


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max((depth_of(entry) for entry in value.values()), default=0)
    if isinstance(value, list):
        return 1 + max((depth_of(entry) for entry in value), default=0)
    return 0


bracket_text = st.text('[]{}"\\ab', max_size=12)
nested = st.recursive(
    st.none() | bracket_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(bracket_text, inner, max_size=3),
    max_leaves=40,
)


@given(nested, st.integers(0, 6))
def test_depth_scan_agrees_with_the_parser(value: Any, limit: int) -> None:
    assert nesting_exceeds(json.dumps(value), limit) == (depth_of(value) > limit)


@given(st.text('[]{}"\\,:a 1', max_size=60), st.integers(0, 3))
def test_depth_scan_never_lets_a_deeper_text_through(text: str, limit: int) -> None:
    try:
        value = json.loads(text)
    except ValueError:
        nesting_exceeds(text, limit)  # whatever it says, it ends
    else:
        assert nesting_exceeds(text, limit) == (depth_of(value) > limit)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("filler", ['"', '\\"', '"\\', '[{"\\"', "\\" * 3, '""[', '"a\\'])
def test_hostile_texts_are_scanned_in_linear_time(filler: str) -> None:
    text = "[" * 33 + filler * (1_000_000 // len(filler))
    assert nesting_exceeds(text, 32)
    body = ("{" + filler * (1_000_000 // len(filler)))[: 1024 * 1024].encode()
    with pytest.raises(MalformedEvent):
        parse(body)
