"""How an import runs: choices, deactivation (R11), slices, a second import, cancelling, a worker that goes away."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from e2e_kit import Launch, SmallPages
from harness import WORKSPACE, Harness
from meddler import Meddler
from support import eventually

from worker.clock import SystemClock
from worker.sandbox import Agreement, Sandbox, SeedSize

ENDS = ("economic.import.completed", "economic.import.failed", "economic.import.cancelled")


async def own_products(running: Harness, count: int) -> list[UUID]:
    """Active products that Pike had before e-conomic was connected."""
    rows = await running.rows(
        """insert into pike.products (workspace_id, name) select $1, 'Egen ' || n from generate_series(1, $2) n
           returning id""",
        WORKSPACE,
        count,
    )
    return [row["id"] for row in rows]


async def active_own(running: Harness) -> int:
    return int(await running.value("select count(*) from pike.products where external_number is null and active"))


async def numbers(running: Harness, table: str, where: str = "true") -> set[str]:
    rows = await running.rows(f"select external_number from pike.{table} where {where}")
    return {row["external_number"] for row in rows}


# --- choices (R9) ----------------------------------------------------------------------------------------


@pytest.mark.requirement("R9")
@pytest.mark.parametrize(
    ("entity", "others"), [("products", ("customers", "invoices")), ("customers", ("products", "invoices"))]
)
async def test_one_kind_alone_brings_no_other(running: Harness, entity: str, others: tuple[str, ...]) -> None:
    await running.import_all(entity)
    counts = {table: len(await numbers(running, table)) for table in (entity, *others)}
    assert counts[entity] > 0
    assert [counts[other] for other in others] == [0, 0]


@pytest.mark.requirement("R9", "R24")
async def test_invoices_alone_bring_the_customers_they_need(running: Harness, agreement: Agreement) -> None:
    await running.import_all("invoices")
    needed = {str(document.customer) for document in [*agreement.booked, *agreement.drafts]}
    assert await numbers(running, "customers") == needed


@pytest.mark.requirement("R9", "R15")
async def test_customers_that_invoices_bring_are_whole(running: Harness, agreement: Agreement) -> None:
    await running.import_all("invoices")
    rows = await running.rows("select external_number, name, active from pike.customers where vanished_at is null")
    assert {row["external_number"]: (row["name"], row["active"]) for row in rows} == {
        row["external_number"]: (agreement.customers[int(row["external_number"])].name, True) for row in rows
    }


@pytest.mark.requirement("R9", "R25")
async def test_invoices_alone_bring_the_products_they_need(running: Harness, agreement: Agreement) -> None:
    await running.import_all("invoices")
    documents = [*agreement.booked, *agreement.drafts]
    needed = {line.product for document in documents for line in document.lines if line.product}
    assert await numbers(running, "products") == needed


@pytest.mark.requirement("R9", "R11")
async def test_invoices_alone_deactivate_no_product_of_pikes(running: Harness) -> None:
    await own_products(running, 2)
    await running.import_all("invoices")
    assert await active_own(running) == 2


@pytest.mark.requirement("R9", "R11")
async def test_customers_alone_deactivate_no_product_of_pikes(running: Harness) -> None:
    await own_products(running, 2)
    await running.import_all("customers")
    assert await active_own(running) == 2


# --- deactivation (R11) ----------------------------------------------------------------------------------


@pytest.mark.requirement("R11")
async def test_a_product_import_deactivates_pikes_own_products(running: Harness) -> None:
    own = await own_products(running, 3)
    done = await running.import_all("products")
    rows = await running.rows("select active from pike.products where id = any($1::uuid[])", own)
    assert [row["active"] for row in rows] == [False] * 3
    assert done.data.counts["products"].deactivated == 3


@pytest.mark.requirement("R11")
async def test_each_deactivated_product_names_the_import_that_did_it(running: Harness) -> None:
    own = await own_products(running, 2)
    done = await running.import_all("products")
    rows = await running.rows("select deactivated_by_import from pike.products where id = any($1::uuid[])", own)
    assert {str(row["deactivated_by_import"]) for row in rows} == {done.correlation_id}


@pytest.mark.requirement("R11")
async def test_deactivation_can_be_undone_by_the_import_it_names(running: Harness) -> None:
    own = await own_products(running, 2)
    await running.value("update pike.products set active = false where id = $1", own[0])
    done = await running.import_all("products")
    await running.value(
        "update pike.products set active = true, deactivated_by_import = null where deactivated_by_import = $1",
        UUID(done.correlation_id),
    )
    rows = await running.rows("select id from pike.products where external_number is null and active")
    assert [row["id"] for row in rows] == [own[1]]


@pytest.mark.requirement("R11")
async def test_all_are_deactivated_in_one_transaction(running: Harness) -> None:
    own = await own_products(running, 50)
    await running.import_all("products")
    marks = await running.rows("select distinct xmin::text from pike.products where id = any($1::uuid[])", own)
    assert len(marks) == 1


@pytest.mark.requirement("R11")
async def test_more_than_a_thousand_deactivations_are_announced_a_thousand_at_a_time(running: Harness) -> None:
    own = await own_products(running, 1_500)
    done = await running.import_all("products")
    events = running.answers(done.correlation_id or "", "economic.records.changed")
    sizes = sorted(len(event.data.ids) for event in events if set(event.data.ids) & set(own))
    assert sizes == [500, 1_000]


@pytest.mark.requirement("R11")
async def test_another_workspaces_products_stay_active(running: Harness) -> None:
    foreign = await running.value(
        "insert into pike.products (workspace_id, name) values ('ws-other', 'Fremmed') returning id"
    )
    await running.import_all("products")
    assert await running.value("select active from pike.products where id = $1", foreign) is True


@pytest.mark.requirement("R11")
async def test_products_of_an_agreement_the_workspace_left_are_deactivated(
    running: Harness, sandbox: Sandbox, agreement: Agreement
) -> None:
    await running.import_all("products")
    other = sandbox.add_agreement(SeedSize(customers=1, products=2, invoices=0, drafts=0))
    await running.connect(agreement=other)
    await running.import_all("products")
    left = await running.rows("select distinct agreement_number from pike.products where active")
    assert left == [{"agreement_number": other.number}]


@pytest.mark.requirement("R11")
async def test_a_re_run_touches_no_linked_product(running: Harness) -> None:
    await running.import_all("products")
    before = await running.rows("select id, active, updated_at from pike.products order by id")
    again = await running.import_all("products")
    assert await running.rows("select id, active, updated_at from pike.products order by id") == before
    assert again.data.counts["products"].deactivated == 0


@pytest.mark.requirement("R11")
async def test_zero_products_deactivate_nothing(running: Harness, agreement: Agreement) -> None:
    await own_products(running, 2)
    for number in list(agreement.products.rows):
        agreement.products.remove(number)
    done = await running.import_all("products")
    assert await active_own(running) == 2
    assert "no products" in done.data.report.remarks[0]


@pytest.mark.requirement("R11")
async def test_zero_products_make_no_linked_product_vanish(running: Harness, agreement: Agreement) -> None:
    await running.import_all("products")
    live = await numbers(running, "products", "active")
    for number in list(agreement.products.rows):
        agreement.products.remove(number)
    await running.import_all("products")
    assert await numbers(running, "products", "active") == live


@pytest.mark.requirement("R11")
async def test_a_sweep_that_breaks_off_deactivates_nothing(
    meddled: Harness, meddler: Meddler, small_pages: SmallPages, sandbox: Sandbox
) -> None:
    await own_products(meddled, 2)
    small_pages(5)

    def down_after_the_first_page(query: str) -> None:
        if "skippages=0" not in query:
            sandbox.add_fault("html", status=503, path="/legacy/products", times=1)

    meddler.before("/products$", down_after_the_first_page)
    failed = await meddled.import_all("products")
    assert (failed.type, await active_own(meddled)) == ("economic.import.failed", 2)


@pytest.mark.requirement("R11")
async def test_what_arrived_before_a_sweep_broke_off_is_kept(
    meddled: Harness, meddler: Meddler, small_pages: SmallPages, sandbox: Sandbox
) -> None:
    small_pages(5)

    def down_after_the_first_page(query: str) -> None:
        if "skippages=0" not in query:
            sandbox.add_fault("html", status=503, path="/legacy/products", times=1)

    meddler.before("/products$", down_after_the_first_page)
    await meddled.import_all("products")
    assert len(await numbers(meddled, "products")) == 5


def lie_about_results(by: int) -> Callable[[dict[str, Any], str], None]:
    def change(document: dict[str, Any], _query: str) -> None:
        document["pagination"]["results"] += by

    return change


@pytest.mark.requirement("R11")
@pytest.mark.parametrize("by", [3, -3])
async def test_a_total_that_does_not_fit_what_arrived_deactivates_nothing(
    meddled: Harness, meddler: Meddler, by: int
) -> None:
    await own_products(meddled, 2)
    meddler.on("/products$", lie_about_results(by))
    failed = await meddled.import_all("products")
    assert (failed.type, await active_own(meddled)) == ("economic.import.failed", 2)


@pytest.mark.requirement("R11")
async def test_an_incomplete_sweep_of_a_later_kind_deactivates_no_product_either(
    meddled: Harness, meddler: Meddler
) -> None:
    await own_products(meddled, 2)
    meddler.on("/customers$", lie_about_results(1))
    failed = await meddled.import_all()
    assert (failed.type, await active_own(meddled)) == ("economic.import.failed", 2)


@pytest.mark.requirement("R11")
async def test_a_product_barred_in_economic_becomes_inactive(running: Harness, agreement: Agreement) -> None:
    await running.import_all("products")
    agreement.bar_product("1")
    await running.import_all("products")
    assert "1" in await numbers(running, "products", "not active and vanished_at is null")


@pytest.mark.requirement("R11")
async def test_a_product_unbarred_in_economic_becomes_active_again(running: Harness, agreement: Agreement) -> None:
    agreement.bar_product("1")
    await running.import_all("products")
    agreement.bar_product("1", barred=False)
    await running.import_all("products")
    assert "1" in await numbers(running, "products", "active")


@pytest.mark.requirement("R11")
async def test_a_product_deleted_in_economic_becomes_inactive_and_stays(running: Harness, agreement: Agreement) -> None:
    await running.import_all("products")
    agreement.products.remove("1")
    done = await running.import_all("products")
    assert await numbers(running, "products", "not active and vanished_at is not null") == {"1"}
    assert done.data.counts["products"].deactivated == 1


@pytest.mark.requirement("R15")
async def test_a_customer_deleted_in_economic_becomes_inactive_and_stays(
    running: Harness, agreement: Agreement
) -> None:
    await running.import_all("customers")
    agreement.remove_customer(2)
    await running.import_all("customers")
    assert await numbers(running, "customers", "not active") == {"2"}


@pytest.mark.requirement("R15")
async def test_a_customer_that_is_there_again_becomes_active(running: Harness, agreement: Agreement) -> None:
    await running.import_all("customers")
    customer = agreement.customers[2]
    agreement.remove_customer(2)
    await running.import_all("customers")
    agreement.put_customer(customer)
    await running.import_all("customers")
    assert await numbers(running, "customers", "not active") == set()


@pytest.mark.requirement("F17")
async def test_a_draft_deleted_in_economic_becomes_inactive_with_its_reason(
    running: Harness, agreement: Agreement
) -> None:
    await running.import_all("invoices")
    number = next(iter(agreement.drafts.rows))
    agreement.remove_draft(number)
    await running.import_all("invoices")
    rows = await running.rows("select draft_number, last_problem from pike.invoices where not active")
    assert [row["draft_number"] for row in rows] == [number]
    assert "draft_deleted" in rows[0]["last_problem"]


@pytest.mark.requirement("R11")
async def test_the_database_clock_may_be_ahead_of_the_workers(
    running: Harness, agreement: Agreement, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an import met is told by the pages it read, not by comparing the clocks of two machines."""
    monkeypatch.setattr(SystemClock, "now", lambda _self: datetime.now(UTC) - timedelta(minutes=5))
    await running.import_all("products")
    assert await numbers(running, "products", "active") == {p.number for p in agreement.products if not p.barred}


# --- slices, a second import, cancelling (B6) ------------------------------------------------------------


@pytest.mark.requirement("B6")
async def test_an_import_in_many_slices_is_as_good_as_one(
    launch: Launch, small_pages: SmallPages, agreement: Agreement
) -> None:
    small_pages(4)
    async with launch(import_slice_s="0.001") as running:
        await running.connect()
        done = await running.import_all()
        slices = await running.value("select count(*) from economic.inbox where type = 'pike-economic.import.continue'")
        assert done.data.counts["invoices"].created == len(agreement.booked) + len(agreement.drafts)
        assert slices > 5


@pytest.mark.requirement("B6", "B7")
async def test_the_report_of_an_import_in_slices_has_the_sums_of_all_of_them(
    launch: Launch, small_pages: SmallPages, agreement: Agreement
) -> None:
    small_pages(4)
    async with launch(import_slice_s="0.001") as running:
        await running.connect()
        report = (await running.import_all()).data.report
        found = {
            (row.currency, row.year): (row.economic_count, row.economic_gross, row.difference)
            for row in report.rows
            if row.kind == "booked" and row.year
        }
        assert found == {key: (sums.count, sums.gross, 0) for key, sums in agreement.totals().items()}


@pytest.mark.requirement("B6")
async def test_an_import_whose_worker_went_away_between_slices_goes_on_with_another(
    launch: Launch, small_pages: SmallPages, agreement: Agreement
) -> None:
    small_pages(4)
    options = {"import_slice_s": "0.001"}
    async with launch(**options) as first:
        await first.connect()
        request = await first.publish("pike.import.requested", {"entities": ["customers", "invoices"]})
        await first.answer(request, "economic.import.progressed")
    assert first.answers(request, "economic.import.completed") == []
    async with launch(**options) as second:
        done = await second.answer(request, *ENDS)
        assert done.type == "economic.import.completed"
        assert done.data.counts["customers"].created == len(agreement.customers)


@pytest.mark.requirement("B6")
async def test_an_import_that_goes_on_reads_no_page_twice(
    launch: Launch, small_pages: SmallPages, sandbox: Sandbox
) -> None:
    small_pages(4)
    async with launch(import_slice_s="0.001") as running:
        await running.connect()
        await running.import_all("customers")
    pages = Counter(r.query for r in sandbox.requests if r.path == "/legacy/customers" and "sort=" in r.query)
    late = [query for query in pages if "lastUpdated" in query]  # what changed while the pages were read
    assert (len(pages) - len(late), len(late)) == (4, 1)
    assert set(pages.values()) == {1}


@pytest.mark.requirement("B6")
async def test_a_second_import_of_the_workspace_waits_for_the_first(launch: Launch, small_pages: SmallPages) -> None:
    small_pages(4)
    async with launch(import_slice_s="0.001", wait_ladder_s="0.2,0.5") as running:
        await running.connect()
        first = await running.publish("pike.import.requested", {"entities": ["customers", "invoices"]})
        await running.answer(first, "economic.import.started")
        second = await running.publish("pike.import.requested", {"entities": ["customers"]})
        await running.answer(first, "economic.import.completed")
        started = await running.answer(second, "economic.import.started")
        order = [
            event.type for event in running.heard if event.data in (started.data,) or event.correlation_id == first
        ]
        assert order.index("economic.import.completed") < order.index("economic.import.started", 1)
        assert (await running.answer(second, *ENDS)).type == "economic.import.completed"


@pytest.mark.requirement("B6")
async def test_two_workspaces_import_side_by_side(launch: Launch, small_pages: SmallPages, sandbox: Sandbox) -> None:
    other = sandbox.add_agreement(SeedSize(customers=1, products=2, invoices=0, drafts=0))
    small_pages(4)
    async with launch(import_slice_s="0.001") as running:
        await running.connect()
        await running.connect("ws-two", agreement=other)
        big = await running.publish("pike.import.requested", {"entities": ["customers", "invoices"]})
        await running.answer(big, "economic.import.started")
        small = await running.import_all("products", workspace="ws-two")
        assert small.type == "economic.import.completed"
        assert running.answers(big, "economic.import.completed") == []
        await running.answer(big, "economic.import.completed")


@pytest.mark.requirement("B6")
async def test_a_cancelled_import_ends_with_cancelled_and_keeps_what_it_wrote(
    launch: Launch, small_pages: SmallPages
) -> None:
    small_pages(2)
    async with launch(import_slice_s="0.001") as running:
        await running.connect()
        request = await running.publish("pike.import.requested", {"entities": ["customers", "invoices"]})
        await running.answer(request, "economic.import.started")
        await running.publish("pike.import.cancel_requested", {"import_id": request})
        end = await running.answer(request, *ENDS)
        assert end.type == "economic.import.cancelled"
        written = end.data.counts["customers"].created
        assert written > 0
        assert written <= await running.value("select count(*) from pike.customers")


@pytest.mark.requirement("B6", "R11")
async def test_a_cancelled_import_deactivates_nothing(launch: Launch, small_pages: SmallPages) -> None:
    small_pages(1)
    async with launch(import_slice_s="0.001") as running:
        await running.connect()
        await own_products(running, 2)
        request = await running.publish("pike.import.requested", {"entities": ["products"]})
        await running.answer(request, "economic.import.started")
        await running.publish("pike.import.cancel_requested", {"import_id": request})
        end = await running.answer(request, *ENDS)
        assert (end.type, await active_own(running)) == ("economic.import.cancelled", 2)


@pytest.mark.requirement("B6")
async def test_cancelling_an_import_that_is_not_running_is_refused(running: Harness) -> None:
    refused = await running.request("pike.import.cancel_requested", {"import_id": "none"}, "economic.change.refused")
    assert (refused.data.entity, refused.data.problem.cause) == ("import", "not_found")


@pytest.mark.requirement("B6")
async def test_a_second_delivery_of_a_request_starts_no_second_import(running: Harness) -> None:
    done = await running.import_all("products")
    await running.publish("pike.import.requested", {"entities": ["products"]}, event_id=done.correlation_id)
    await eventually(lambda: running.worker.dispatcher.tally.outcomes.get("duplicate"))
    assert await running.value("select count(*) from economic.imports") == 1


async def test_a_failed_import_can_be_followed_by_a_good_one(meddled: Harness, meddler: Meddler) -> None:
    meddler.on("/products$", lie_about_results(1))
    failed = await meddled.import_all("products")
    meddler.clear()
    good = await meddled.import_all("products")
    assert (failed.type, good.type) == ("economic.import.failed", "economic.import.completed")
