"""Pages: every digit kept, one bad record rejected, and nothing taken for whole that is not."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from economic_stub import page
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.customer import EconomicCustomer
from schemas.invoice import EconomicBooked, EconomicDraft, EconomicLine
from schemas.problem import Cause
from schemas.product import EconomicProduct
from worker.economic.bulk import BulkLine
from worker.economic.decoding import decode, needs_care, split_list
from worker.economic.paging import MAX_RAW, Asked, Parsed, parse_cursor, parse_legacy, parse_one
from worker.errors import Refused, Unavailable

EXAMPLES = Path(__file__).parents[2] / "data" / "economic" / "examples"
FIRST = Asked("customers", 0, 1000)
ONE = Asked("customers", 0, 1)


def bytes_of(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()


def customers(document: Any, asked: Asked = FIRST) -> Parsed[EconomicCustomer]:
    body = document if isinstance(document, bytes) else bytes_of(document)
    return parse_legacy(body, EconomicCustomer, lambda c: c.customer_number, asked)


def products_with(*prices: str) -> Parsed[EconomicProduct]:
    """Read products whose prices stand in the page as these very characters."""
    records = ",".join(f'{{"productNumber":"{i}","salesPrice":{price}}}' for i, price in enumerate(prices))
    envelope = json.dumps(page([None] * len(prices)) | {"collection": "RECORDS"})
    body = envelope.replace('"RECORDS"', f"[{records}]").encode()
    return parse_legacy(body, EconomicProduct, lambda p: p.product_number, Asked("products", 0, 1000))


# --- digits --------------------------------------------------------------------------------------------------


@pytest.mark.requirement("B12")
@pytest.mark.parametrize(
    "text",
    ["0.1", "1.380000", "0E-8", "0e0", "-0.00", "100.000000", "2.675", "1e2", "1E+2", "123456789012345.67",
     "1234567890123456.78", "96625.85178128657", "12345678901234567.01",
     "0.12345678901234567", "0.123456789012345678901234567891",
     "999999999999999999", "-999999999999999.999999999999999", "746.123456"],
)  # fmt: skip
def test_amounts_arrive_exactly_as_written(text: str) -> None:
    (product,) = products_with(text).items
    assert product.sales_price == Decimal(text)
    assert parse_one(f'{{"productNumber":"1","salesPrice":{text}}}'.encode(), EconomicProduct, "p").sales_price == (
        Decimal(text)
    )


@given(
    st.lists(
        st.decimals(min_value=-(10**18) + 1, max_value=10**18 - 1, allow_nan=False, allow_infinity=False, places=6)
        | st.decimals(min_value=-(10**6), max_value=10**6, allow_nan=False, allow_infinity=False, places=25)
        | st.integers(-(10**18) + 1, 10**18 - 1).map(Decimal),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from(["f", "E"]),
)
@example([Decimal("0.1") + Decimal("0.2")], "f")
def test_no_amount_loses_a_digit(amounts: list[Decimal], form: str) -> None:
    texts = [f"{amount:f}" if form == "f" else f"{amount:E}" for amount in amounts]
    assert [product.sales_price for product in products_with(*texts).items] == amounts


@given(st.text(alphabet="0123456789.eE-+", min_size=1, max_size=30))
def test_numbers_that_need_no_care_survive_a_binary_float(text: str) -> None:
    try:
        exact = json.loads(text, parse_float=Decimal)
    except ValueError:
        return
    if isinstance(exact, Decimal) and abs(exact.adjusted()) < 300 and not needs_care(text.encode()):
        assert Decimal(repr(float(text))) == exact


@pytest.mark.parametrize("text", ["1e400", "1e999999999", "1e-999999999", "1" * 5000, "1e99999999999999999999", "NaN"])
@pytest.mark.parametrize("other", ["1", "0.12345678901234567"])
def test_a_number_that_no_amount_can_be_rejects_its_record_only(text: str, other: str) -> None:
    if text == "1e-999999999" and other == "1":
        assert products_with(text, other).items[0].sales_price == 0
        return
    parsed = products_with(text, other)
    assert [product.sales_price for product in parsed.items] == [Decimal(other)]
    assert [reject.external_number for reject in parsed.rejects] == ["0"]


def test_a_number_too_large_to_be_a_key_is_rejected_without_being_written_out() -> None:
    body = json.dumps(page([None]) | {"collection": "R"}).replace('"R"', '[{"customerNumber": 1e999999999}]')
    assert [reject.external_number for reject in customers(body.encode()).rejects] == [None]


# --- bad records ---------------------------------------------------------------------------------------------


def test_one_bad_record_becomes_a_reject_and_the_page_goes_on() -> None:
    bad = {"customerNumber": 2, "name": "Bad", "lastUpdated": "yesterday", "address": "Ø" * 20_000}
    parsed = customers(page([{"customerNumber": 1}, bad, {"customerNumber": 3}]))
    assert [customer.customer_number for customer in parsed.items] == [1, 3]
    (reject,) = parsed.rejects
    assert reject.external_number == "2"
    assert reject.reason.startswith("lastUpdated: ")
    assert "yesterday" not in reject.reason
    assert "pydantic" not in reject.reason
    assert reject.raw.startswith('{"customerNumber": 2, "name": "Bad"')
    assert len(reject.raw) == MAX_RAW
    assert parsed.count == 3


def test_a_reject_keeps_the_record_as_it_was_sent() -> None:
    raw = '{"customerNumber":"x",  "balance": 1.380000,\t"name":"\\u00d8rsted"}'
    body = json.dumps(page([None]) | {"collection": "R"}).replace('"R"', f"[ {raw} ]")
    (reject,) = customers(body.encode()).rejects
    assert reject.raw == raw
    assert reject.external_number == "x"


@pytest.mark.parametrize("record", [None, 7, "text", [], {}, {"customerNumber": None}])
def test_a_record_that_is_none_is_rejected_without_a_number(record: Any) -> None:
    parsed = customers(page([record, {"customerNumber": 2}]))
    assert [reject.external_number for reject in parsed.rejects] == [None]
    assert [customer.customer_number for customer in parsed.items] == [2]


def test_exact_digits_survive_beside_a_bad_record() -> None:
    parsed = products_with('"x"', "1234567890123456.78", "0.1")
    assert [product.sales_price for product in parsed.items] == [Decimal("1234567890123456.78"), Decimal("0.1")]


def test_a_record_listed_twice_counts_once_with_its_later_state() -> None:
    parsed = customers(page([{"customerNumber": 1, "name": "old"}, {"customerNumber": 1, "name": "new"}]))
    assert [customer.name for customer in parsed.items] == ["new"]
    assert parsed.count == 2


def test_many_faults_in_one_record_are_summed_up() -> None:
    bad: dict[str, Any] = {name: [] for name in ("name", "email", "address", "zip", "city", "country")} | {
        "customerNumber": 1
    }
    (reject,) = customers(page([bad])).rejects
    assert reject.reason.endswith("and 1 more")


@pytest.mark.parametrize("other", ["1", "0.12345678901234567"])
def test_half_a_character_rejects_its_record_unless_nobody_reads_it(other: str) -> None:
    records = (
        '{"customerNumber":1,"address":"halv\\ud800"},{"customerNumber":2,"address":"hel\\ud83d\\ude00","x":'
        f'{other}}},{{"customerNumber":3,"website":"\\uDFFF","x":{other}}}'
    )
    body = json.dumps(page([None] * 3) | {"collection": "R"}).replace('"R"', f"[{records}]").encode()
    parsed = customers(body)
    assert [(c.customer_number, c.address) for c in parsed.items] == [(2, "hel\U0001f600"), (3, None)]
    (reject,) = parsed.rejects
    assert reject.external_number == "1"
    assert reject.reason.startswith("address: ")
    assert "halv\\ud800" in reject.raw
    reject.raw.encode()
    one = json.dumps({"customerNumber": 3, "website": "\udfff", "x": 1}).encode()
    assert parse_one(one, EconomicCustomer, "customer 3").customer_number == 3
    with pytest.raises(Refused) as caught:
        parse_one(json.dumps({"customerNumber": 3, "name": "\udfff", "x": 1}).encode(), EconomicCustomer, "customer 3")
    assert caught.value.problem.fields == ["name"]


def test_a_broken_number_is_shown_with_a_mark() -> None:
    parsed = parse_legacy(
        bytes_of(page([None])).replace(b"null", b'{"productNumber":"a\\ud800"}'),
        EconomicProduct,
        lambda p: p.product_number,
        FIRST,
    )
    assert [reject.external_number for reject in parsed.rejects] == ["a?"]


# --- pages that are not what was asked for ------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [b"", b"<html></html>", b"[]", b"null", b"{}", b'{"collection": {}}', b'{"collection": [{"customerNumber": 1}',
     b'{"collection": []} trailing', b'{"collection": [],}', b'{"collection": [1,]}', b'\xff\xfe{"collection": []}',
     b'{"collection": [], "pagination": {"results": "many"}}', b'{"collection": [], "pagination": []}',
     b'{"collection": ' + b"[" * 100_000, b"{'collection': []}", b'{"items": []}'],
)  # fmt: skip
def test_what_is_no_page_is_unavailable(body: bytes) -> None:
    with pytest.raises(Unavailable, match="customers"):
        customers(body)


@pytest.mark.parametrize(
    ("document", "asked"),
    [
        pytest.param(page([{"customerNumber": 1}], results=2), FIRST, id="fewer than announced"),
        pytest.param(page([], results=1), FIRST, id="none of one"),
        pytest.param(page([{"customerNumber": 1}], results=0), FIRST, id="more than announced"),
        pytest.param(page([{"customerNumber": 1}], results=2, size=1, nextPage=None), ONE, id="no next page"),
        pytest.param(page([{"customerNumber": 1}], nextPage="https://x/"), FIRST, id="a next page after the last"),
        pytest.param(page([{"customerNumber": 1}], pageSize=1001), FIRST, id="larger pages than asked for"),
        pytest.param(page([{"customerNumber": 1}], pageSize=0), FIRST, id="pages of nothing"),
        pytest.param(page([{"customerNumber": 1}], skipPages=3), FIRST, id="another page"),
        pytest.param(page([{"customerNumber": 1}], results=-1), FIRST, id="a negative total"),
    ],
)  # fmt: skip
def test_a_page_that_contradicts_itself_is_unavailable(document: dict[str, Any], asked: Asked) -> None:
    with pytest.raises(Unavailable, match="customers"):
        customers(document, asked)


SWEPT = Asked("customers", 0, 1000, whole=False)


@pytest.mark.requirement("R11")
@pytest.mark.parametrize(("results", "link", "more"), [(9, None, False), (0, None, False), (1, "https://x/", True)])
def test_a_sweep_takes_a_page_as_it_is_and_reports_the_total_it_was_told(results: int, link: Any, more: bool) -> None:
    parsed = customers(page([{"customerNumber": 1}], results=results, nextPage=link), SWEPT)
    assert (len(parsed.items), parsed.count, parsed.total, parsed.more) == (1, 1, results, more)


@pytest.mark.parametrize("changes", [{"nextPage": "https://x/"}, {"pageSize": 1001}, {"skipPages": 1}, {"pageSize": 0}])
def test_a_sweep_that_would_not_end_or_is_elsewhere_is_unavailable(changes: dict[str, Any]) -> None:
    with pytest.raises(Unavailable):
        customers(page([], results=5, **changes), SWEPT)


def test_a_sweep_that_is_past_the_end_and_still_announces_more_is_unavailable() -> None:
    document = page([{"customerNumber": 1}], number=2, size=1, results=2, nextPage="https://x/")
    with pytest.raises(Unavailable, match="yet more are announced"):
        customers(document, Asked("customers", 2, 1, whole=False))


def test_pages_may_be_smaller_than_asked_for() -> None:
    smaller = page([{"customerNumber": 1}], size=1, results=2)
    assert customers(smaller).more
    assert customers(page([{"customerNumber": 2}], number=1, size=1, results=2), Asked("customers", 1, 1000)).count == 1


def test_a_page_past_the_end_is_empty_and_last() -> None:
    parsed = customers(page([], number=3, results=500), Asked("customers", 3, 1000))
    assert (parsed.items, parsed.more, parsed.total) == ((), False, 500)


def test_the_end_of_a_list_is_told_by_its_total() -> None:
    assert customers(page([{"customerNumber": 1}], size=1, results=2), ONE).more
    assert not customers(page([{"customerNumber": 1}], size=1), ONE).more


def test_cursor_pages_end_where_the_cursor_is_absent() -> None:
    def parse(document: Any) -> Parsed[BulkLine]:
        return parse_cursor(bytes_of(document), BulkLine, id, "lines")

    assert parse({"items": [{"number": 1}, {"number": 1}], "cursor": 17}).cursor == "17"
    assert parse({"items": [{"number": 1}], "cursor": "a"}).more
    for end in ({}, {"cursor": None}, {"cursor": ""}):
        assert not parse({"items": []} | end).more
    bad = parse({"items": [{"number": "x", "documentId": 5}], "cursor": "b"})
    assert (bad.rejects[0].external_number, bad.cursor) == ("5", "b")
    with pytest.raises(Unavailable):
        parse({"items": [], "cursor": {}})


# --- single documents ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'{"customerNumber": 1', b'"text"', b"\xff"])
def test_a_document_that_is_none_is_unavailable(body: bytes) -> None:
    with pytest.raises(Unavailable):
        parse_one(body, EconomicCustomer, "customer 1")


def test_a_document_with_a_bad_field_is_refused_and_names_the_field() -> None:
    with pytest.raises(Refused) as caught:
        parse_one(b'{"customerNumber": 1, "lastUpdated": "secret"}', EconomicCustomer, "customer 1")
    assert caught.value.problem.cause is Cause.INVALID_RECORD
    assert caught.value.problem.fields == ["lastUpdated"]
    assert "secret" not in str(caught.value)


@pytest.mark.requirement("R21")
@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("customers.number.get.json", EconomicCustomer),
        ("customers.post.response.json", EconomicCustomer),
        ("products.number.get.json", EconomicProduct),
        ("invoices.drafts.number.get.json", EconomicDraft),
        ("invoices.drafts.post.response-lines.json", EconomicDraft),
        ("invoices.drafts.post.response-nolines.json", EconomicDraft),
        ("invoices.booked.number.get-bookWithNumber.json", EconomicBooked),
        ("invoices.booked.post.response.json", EconomicBooked),
        ("invoices.booked.post.ean.response.json", EconomicBooked),
    ],
)
def test_recorded_documents_are_read(name: str, model: Any) -> None:
    body = (EXAMPLES / name).read_bytes()
    document = parse_one(body, model, name)
    raw = json.loads(body, parse_float=Decimal)
    if isinstance(document, EconomicDraft | EconomicBooked):
        assert (document.net_amount, document.gross_amount) == (raw["netAmount"], raw["grossAmount"])
        assert [_facts(line) for line in document.lines or ()] == [
            (line["lineNumber"], line.get("totalNetAmount"), line.get("vatRate")) for line in raw.get("lines", ())
        ]


def _facts(line: EconomicLine) -> tuple[Any, ...]:
    return (line.line_number, line.total_net_amount, line.vat_rate)


# --- reading by hand -----------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=10,
)


@given(
    st.lists(VALUES, max_size=4), st.dictionaries(st.text(max_size=4), VALUES, max_size=3), st.sampled_from([None, 2])
)
def test_splitting_a_list_gives_what_a_json_reader_gives(
    records: list[Any], others: dict[str, Any], indent: Any
) -> None:
    others.pop("list", None)
    for document in ({"list": records, **others}, {**others, "list": records}):
        body = json.dumps(document, indent=indent).encode()
        found, rest = split_list(body, "list")
        assert [record for record, _ in found] == records
        assert [json.loads(raw) for _, raw in found] == records
        assert rest == others
        assert decode(body) == document


@given(st.binary(max_size=30) | st.text(alphabet='{}[]":,list 1', max_size=30).map(str.encode))
def test_splitting_anything_else_raises_value_error_only(body: bytes) -> None:
    try:
        split_list(body, "list")
    except ValueError:
        return
    assert "list" in json.loads(body)
