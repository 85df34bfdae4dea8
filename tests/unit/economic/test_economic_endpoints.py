"""The calls in business words: which request each makes, and what it does with the answer."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import structlog
from economic_stub import Seen, Step, Stub, answer, page

from schemas.problem import Cause
from worker.economic.endpoints import EconomicApi
from worker.economic.listing import PRODUCTS
from worker.errors import OutcomeUnknown, Refused, Unavailable

EXAMPLES = Path(__file__).parents[2] / "data" / "economic" / "examples"
SINCE = datetime(2026, 11, 1, 10, 0, tzinfo=UTC)


def booked(*numbers: int) -> list[dict[str, Any]]:
    return [
        {"bookedInvoiceNumber": number, "date": "2026-11-20", "currency": "DKK", "netAmount": 10.00,
         "grossAmount": 12.50, "vatAmount": 2.50, "references": {"other": f"ref-{number}"}}
        for number in numbers
    ]  # fmt: skip


def line(document: int, number: int | None, shown: int | None = None, **more: Any) -> dict[str, Any]:
    record = {"documentId": document, "number": number, "userInterfaceNumber": shown, "totalNetAmount": 1.50, **more}
    return {name: value for name, value in record.items() if value is not None}


def served_by_offset(records: list[dict[str, Any]]) -> Callable[[Seen], Step]:
    """Return a server that pages through records as the legacy API does."""

    def serve(seen: Seen) -> Step:
        size, skip = int(seen.query["pagesize"]), int(seen.query["skippages"])
        return answer(page(records[skip * size : (skip + 1) * size], number=skip, size=size, results=len(records)))

    return serve


# --- sweeps by offset ------------------------------------------------------------------------------------------


@pytest.mark.requirement("R9", "B6")
@pytest.mark.parametrize(
    ("name", "path", "sort"),
    [
        ("customer_pages", "/legacy/customers", "customerNumber"),
        ("product_pages", "/legacy/products", "productNumber"),
        ("draft_pages", "/legacy/invoices/drafts", "draftInvoiceNumber"),
    ],
)
async def test_sweeps_are_sorted_by_number_and_resume_at_a_page(
    stub: Stub, api: EconomicApi, clock: Any, name: str, path: str, sort: str
) -> None:
    records = [
        {"customerNumber": n, "productNumber": str(n), "draftInvoiceNumber": n, "bookedInvoiceNumber": n,
         "date": "2026-11-20", "currency": "DKK", "netAmount": 0, "grossAmount": 0, "vatAmount": 0}
        for n in range(1, 6)
    ]  # fmt: skip
    stub.always = served_by_offset(records)
    pages = [found async for found in getattr(api, name)(start_page=1, page_size=2)]
    assert [(found.number, len(found.items), found.is_last, found.total) for found in pages] == [
        (1, 2, False, 5),
        (2, 1, True, 5),
    ]
    assert [(seen.path, seen.query) for seen in stub.seen] == [
        (path, {"pagesize": "2", "skippages": "1", "sort": sort}),
        (path, {"pagesize": "2", "skippages": "2", "sort": sort}),
    ]


@pytest.mark.requirement("B10")
@pytest.mark.parametrize("name", ["customer_pages", "product_pages", "draft_pages"])
async def test_changes_are_asked_for_with_an_encoded_filter(stub: Stub, api: EconomicApi, name: str) -> None:
    stub.always = served_by_offset([])
    _ = [found async for found in getattr(api, name)(changed_since=SINCE)]
    (seen,) = stub.seen
    assert "filter=lastUpdated%24gte%3A2026-11-01T10%3A00%3A00Z" in seen.target
    assert seen.query["pagesize"] == "1000"


async def test_a_page_is_as_old_as_the_moment_before_its_request(stub: Stub, api: EconomicApi, clock: Any) -> None:
    before = clock.now()

    def serve(seen: Seen) -> Step:
        clock.at += 60  # the answer takes a minute, in which the record may change again
        return served_by_offset([{"customerNumber": 1}, {"customerNumber": 2}])(seen)

    stub.always = serve
    pages = [found async for found in api.customer_pages(page_size=1)]
    assert [found.fetched_at for found in pages] == [before, before + timedelta(seconds=60)]


@pytest.mark.requirement("R11")
async def test_a_sweep_that_does_not_say_how_much_there_is_ends_at_once(stub: Stub, api: EconomicApi) -> None:
    stub.script = [answer({"collection": [{"productNumber": "1"}]})]
    with pytest.raises(Unavailable, match="how many"):
        _ = [found async for found in api.product_pages()]


# --- booked invoices by key ----------------------------------------------------------------------------------------


def served_by_key(numbers: list[int]) -> Callable[[Seen], Step]:
    """Return a server that filters booked invoices by number and books one more between two pages."""

    def serve(seen: Seen) -> Step:
        after = int(seen.query.get("filter", "$gt:0").rpartition("$gt:")[2])
        size = int(seen.query["pagesize"])
        left = [number for number in numbers if number > after]
        if len(numbers) < 6:
            numbers.append(max(numbers) + 1)
        return answer(page(booked(*left[:size]), size=size, results=len(left)))

    return serve


@pytest.mark.requirement("R21", "B6")
async def test_booked_invoices_are_swept_by_number_so_that_nothing_shifts(stub: Stub, api: EconomicApi) -> None:
    stub.always = served_by_key([1, 2, 4, 5])
    pages = [found async for found in api.booked_pages(page_size=2)]
    assert [number for found in pages for number in (i.number for i in found.items)] == [1, 2, 4, 5, 6, 7]
    assert [found.number for found in pages] == [0, 1, 2]
    assert [seen.query.get("filter") for seen in stub.seen] == [
        None,
        "bookedInvoiceNumber$gt:2",
        "bookedInvoiceNumber$gt:5",
    ]
    assert {seen.query["sort"] for seen in stub.seen} == {"bookedInvoiceNumber"}
    assert {seen.query["skippages"] for seen in stub.seen} == {"0"}


async def test_booked_invoices_resume_after_a_number_and_from_a_date(stub: Stub, api: EconomicApi) -> None:
    stub.script = [answer(page(booked(9)))]
    _ = [found async for found in api.booked_pages(after_number=8, date_from=date(2026, 1, 1))]
    assert stub.seen[0].query["filter"] == "bookedInvoiceNumber$gt:8$and:date$gte:2026-01-01"


async def test_a_sweep_by_key_gets_past_a_page_that_ends_in_a_bad_record(stub: Stub, api: EconomicApi) -> None:
    bad = booked(2)[0] | {"date": "never"}
    stub.script = [answer(page([*booked(1), bad], size=2, results=3)), answer(page(booked(3), size=2))]
    pages = [found async for found in api.booked_pages(page_size=2)]
    assert [[reject.external_number for reject in found.rejects] for found in pages] == [["2"], []]
    assert stub.seen[1].query["filter"] == "bookedInvoiceNumber$gt:2"


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(page(booked(3, 4), size=2, results=9), id="the filter was ignored"),
        pytest.param(page(booked(7, 6), size=2, results=9), id="the order was ignored"),
        pytest.param(page([{}, {}], size=2, results=9), id="no number to go on from"),
        pytest.param({"collection": []}, id="no total"),
    ],
)
async def test_a_sweep_by_key_never_goes_in_circles(stub: Stub, api: EconomicApi, document: Any) -> None:
    stub.script = [answer(document)]
    with pytest.raises(Unavailable):
        _ = [found async for found in api.booked_pages(after_number=5, page_size=2)]
    assert len(stub.seen) == 1


# --- lines in bulk -----------------------------------------------------------------------------------------------


@pytest.mark.requirement("R21", "R27")
async def test_lines_of_a_range_come_in_bulk_in_the_order_shown(stub: Stub, api: EconomicApi) -> None:
    first = [
        line(11, 900, 2, description="second", productNumber="P-1", vatRate=25.0, vatAmount=0.375, bookedAccount=1010),
        line(10, 901, 1),
        line(11, 902, 1, description="first"),
    ]
    stub.script = [answer({"items": first, "cursor": "c/1&x"}), answer({"items": [line(12, 1, 1), line(11, 902, 1)]})]
    found = await api.booked_lines(10, 12)
    assert [seen.path for seen in stub.seen] == ["/openapi/q2capi/v5.3.0/invoices/booked/lines"] * 2
    assert stub.seen[0].query == {"filter": "documentId$gte:10$and:documentId$lte:12"}
    assert stub.seen[1].query == {"filter": "documentId$gte:10$and:documentId$lte:12", "cursor": "c/1&x"}
    assert {number: len(lines) for number, lines in found.items()} == {10: 1, 11: 3, 12: 1}
    second = found[11][-1]
    assert (second.line_number, second.sort_key, second.description) == (2, 2, "second")
    assert second.product_number == "P-1"
    assert (second.vat_rate, second.vat_amount) == (Decimal(25), Decimal("0.375"))
    assert second.booked_account == 1010
    assert found[10][0].product_number is None


async def test_a_line_that_came_twice_counts_once_and_look_alikes_stay(stub: Stub, api: EconomicApi) -> None:
    twice, alike = line(1, 5, 1, description="a"), line(1, 6, 1, description="a")
    nameless = line(1, None, description="no number")
    stub.script = [answer({"items": [twice, alike, twice, nameless, nameless]})]
    assert [item.description for item in (await api.booked_lines(1, 1))[1]].count("a") == 2
    stub.script = [answer({"items": [nameless, nameless]})]
    assert len((await api.booked_lines(1, 1))[1]) == 2


async def test_an_invoice_with_a_line_that_cannot_be_read_has_no_lines_at_all(stub: Stub, api: EconomicApi) -> None:
    stub.script = [answer({"items": [line(1, 1), line(2, 1, quantity="many"), line(2, 2)]})]
    assert list(await api.booked_lines(1, 2)) == [1]


@pytest.mark.parametrize(
    "items", [[line(9, 1)], [{"number": 1}], [{"number": "x"}], [{"documentId": "a", "number": 1}]]
)
async def test_lines_of_nothing_asked_for_are_unavailable(stub: Stub, api: EconomicApi, items: Any) -> None:
    stub.script = [answer({"items": items})]
    with pytest.raises(Unavailable):
        await api.booked_lines(1, 2)


@pytest.mark.parametrize(
    ("items", "calls"), [pytest.param([line(1, 1)], 2, id="a cursor again"), pytest.param([], 1, id="an empty page")]
)
async def test_a_cursor_that_goes_in_circles_ends(stub: Stub, api: EconomicApi, items: Any, calls: int) -> None:
    stub.always = lambda seen: answer({"items": items, "cursor": "same"})
    with pytest.raises(Unavailable, match="circles"):
        await api.booked_lines(1, 2)
    assert len(stub.seen) == calls


async def test_a_page_of_records_that_cannot_be_read_is_not_an_empty_one(stub: Stub, api: EconomicApi) -> None:
    stub.script = [answer({"items": [line(1, 1, quantity="x")], "cursor": "2"}), answer({"items": [line(2, 1)]})]
    assert list(await api.booked_lines(1, 2)) == [2]


async def test_lines_of_chosen_invoices_are_asked_for_200_invoices_a_call(stub: Stub, api: EconomicApi) -> None:
    stub.always = lambda seen: answer(
        {"items": [line(int(seen.query["filter"].partition("[")[2].rstrip("]").split(",")[0]), 1)]}
    )
    found = await api.booked_lines_of(range(1, 402))
    assert sorted(found) == [1, 201, 401]
    assert [seen.query["filter"].count(",") for seen in stub.seen] == [199, 199, 0]
    assert await api.booked_lines_of([]) == {}


async def test_lines_of_drafts_are_keyed_by_draft_number_not_by_internal_id(stub: Stub, api: EconomicApi) -> None:
    stub.script = [answer({"items": [line(700001, 1, draftInvoiceNumber=7), line(700002, 1, draftInvoiceNumber=8)]})]
    assert list(await api.draft_lines_of([7, 8])) == [7, 8]
    assert stub.seen[0].path == "/openapi/q2capi/v5.3.0/invoices/drafts/lines"
    assert stub.seen[0].query == {"filter": "draftInvoiceNumber$in:[7,8]"}


# --- contacts ---------------------------------------------------------------------------------------------------


@pytest.mark.requirement("R17")
async def test_contacts_of_all_customers_carry_the_number_that_customers_refer_to(stub: Stub, api: EconomicApi) -> None:
    items = [
        {"number": 46, "customerNumber": 128, "userInterfaceNumber": 2, "name": "A", "email": "a@x.dk"},
        {"number": 47, "customerNumber": 128, "name": "B", "isDeleted": True},
        {"number": 48, "customerNumber": 129, "name": "C"},
    ]
    stub.script = [answer({"items": items, "cursor": 49}), answer({"items": []})]
    pages = [found async for found in api.contact_pages(changed_since=SINCE)]
    assert [(found.number, found.cursor, found.is_last) for found in pages] == [(0, "49", False), (1, None, True)]
    found = [(c.customer_number, c.customer_contact_number, c.name, c.email, c.deleted) for c in pages[0].items]
    assert found == [
        (128, 2, "A", "a@x.dk", False),
        (128, 0, "B", None, True),
        (129, 0, "C", None, False),
    ]
    assert stub.seen[0].path == "/openapi/customersapi/v3.1.0/Contacts"
    assert stub.seen[0].query == {"filter": "lastUpdated$gte:2026-11-01T10:00:00Z"}
    assert stub.seen[1].query["cursor"] == "49"


async def test_contacts_resume_at_a_cursor(stub: Stub, api: EconomicApi) -> None:
    stub.script = [answer({"items": []})]
    _ = [found async for found in api.contact_pages(cursor="17")]
    assert stub.seen[0].query == {"cursor": "17"}


async def test_contacts_of_a_range_of_customers(stub: Stub, api: EconomicApi) -> None:
    stub.script = [answer({"items": [{"number": n, "customerNumber": n, "name": "x"} for n in (4, 5, 6)]})]
    found = await api.contacts_between(5, 6)
    assert [contact.customer_number for contact in found] == [5, 6]
    assert stub.seen[0].query == {"filter": "customerNumber$gte:5$and:customerNumber$lte:6"}


async def test_contacts_of_one_customer_from_a_recorded_answer(stub: Stub, api: EconomicApi) -> None:
    stub.script = [answer((EXAMPLES / "customers.number.contacts.get.json").read_bytes())]
    found = await api.list_contacts(1)
    assert [(c.customer_number, c.customer_contact_number, c.sort_key) for c in found] == [
        (1, 1, 1),
        (1, 2, 2),
        (1, 17, 3),
    ]
    assert stub.seen[0].path == "/legacy/customers/1/contacts"


# --- searches ----------------------------------------------------------------------------------------------------

DANISH = {"12345678", "DK12345678", "DK 12345678", "DK-12345678", "12 34 56 78", "DK 12 34 56 78"}


@pytest.mark.requirement("B11")
@pytest.mark.parametrize(
    ("given", "forms"),
    [
        ("12345678", DANISH),
        ("DK12345678", DANISH),
        (" dk 12 34 56 78 ", {"dk 12 34 56 78", *DANISH}),
        ("CVR-nr. 12345678", {"CVR-nr. 12345678", "CVRNR12345678", *DANISH}),
        ("SE556677889901", {"SE556677889901", "556677889901", "SE 556677889901", "SE-556677889901"}),
        ("SE 55667788", {"SE55667788", "55667788", "SE 55667788", "SE-55667788", "55 66 77 88", "SE 55 66 77 88"}),
        ("GB 123 A 45", {"GB 123 A 45", "GB123A45"}),
        ("\u0661\u0662", {"\u0661\u0662"}),
    ],
)
async def test_vat_numbers_are_looked_for_in_the_spellings_that_people_use(
    stub: Stub, api: EconomicApi, given: str, forms: set[str]
) -> None:
    stub.script = [answer(page([{"customerNumber": 1, "corporateIdentificationNumber": "12345678"}]))]
    found = await api.search_customers(vat_number=given)
    assert [customer.customer_number for customer in found] == [1]
    fields = ("corporateIdentificationNumber", "vatNumber")
    asked = stub.seen[0].query["filter"].split("$or:")
    assert asked[0] == f"corporateIdentificationNumber$eq:{given.strip()}", "as it is written comes first"
    assert sorted(asked) == sorted(f"{field}$eq:{form}" for field in fields for form in forms)


@pytest.mark.requirement("B11")
async def test_an_address_is_found_among_several_and_never_as_part_of_another(stub: Stub, api: EconomicApi) -> None:
    records = [
        {"customerNumber": 1, "email": "x@b.dk a@b.dk"},
        {"customerNumber": 2, "email": "aa@b.dk"},
        {"customerNumber": 3, "email": "A@B.dk"},
    ]
    stub.script = [answer(page(records))]
    assert [c.customer_number for c in await api.search_customers(email=" a@b.dk ")] == [1, 3]
    assert stub.seen[0].query["filter"] == "email$like:a@b.dk"


@pytest.mark.requirement("B11")
async def test_names_are_compared_as_a_whole(stub: Stub, api: EconomicApi) -> None:
    stub.script = [answer(page([{"customerNumber": 1, "name": "ØST (A/S)"}, {"customerNumber": 2, "name": "Øst"}]))]
    assert [c.customer_number for c in await api.search_customers(name="Øst (A/S)")] == [1]
    assert stub.seen[0].query["filter"] == "name$eq:Øst $(A/S$)"


async def test_a_search_takes_exactly_one_key_and_an_empty_one_finds_nothing(stub: Stub, api: EconomicApi) -> None:
    for keys in ({}, {"name": "a", "email": "b"}):
        with pytest.raises(ValueError, match="exactly one"):
            await api.search_customers(**keys)
    assert await api.search_customers(vat_number="  ") == []
    assert stub.seen == []


async def test_customers_by_number_are_those_asked_for(stub: Stub, api: EconomicApi) -> None:
    stub.script = [answer(page([{"customerNumber": 2}, {"customerNumber": 3}]))]
    assert [c.customer_number for c in await api.customers_by_number([1, 2, 2])] == [2]
    assert stub.seen[0].query["filter"] == "customerNumber$in:[1,2]"
    assert await api.customers_by_number([]) == []


@pytest.mark.requirement("B1", "F13")
async def test_a_reference_is_looked_up_exactly_on_drafts_and_booked(stub: Stub, api: EconomicApi) -> None:
    drafts = [{**record, "draftInvoiceNumber": record.pop("bookedInvoiceNumber")} for record in booked(1, 2)]
    stub.script = [answer(page(booked(1, 2))), answer(page(drafts)), answer(page(booked(1)))]
    assert [invoice.number for invoice in await api.find_booked_by_reference("ref-2")] == [2]
    assert [draft.number for draft in await api.find_drafts_by_reference("ref-2")] == [2]
    assert await api.find_booked_by_reference("REF-1") == [], "the service ignores case, a marker does not"
    assert [seen.path for seen in stub.seen[:2]] == ["/legacy/invoices/booked", "/legacy/invoices/drafts"]
    assert stub.seen[0].query["filter"] == "references.other$eq:ref-2"


@pytest.mark.requirement("B1", "F13")
@pytest.mark.parametrize(
    "document",
    [page([], results=1), {"collection": []}, page([{"draftInvoiceNumber": 1, "date": "x"}]), {"items": []}],
)
async def test_a_look_up_that_is_not_whole_never_means_that_nothing_is_there(
    stub: Stub, api: EconomicApi, document: Any
) -> None:
    stub.script = [answer(document)]
    with pytest.raises(Unavailable):
        await api.find_drafts_by_reference("ref-1")


# --- single documents, writes, registers ---------------------------------------------------------------------------


async def test_product_numbers_are_encoded_the_vendors_way(stub: Stub, api: EconomicApi) -> None:
    stub.script = [answer({"productNumber": "A/B_æ 5%"})]
    assert (await api.get_record(PRODUCTS, "A/B_æ 5%")).product_number == "A/B_æ 5%"
    assert stub.seen[0].target == "/legacy/products/A_6_B_8_%C3%A6_9_5_3_"


async def test_a_product_without_a_number_is_not_the_list_of_products(stub: Stub, api: EconomicApi) -> None:
    assert await api.find_product("") is None
    with pytest.raises(Refused) as caught:
        await api.get_record(PRODUCTS, "")
    assert caught.value.problem.cause is Cause.NOT_FOUND
    assert stub.seen == []


async def test_find_hides_no_other_refusal(stub: Stub, api: EconomicApi) -> None:
    stub.script = [answer(b"", 403)]
    with pytest.raises(Refused):
        await api.find_customer(1)


@pytest.mark.requirement("R21", "B12")
async def test_single_invoices_come_with_their_lines(stub: Stub, api: EconomicApi) -> None:
    stub.script = [
        answer((EXAMPLES / "invoices.drafts.number.get.json").read_bytes()),
        answer((EXAMPLES / "invoices.booked.post.response.json").read_bytes()),
    ]
    draft = await api.get_draft(485)
    assert [item.description for item in draft.lines or ()] == ["TestLine"]
    invoice = await api.get_booked(31)
    assert (invoice.remainder, invoice.references.other) == (Decimal(10), "REF-1")
    assert [seen.path for seen in stub.seen] == ["/legacy/invoices/drafts/485", "/legacy/invoices/booked/31"]


async def test_writes_go_to_their_collections_and_return_what_was_made(stub: Stub, api: EconomicApi) -> None:
    stub.script = [
        answer((EXAMPLES / "customers.post.response.json").read_bytes(), 201),
        answer((EXAMPLES / "invoices.drafts.post.response-lines.json").read_bytes(), 201),
        answer((EXAMPLES / "invoices.booked.post.response.json").read_bytes(), 201),
    ]
    assert (await api.create_customer(b"{1}", "k1")).customer_number > 0
    assert (await api.create_draft(b"{2}", "k2")).lines
    assert (await api.book_draft(b"{3}", "k3")).number == 31
    assert [(seen.path, seen.body, seen.headers["idempotency-key"]) for seen in stub.seen] == [
        ("/legacy/customers", b"{1}", "k1"),
        ("/legacy/invoices/drafts", b"{2}", "k2"),
        ("/legacy/invoices/booked", b"{3}", "k3"),
    ]


@pytest.mark.requirement("B1")
async def test_a_refused_write_was_not_done_and_one_with_a_broken_record_is_unknown(
    stub: Stub, api: EconomicApi
) -> None:
    stub.script = [
        answer((EXAMPLES / "error-400-validation-barred-product.json").read_bytes(), 400),
        answer({"draftInvoiceNumber": 1, "date": "never"}, 201),
    ]
    with pytest.raises(Refused):
        await api.create_draft(b"{}", "k")
    with pytest.raises(OutcomeUnknown):
        await api.create_draft(b"{}", "k")


@pytest.mark.requirement("F17")
async def test_booking_a_draft_that_is_gone_says_so_and_keeps_the_log_id(stub: Stub, api: EconomicApi) -> None:
    stub.script = [answer((EXAMPLES / "error-404.json").read_bytes(), 404)]
    with pytest.raises(Refused) as caught:
        await api.book_draft(b"{}", "k")
    problem = caught.value.problem
    assert problem.cause is Cause.DRAFT_DELETED
    assert problem.user_message == (
        "The draft of this invoice does not exist in e-conomic: it was deleted there, or booked already."
    )
    assert "unlock the invoice in Pike or send it again" in problem.remedy
    assert problem.economic is not None
    assert problem.economic.log_id
    assert problem.economic.log_id in str(caught.value)


async def test_booking_that_is_refused_for_another_reason_keeps_it(stub: Stub, api: EconomicApi) -> None:
    stub.script = [answer(b"", 403)]
    with pytest.raises(Refused) as caught:
        await api.book_draft(b"{}", "k")
    assert caught.value.problem.cause is Cause.ACCESS_DENIED


@pytest.mark.requirement("R4")
@pytest.mark.parametrize(
    ("name", "path", "example", "count"),
    [
        ("payment_terms", "payment-terms", "payment-terms.get.json", 9),
        ("vat_zones", "vat-zones", "vat-zones.get.json", 4),
        ("product_groups", "product-groups", "product-groups.get.json", 4),
        ("units", "units", "units.get.json", 10),  # one key of this recording was damaged
        ("layouts", "layouts", "layouts.get.json", 3),
        ("customer_groups", "customer-groups", "customer-groups.get.json", 16),
    ],
)
async def test_registers_are_read_from_recorded_answers(
    stub: Stub, api: EconomicApi, name: str, path: str, example: str, count: int
) -> None:
    stub.script = [answer((EXAMPLES / example).read_bytes())]
    assert len(await getattr(api, name)()) == count
    assert stub.seen[0].path == f"/legacy/{path}"
    assert stub.seen[0].query == {"pagesize": "1000", "skippages": "0"}


@pytest.mark.requirement("R14", "R27")
async def test_accounts_of_a_product_group_and_vat_codes_are_read(stub: Stub, api: EconomicApi) -> None:
    row = {"vatZone": {"vatZoneNumber": 1}, "salesAccount": {"accountNumber": 1010, "vatAccount": {"vatCode": "U25"}}}
    stub.script = [
        answer({"collection": [row]}),
        answer(page([{"vatCode": "U25", "ratePercentage": 25.00000000}])),
        answer({"netAmountInBaseCurrency": 1234567.89, "invoiceCount": 17, "self": "x"}),
    ]
    (account,) = await api.sales_accounts(3)
    assert account.sales_account.account_number == 1010
    assert stub.seen[0].path == "/legacy/product-groups/3/sales-accounts"
    assert [code.rate_percentage for code in await api.vat_accounts()] == [Decimal(25)]
    totals = await api.booked_totals()
    assert (totals.invoice_count, totals.net_amount_in_base_currency) == (17, Decimal("1234567.89"))


@pytest.mark.requirement("R27")
async def test_an_odd_row_spoils_no_register_but_those_that_amounts_depend_on(stub: Stub, api: EconomicApi) -> None:
    stub.always = lambda _: answer(page([{"unitNumber": 1}, {"unitNumber": "x"}]))
    with structlog.testing.capture_logs() as logs:
        assert [unit.unit_number for unit in await api.units()] == [1]
    warnings = [line for line in logs if line["log_level"] == "warning"]
    assert [(line["event"], line["family"]) for line in warnings] == [("economic.record_unreadable", "units")]
    for call in (api.vat_accounts(), api.sales_accounts(1)):
        with pytest.raises(Unavailable, match="cannot be read"):
            await call


async def test_the_agreement_is_read_from_a_recorded_answer(stub: Stub, api: EconomicApi) -> None:
    stub.script = [answer((EXAMPLES / "self.get.json").read_bytes())]
    agreement = await api.get_self()
    assert agreement.agreement_number > 0
    assert agreement.settings.base_currency == "DKK"


async def test_a_register_longer_than_a_page_is_read_to_its_end(stub: Stub, api: EconomicApi) -> None:
    stub.always = served_by_offset([{"unitNumber": n} for n in range(1, 1501)])
    assert len(await api.units()) == 1500
    assert [seen.query["skippages"] for seen in stub.seen] == ["0", "1"]


@pytest.mark.requirement("R11")
async def test_sweeps_hand_on_what_arrived_with_the_total_they_were_told(stub: Stub, api: EconomicApi) -> None:
    for records in ([{"productNumber": "1"}], booked(1)):
        stub.script.append(answer(page(list(records), results=3, nextPage=None)))
    for sweep in (api.product_pages(), api.booked_pages()):
        assert [(len(found.items), found.total, found.is_last) async for found in sweep] == [(1, 3, True)]
