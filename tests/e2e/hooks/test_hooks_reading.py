"""What webhooks hint at is read again (B10): changes, bookings, renumberings, deletions; no hint is believed."""

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from harness import Harness
from hooks_kit import Called, customer
from support import eventually

from worker.sandbox import Agreement, Sandbox
from worker.store.hints import MAX_PENDING


async def becomes(running: Harness, wanted: Any, sql: str, *args: Any) -> None:
    async def is_so() -> bool:
        return bool(await running.value(sql, *args) == wanted)

    await eventually(is_so, timeout_s=20, message=f"{sql} becomes {wanted}")


def told(running: Harness, entity: str) -> list[Any]:
    """Ids that were announced as changed by somebody else than an import."""
    first = next(e.correlation_id for e in running.heard if e.type == "economic.import.started")
    events = [e for e in running.heard if e.type == "economic.records.changed" and e.correlation_id != first]
    return [record for event in events if event.data.entity == entity for record in event.data.ids]


@pytest.mark.requirement("B10", "B14")
async def test_a_change_in_economic_arrives_with_event_and_audit_row(called: Called, agreement: Agreement) -> None:
    agreement.rename_customer(2, "Nyt Navn ApS")
    number = next(iter(agreement.products)).number
    agreement.set_price(number, Decimal("77.25"))
    await becomes(called.running, "Nyt Navn ApS", "select name from pike.customers where external_number = '2'")
    await becomes(
        called.running, Decimal("77.25"), "select price from pike.products where external_number = $1", number
    )
    ids = await called.running.rows(
        "select (select id from pike.customers where external_number = '2') as customer, "
        "(select id from pike.products where external_number = $1) as product",
        number,
    )
    await eventually(lambda: told(called.running, "customer") == [ids[0]["customer"]])
    await eventually(lambda: told(called.running, "product") == [ids[0]["product"]])
    audit = await called.running.rows("select entity, actor from economic.audit order by entity")
    assert [row["entity"] for row in audit] == ["customer", "product"]
    assert all(row["actor"].startswith("hook:") for row in audit)


@pytest.mark.requirement("B10", "R21")
async def test_a_booking_in_economic_turns_the_draft_into_the_same_invoice(
    called: Called, agreement: Agreement, sandbox: Sandbox
) -> None:
    draft = next(
        d for d in agreement.drafts if agreement.can_book_on(d.date) and not agreement.customers[d.customer].barred
    )
    before = await called.running.value("select id from pike.invoices where draft_number = $1", draft.number)
    agreement.remove_draft(draft.number)
    await _book(agreement, draft)
    await becomes(called.running, "booked", "select status from pike.invoices where id = $1", before)
    moved = await eventually(lambda: [e for e in called.running.heard if e.type == "economic.invoice.changed"])
    assert [(e.data.invoice_id, e.data.previous_status, e.data.status) for e in moved] == [(before, "draft", "booked")]


async def _book(agreement: Agreement, draft: Any) -> None:
    """Book a draft as a person in e-conomic would."""
    template = next(iter(agreement.booked))
    shared = {name: getattr(draft, name) for name in ("customer", "date", "due_date", "currency", "lines", "recipient")}
    invoice = replace(
        template,
        **shared,
        number=agreement.next_booked_number(),
        order_number=draft.number,
        net=draft.net,
        vat=draft.vat,
        gross=draft.gross,
        remainder=draft.gross,
        remainder_base=draft.gross_base,
        other=draft.other,
    )
    agreement.put_booked(invoice)


@pytest.mark.requirement("B10")
async def test_a_renumbered_customer_and_product_keep_their_rows(called: Called, agreement: Agreement) -> None:
    running = called.running
    customer_id = await running.value("select id from pike.customers where external_number = '3'")
    old = next(iter(agreement.products)).number
    product_id = await running.value("select id from pike.products where external_number = $1", old)
    agreement.renumber_customer(3, 4711)
    agreement.renumber_product(old, "NEW/1 'x'")
    await becomes(running, customer_id, "select id from pike.customers where external_number = '4711'")
    await becomes(running, product_id, "select id from pike.products where external_number = $1", "NEW/1 'x'")
    await called.all_read()
    assert await running.value("select count(*) from pike.customers where external_number = '3'") == 0
    assert await running.value("select active from pike.customers where id = $1", customer_id) is True
    changes = await running.value("select changes::text from economic.audit where entity_id = $1", customer_id)
    assert '"external_number"' in changes
    await eventually(lambda: customer_id in told(running, "customer"))


@pytest.mark.requirement("B10")
async def test_renumbered_twice_in_a_row_it_still_is_the_same_row(called: Called, agreement: Agreement) -> None:
    customer_id = await called.running.value("select id from pike.customers where external_number = '3'")
    agreement.renumber_customer(3, 4711)
    agreement.renumber_customer(4711, 4712)
    await becomes(called.running, customer_id, "select id from pike.customers where external_number = '4712'")
    await called.all_read()
    assert await called.running.value("select active from pike.customers where id = $1", customer_id) is True


@pytest.mark.requirement("B10")
async def test_a_deleted_record_is_marked_as_an_import_marks_it(called: Called, agreement: Agreement) -> None:
    number = "SOLD-OUT"
    agreement.put_product(replace(next(iter(agreement.products)), number=number))
    gone = "select not active and vanished_at is not null from pike.products where external_number = $1"
    await becomes(called.running, False, gone, number)
    agreement.remove_product(number)
    await becomes(called.running, True, gone, number)
    audit = await called.running.rows("select changes from economic.audit where entity = 'product'")
    assert audit[-1]["changes"] == '[{"field":"active","old":true,"new":false}]' or "active" in str(
        audit[-1]["changes"]
    )


@pytest.mark.requirement("B10")
async def test_what_a_hook_says_is_not_believed(called: Called, agreement: Agreement) -> None:
    assert await called.call("event=CUSTOMER_UPDATED\nold=2\nnew=") == 202  # "deleted", but it is still there
    await called.all_read()
    assert await called.running.value("select active from pike.customers where external_number = '2'") is True
    assert await called.call(customer(2, old=3)) == 202  # "3 became 2", but both are there
    await called.all_read()
    rows = await called.running.rows("select external_number from pike.customers where external_number in ('2', '3')")
    assert len(rows) == 2


@pytest.mark.requirement("B10")
async def test_a_replayed_call_changes_and_announces_nothing(called: Called, agreement: Agreement) -> None:
    agreement.rename_customer(2, "Nyt Navn ApS")
    await becomes(called.running, "Nyt Navn ApS", "select name from pike.customers where external_number = '2'")
    await called.all_read()
    rows = await called.running.rows("select ctid::text, xmin::text from pike.customers order by id")
    for _ in range(3):
        assert await called.call(customer(2)) == 202
        await called.all_read()
    assert await called.running.rows("select ctid::text, xmin::text from pike.customers order by id") == rows
    assert len(told(called.running, "customer")) == 1
    assert await called.running.value("select count(*) from economic.audit") == 1


@pytest.mark.requirement("B10")
async def test_a_flood_about_few_records_is_answered_and_read_few_times(called: Called, sandbox: Sandbox) -> None:
    which = {"secret": await called.secret(), "connection": await called.connection_id()}
    before = len(sandbox.requests)
    statuses = await asyncio.gather(*(called.call(customer(1 + index % 10), **which) for index in range(400)))
    assert set(statuses) == {202}
    await called.all_read()
    reads = [r for r in sandbox.requests[before:] if r.path.startswith("/legacy/customers")]
    assert 1 <= len(reads) <= 3


@pytest.mark.requirement("B10")
async def test_calls_while_a_record_is_read_are_not_lost(
    called: Called, agreement: Agreement, sandbox: Sandbox
) -> None:
    sandbox.add_fault("trickle", path="/legacy/customers$", seconds=1.5, times=1)  # read at once, answered late
    agreement.rename_customer(2, "First")
    await eventually(lambda: any(rule.struck for rule in sandbox.faults.rules), message="the read is on its way")
    await asyncio.gather(*(called.call(customer(2)) for _ in range(20)))
    agreement.rename_customer(2, "Last")
    assert await called.call(customer(2)) == 202
    assert await called.running.value("select name from pike.customers where external_number = '2'") != "First"
    await becomes(called.running, "Last", "select name from pike.customers where external_number = '2'")
    await called.all_read()


@pytest.mark.requirement("B10")
async def test_sql_and_html_in_names_stay_text(called: Called, agreement: Agreement) -> None:
    name = "Robert'); drop table pike.customers;-- <script>alert(1)</script> \\ %s $1"
    agreement.rename_customer(2, name)
    await becomes(called.running, name, "select name from pike.customers where external_number = '2'")
    number = "1'); --"
    product = replace(next(iter(agreement.products)), number=number, name="<img src=x onerror=alert(1)>")
    agreement.put_product(product)
    await becomes(called.running, product.name, "select name from pike.products where external_number = $1", number)


@pytest.mark.requirement("B10", "R9")
async def test_what_nobody_imported_is_not_brought_by_a_hook(bare: Called, agreement: Agreement) -> None:
    await bare.running.connect()
    await bare.running.import_all("products")
    await bare.hooks_are()
    agreement.rename_customer(2, "Nyt Navn ApS")
    await eventually(
        lambda: bare.running.value("select exists (select 1 from economic.inbox where type like '%hints.read')")
    )
    await bare.all_read()
    assert await bare.running.value("select count(*) from pike.customers") == 0


@pytest.mark.requirement("B10", "B9")
async def test_while_economic_is_away_hints_wait_and_are_read_afterwards(
    called: Called, agreement: Agreement, sandbox: Sandbox
) -> None:
    sandbox.add_fault("status", path="/legacy/customers$", status=503, times=4)
    agreement.rename_customer(2, "Nyt Navn ApS")
    await becomes(called.running, "Nyt Navn ApS", "select name from pike.customers where external_number = '2'")
    await called.all_read()
    assert await called.running.value("select count(*) from economic.dead_letters") == 0


@pytest.mark.requirement("B10", "F11")
async def test_a_revoked_grant_keeps_hints_until_the_reconnect(
    called: Called, agreement: Agreement, sandbox: Sandbox
) -> None:
    agreement.rename_customer(2, "Nyt Navn ApS")
    agreement.revoke()
    assert await called.call(customer(2)) == 202
    await eventually(lambda: called.running.value("select status = 'revoked' from economic.connections"), timeout_s=20)
    agreement.grant()
    await called.running.connect()
    await becomes(called.running, "Nyt Navn ApS", "select name from pike.customers where external_number = '2'")


@pytest.mark.requirement("B10")
async def test_one_unreadable_record_does_not_keep_the_others_from_being_read(
    called: Called, agreement: Agreement
) -> None:
    agreement.customers[3].vat_zone = None  # type: ignore[assignment]
    agreement.customers.touch(3)
    agreement.rename_customer(2, "Nyt Navn ApS")
    assert await called.call(customer(3)) == 202
    await becomes(called.running, "Nyt Navn ApS", "select name from pike.customers where external_number = '2'")
    await called.all_read()
    assert await called.running.value("select active from pike.customers where external_number = '3'") is True


@pytest.mark.requirement("B10")
async def test_too_much_at_once_is_left_to_a_round_of_changes(called: Called) -> None:
    running = called.running
    await running.worker.schedule.look()
    connection_id = await called.connection_id()
    await running.rows("update economic.hook_receivers set reading_id = 'nobody', reading_since = now()")
    await running.rows(
        "insert into economic.hints (connection_id, entity, external_number) "
        "select $1, 'customer', n::text from generate_series(100001, 100000 + $2::int) n",
        connection_id,
        MAX_PENDING,
    )
    running.worker.schedule.every_s = 900
    await running.worker.schedule.look()
    await running.rows("update economic.schedules set next_at = now() + interval '1 hour'")
    assert await called.call(customer(2)) == 202
    assert await running.value("select count(*) from economic.hints") == 0
    assert await running.value("select next_at <= now() from economic.schedules") is True


@pytest.mark.requirement("B10")
async def test_hints_of_a_reader_that_got_lost_are_read(called: Called, agreement: Agreement) -> None:
    running = called.running
    await running.rows(
        "update economic.hook_receivers set reading_id = 'lost', reading_since = now() - interval '1 hour'"
    )
    assert await called.call(customer(2)) == 202
    await running.worker.watch.look()
    await called.all_read()
