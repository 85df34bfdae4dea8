"""Paging, links, filters and sorting of legacy collections, and keys inside paths."""

from urllib.parse import quote

import pytest

from worker.sandbox.filter_values import BadFilter
from worker.sandbox.filters import Field, parse_filter, parse_sort
from worker.sandbox.keys import decode_key, encode_key

pytestmark = pytest.mark.requirement("B15")


def found(reply, name="customerNumber"):
    assert reply.status == 200, reply.body
    return [item[name] for item in reply.json["collection"]]


async def test_pages_join_to_the_whole_collection_without_overlap(api) -> None:
    numbers, url = [], "/customers?pagesize=7"
    while url:
        doc = (await api.get(url)).json
        numbers += [item["customerNumber"] for item in doc["collection"]]
        url = doc["pagination"].get("nextPage", "").removeprefix(api.sandbox.legacy_url)
    assert numbers == sorted(api.agreement.customers.rows)


async def test_pagination_is_as_recorded(api) -> None:
    doc = (await api.get("/customers?skippages=1&pagesize=15")).json
    base = f"{api.sandbox.legacy_url}/customers"
    assert doc["pagination"] == {
        "maxPageSizeAllowed": 1000,
        "skipPages": 1,
        "pageSize": 15,
        "results": 40,
        "resultsWithoutFilter": 40,
        "firstPage": f"{base}?skippages=0&pagesize=15",
        "nextPage": f"{base}?skippages=2&pagesize=15",
        "previousPage": f"{base}?skippages=0&pagesize=15",
        "lastPage": f"{base}?skippages=2&pagesize=15",
    }
    assert doc["self"] == f"{base}?skippages=1&pagesize=15"
    assert doc["metaData"]["create"]["httpMethod"] == "post"


async def test_default_page_is_twenty_and_past_the_end_is_empty_and_truthful(api) -> None:
    assert len((await api.get("/customers")).json["collection"]) == 20
    doc = (await api.get("/customers?skippages=99")).json
    assert doc["collection"] == []
    assert doc["pagination"]["results"] == 40
    assert "nextPage" not in doc["pagination"]
    last = (await api.get("/customers?skippages=1")).json["pagination"]
    assert ("nextPage" in last, "previousPage" in last) == (False, True)


@pytest.mark.parametrize("wrong", ["0", "1001", "-1", "ten", ""])
async def test_a_page_size_out_of_range_is_e04810(api, wrong) -> None:
    reply = await api.get(f"/customers?pagesize={wrong}")
    assert (reply.status, reply.json["errorCode"]) == (400, "E04810")


async def test_stray_parameters_are_echoed_in_every_link(api) -> None:
    doc = (await api.get("/invoices/booked?pagesize=1&date$lte:2020-01-01")).json
    stray = "?date$lte:2020-01-01="
    assert all(item["self"].endswith(stray) for item in doc["collection"])
    assert doc["collection"][0]["customer"]["self"].endswith(stray)
    clean = (await api.get("/invoices/booked?pagesize=1")).json
    assert "?" not in clean["collection"][0]["self"]


@pytest.mark.parametrize(
    ("text", "keep"),
    [
        ("customerNumber$eq:3", lambda c: c.number == 3),
        ("customerNumber$gt:30", lambda c: c.number > 30),
        ("customerNumber$in:[1,2,3]", lambda c: c.number in (1, 2, 3)),
        ("customerNumber$nin:[1,2,3]", lambda c: c.number not in (1, 2, 3)),
        ("email$eq:$null:", lambda c: c.email is None),
        ("email$ne:$null:", lambda c: c.email is not None),
        ("city$eq:aarhus c", lambda c: c.city == "Aarhus C"),
        ("city$like:hav", lambda c: c.city is not None and "hav" in c.city.lower()),
        ("city$like:køben*", lambda c: c.city is not None and c.city.startswith("Køben")),
        ("name$like:*A/S*", lambda c: "a/s" in c.name.lower()),
        ("barred$eq:true", lambda c: c.barred),
        ("currency$ne:DKK", lambda c: c.currency != "DKK"),
        ("customerGroup.customerGroupNumber$eq:2", lambda c: c.group == 2),
        (
            "currency$eq:DKK$and:(city$eq:Skagen$or:city$eq:Aabenraa)",
            lambda c: c.currency == "DKK" and c.city in ("Skagen", "Aabenraa"),
        ),
        (
            "city$eq:Skagen$or:currency$eq:EUR$and:customerNumber$gt:10",
            lambda c: c.city == "Skagen" or (c.currency == "EUR" and c.number > 10),
        ),
        ("lastUpdated$gte:2026-01-01", lambda c: c.last_updated.year >= 2026),
        ("lastUpdated$lt:2026-01-01T00:00:00.000Z", lambda c: c.last_updated.year < 2026),
    ],
)
async def test_filters_select_what_they_say(api, text, keep) -> None:
    expected = sorted(row.number for row in api.agreement.customers if keep(row))
    doc = await api.get(f"/customers?pagesize=1000&filter={quote(text)}")
    assert found(doc) == expected
    assert expected, "a filter that selects nothing proves nothing"
    assert doc.json["pagination"]["results"] == len(expected)
    assert doc.json["pagination"]["resultsWithoutFilter"] == 40


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("100$$", "100$"),
        ("(a$)", "(a)"),
        ("$(a$)", "(a)"),
        ("a*b", "a*b"),
        ("a$*b", "a*b"),
        ("a,b", "a,b"),
        ("a$,b", "a,b"),
        ("a[b]", "a[b]"),
    ],
)
def test_escapes_of_the_filter_grammar(value, stored) -> None:
    test = parse_filter(f"name$eq:{value}", {"name": Field("name")})
    row = type("Row", (), {"name": stored})()
    assert test(row)
    row.name = stored + "x"
    assert not test(row)


def test_bracket_escapes_are_not_honoured_and_like_brackets_are_a_class() -> None:
    fields = {"name": Field("name")}
    row = type("Row", (), {"name": "a[b]"})()
    assert not parse_filter("name$eq:a$[b$]", fields)(row)
    assert not parse_filter("name$like:a[b]*", fields)(row)
    assert parse_filter("name$like:a[[]b]", fields)(row)
    row.name = "ab"
    assert parse_filter("name$like:a[bc]", fields)(row)


@pytest.mark.parametrize(
    "text",
    [
        "name",
        "name$eq:a$b",
        "(name$eq:a",
        "name$eq:a)",
        "name$foo:a",
        "number$in:1,2",
        "number$in:[" + ",".join("1" * 201) + "]",
        "number$eq:abc",
        "when$gt:yesterday",
        "$and:name$eq:a",
        "",
    ],
)
def test_a_filter_that_cannot_be_read_is_refused(text) -> None:
    fields = {"name": Field("name"), "number": Field("number", "number"), "when": Field("when", "time")}
    with pytest.raises(BadFilter):
        parse_filter(text, fields)


async def test_an_unfilterable_property_is_refused_with_the_allowed_ones(api) -> None:
    reply = await api.get("/customers?filter=bogusProp$eq:1")
    assert reply.status == 400
    assert reply.json["errors"] == ["Filtering is not allowed on property 'bogusProp'."]
    assert "customerGroup.customerGroupNumber" in reply.json["allowedFilteringFields"]
    assert "errorCode" not in reply.json


@pytest.mark.parametrize("text", ["barred$ne:true", "barred$eq:$null:"])
async def test_the_product_filters_that_break_the_live_service_break_here_too(api, text) -> None:
    assert (await api.get(f"/products?filter={text}")).status == 500
    assert (await api.get("/products?filter=barred$eq:true")).status == 200


async def test_invoices_are_found_by_their_reference_marker(api, draft_doc, line) -> None:
    marker = "PIKE-æ(1)-$7"
    await api.post("/invoices/drafts", draft_doc(line(), references={"other": marker}))
    escaped = quote("references.other$eq:PIKE-æ$(1$)-$$7")
    assert len((await api.get(f"/invoices/drafts?filter={escaped}")).json["collection"]) == 1
    assert (await api.get(f"/invoices/booked?filter={escaped}")).json["collection"] == []


async def test_a_marker_is_found_without_case_and_only_while_its_draft_has_it(api, draft_doc, line) -> None:
    number = (await api.post("/invoices/drafts", draft_doc(line(), references={"other": "Æ-1"}))).json[
        "draftInvoiceNumber"
    ]

    async def look(marker):
        return found(await api.get(f"/invoices/drafts?filter=references.other$eq:{marker}"), "draftInvoiceNumber")

    assert await look("æ-1") == [number]
    assert await look("$null:") == [n for n, row in sorted(api.agreement.drafts.rows.items()) if row.other is None]
    await api.put(f"/invoices/drafts/{number}", draft_doc(line(), references={"other": "Æ-2"}))
    assert (await look("Æ-1"), await look("Æ-2")) == ([], [number])
    await api.delete(f"/invoices/drafts/{number}")
    assert await look("Æ-2") == []
    assert api.agreement.find_drafts("Æ-2") == []


@pytest.mark.parametrize("field", ["netAmount", "remainder", "dueDate"])
async def test_amounts_of_invoices_are_not_filterable(api, field) -> None:
    assert (await api.get(f"/invoices/booked?filter={field}$eq:1")).status == 400


async def test_sorting_by_several_properties_and_descending(api) -> None:
    rows = sorted(api.agreement.customers, key=lambda c: (c.currency, -c.number))
    assert found(await api.get("/customers?pagesize=1000&sort=currency,-customerNumber")) == [r.number for r in rows]


def test_a_tilde_sorts_numbers_alphabetically_and_missing_values_come_first() -> None:
    rows = [type("Row", (), {"n": n})() for n in (10, 9, None)]
    ordered = parse_sort("~n", {"n": Field("n", "number")})(rows)
    assert [row.n for row in ordered] == [None, 10, 9]


@pytest.mark.parametrize("sort", ["bogus", "barred", "-lastUpdated2"])
async def test_an_unsortable_property_is_refused(api, sort) -> None:
    reply = await api.get(f"/products?sort={sort}")
    assert (reply.status, reply.json["message"]) == (400, "Could not parse query string sort parameter.")


async def test_a_page_shows_a_change_at_once(api, clock) -> None:
    await api.get("/customers?filter=name$eq:Nyt Navn")
    clock.advance(hours=1)
    api.agreement.change_customer(2, name="Nyt Navn")
    reply = await api.get("/customers?filter=name$eq:Nyt Navn")
    assert found(reply) == [2]
    assert reply.json["collection"][0]["lastUpdated"] == "2026-11-23T13:34:56Z"


def test_the_documented_example_of_a_key_in_a_path() -> None:
    assert encode_key("My Awesome Product_Discount5%") == "My_9_Awesome_9_Product_8_Discount5_3_"


@pytest.mark.parametrize("key", ["A/B 1", "æble.rød", "x:y&z+w", "Ø#1?", "a_9_b", "_", "<>*%\\", "99999"])
def test_every_key_survives_the_path(key) -> None:
    encoded = encode_key(key)
    assert decode_key(encoded) == key
    assert encoded.isascii()
    assert not set(encoded) & set("<>*:&/\\ ?.#+")


async def test_odd_product_numbers_are_reached_by_their_self_link(api) -> None:
    odd = [row.number for row in api.agreement.products if not row.number.isalnum()]
    assert len(odd) >= 5
    for number in odd:
        listed = (await api.get(f"/products?filter={quote('productNumber$eq:' + number)}")).json["collection"]
        path = listed[0]["self"].removeprefix(api.sandbox.legacy_url)
        assert (await api.get(path)).json["productNumber"] == number
