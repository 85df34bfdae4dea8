"""Rounds of the schedule (B10): nobody asks, everything arrives, once, and nobody is told of an import."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from functools import partialmethod
from typing import Any

import pytest
from e2e_kit import Launch
from harness import WORKSPACE, Harness
from support import eventually

from worker.economic.endpoints import EconomicApi
from worker.handlers.importing.stages.unpaid import PAGES
from worker.sandbox import Agreement, Sandbox

ALL = ["products", "customers", "invoices"]
SOON = {"sync_every_s": "1"}


async def rounds(running: Harness, state: str = "completed", mode: str = "changes") -> int:
    """How many rounds ended so."""
    sql = "select count(*) from economic.imports where scheduled and state = $1 and mode = $2"
    return int(await running.value(sql, state, mode))


async def due(running: Harness, *, sweep: bool = False) -> None:
    """Make the next round due now, or the nightly sweep."""
    sweep_at = "now()" if sweep else "sweep_at"
    await running.rows(f"update economic.schedules set next_at = now(), sweep_at = {sweep_at}")


async def one_round(running: Harness, *, sweep: bool = False) -> None:
    """Let one round begin here and wait for its end."""
    schedule = running.worker.schedule
    await schedule.look()  # gives a new connection its row
    before = await running.value("select max(last_end_at) from economic.schedules")
    await due(running, sweep=sweep)
    await schedule.look()
    sql = "select run_id is null and last_end_at is distinct from $1 from economic.schedules"
    await eventually(lambda: running.value(sql, before), timeout_s=30, message="the round ends")


@pytest.fixture
async def imported(launch: Launch) -> AsyncIterator[Harness]:
    """A workspace that was imported; its rounds begin when a test says so."""
    async with launch(sync_every_s="0") as running:
        running.worker.schedule.every_s = 900
        await running.connect()
        await running.import_all()
        yield running


@pytest.mark.requirement("B10")
async def test_a_change_in_economic_arrives_by_the_schedule_alone(launch: Launch, agreement: Agreement) -> None:
    async with launch(**SOON) as running:
        await running.connect()
        await running.import_all()
        number = next(iter(agreement.products)).number
        agreement.set_price(number, Decimal("77.25"))
        agreement.rename_customer(2, "Nyt Navn ApS")
        sql = "select price from pike.products where external_number = $1"
        await eventually(lambda: _is(running, Decimal("77.25"), sql, number), timeout_s=20)
        sql = "select name from pike.customers where external_number = '2'"
        await eventually(lambda: _is(running, "Nyt Navn ApS", sql), timeout_s=20)
        changed = [e for e in running.heard if e.type == "economic.records.changed" and e.data.entity == "product"]
        assert changed[-1].data.ids == (
            await running.value("select id from pike.products where external_number = $1", number),
        )


async def _is(running: Harness, wanted: Any, sql: str, *args: Any) -> bool:
    return bool(await running.value(sql, *args) == wanted)


@pytest.mark.requirement("B10", "R21")
async def test_paid_arrives_without_anybody_asking(imported: Harness, agreement: Agreement) -> None:
    number = next(b.number for b in agreement.booked if b.remainder > 0)
    agreement.register_payment(number)
    await one_round(imported)
    sql = "select status from pike.invoices where booked_number = $1"
    assert await imported.value(sql, number) == "paid"
    await eventually(lambda: any(e.type == "economic.invoice.changed" for e in imported.heard))
    moved = [e for e in imported.heard if e.type == "economic.invoice.changed"]
    assert [(e.data.external_number, e.data.status) for e in moved] == [(str(number), "paid")]


@pytest.mark.requirement("B10", "B14")
async def test_every_change_of_a_round_has_an_audit_row_that_names_the_schedule(
    imported: Harness, agreement: Agreement
) -> None:
    agreement.rename_customer(2, "Nyt Navn ApS")
    await one_round(imported)
    audit = await imported.rows("select entity, actor, changes from economic.audit where actor not like 'import:%'")
    assert [row["entity"] for row in audit] == ["customer"]
    assert audit[0]["actor"].startswith("schedule:")
    assert '"Nyt Navn ApS"' in audit[0]["changes"]


@pytest.mark.requirement("B10")
async def test_nobody_is_told_of_a_round_as_of_an_import(imported: Harness, agreement: Agreement) -> None:
    agreement.rename_customer(2, "Nyt Navn ApS")
    told = [e for e in imported.heard if e.type.startswith("economic.import.")]
    await one_round(imported)
    await one_round(imported, sweep=True)
    # the answer to this one comes after everything that the rounds wrote
    await imported.refresh("customer", external_number="2")
    assert [e for e in imported.heard if e.type.startswith("economic.import.")] == told
    rows = await imported.rows("select requested_by, scheduled from economic.imports order by started_at")
    assert rows == [
        {"requested_by": None, "scheduled": False},
        *[{"requested_by": "schedule", "scheduled": True}] * 2,
    ]


@pytest.mark.requirement("B10")
async def test_an_idle_round_costs_at_most_twelve_calls_however_much_is_unpaid(
    imported: Harness, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpaid_after = partialmethod(EconomicApi.unpaid_after, page_size=1)  # as if there were thousands of open invoices
    monkeypatch.setattr(EconomicApi, "unpaid_after", unpaid_after)
    before = len(sandbox.requests)
    await one_round(imported)
    calls = [f"{r.method} {r.path}" for r in sandbox.requests[before:]]
    assert calls.count("GET /legacy/invoices/unpaid") == PAGES
    assert len(calls) <= 12, calls


@pytest.mark.requirement("B10", "R11", "R25")
async def test_the_nightly_sweep_finds_deletions_and_leaves_pikes_own_products_alone(
    imported: Harness, agreement: Agreement
) -> None:
    await imported.rows("insert into pike.products (workspace_id, name) values ($1, 'Ours')", WORKSPACE)
    number = "SOLD-OUT"
    agreement.put_product(replace(next(iter(agreement.products)), number=number))
    await one_round(imported)
    agreement.products.remove(number)
    await one_round(imported)
    gone = "select not active and vanished_at is not null from pike.products where external_number = $1"
    assert await imported.value(gone, number) is False
    await one_round(imported, sweep=True)
    assert await imported.value(gone, number) is True
    assert await imported.value("select active from pike.products where name = 'Ours'") is True
    audit = await imported.rows("select actor, changes from economic.audit where changes::text like '%active%'")
    assert audit[-1]["actor"].startswith("schedule:")
    assert await imported.value("select sweep_at > now() + interval '1 hour' from economic.schedules") is True


@pytest.mark.requirement("B10")
async def test_a_persons_import_does_deactivate_pikes_own_products_after_a_sweep_did_not(imported: Harness) -> None:
    await imported.rows("insert into pike.products (workspace_id, name) values ($1, 'Ours')", WORKSPACE)
    await one_round(imported, sweep=True)
    await imported.import_all("products")
    assert await imported.value("select active from pike.products where name = 'Ours'") is False


@pytest.mark.requirement("B10")
async def test_two_processes_begin_one_round(launch: Launch) -> None:
    async with launch(sync_every_s="0") as one, launch(sync_every_s="0") as two:
        await one.connect()
        await one.import_all()
        for running in (one, two):
            running.worker.schedule.every_s = 900
        await one.worker.schedule.look()
        await due(one)
        begun = await asyncio.gather(*(running.worker.schedule.look() for running in (one, two) for _ in range(4)))
        assert sum(begun) == 1
        await eventually(
            lambda: _is(one, 1, "select count(*) from economic.imports where scheduled and state = 'completed'")
        )
        assert await one.value("select count(*) from economic.imports where scheduled") == 1


@pytest.mark.requirement("B10")
async def test_a_round_that_takes_long_is_not_joined_by_the_next(
    imported: Harness, sandbox: Sandbox, agreement: Agreement
) -> None:
    sandbox.add_fault("delay", path="/legacy/products$", seconds=1.5, times=1)
    await imported.worker.schedule.look()
    await due(imported)
    assert await imported.worker.schedule.look() == 1
    for _ in range(5):
        await due(imported)
        assert await imported.worker.schedule.look() == 0
    await eventually(lambda: rounds(imported), timeout_s=20)
    assert await imported.worker.schedule.look() == 1


@pytest.mark.requirement("B10", "B9")
async def test_held_and_revoked_workspaces_wait_and_spend_nothing(imported: Harness, sandbox: Sandbox) -> None:
    schedule = imported.worker.schedule
    await schedule.look()
    await due(imported)
    await imported.rows(
        "insert into economic.gates (agreement_number, held_until, held_because) "
        "select agreement_number, now() + interval '1 hour', 'rate' from economic.connections"
    )
    assert await schedule.look() == 0
    await imported.rows("delete from economic.gates")
    await imported.rows("update economic.connections set status = 'revoked'")
    before = len(sandbox.requests)
    assert await schedule.look() == 0
    assert len(sandbox.requests) == before
    await imported.rows("update economic.connections set status = 'active'")
    assert await schedule.look() == 1
    await eventually(lambda: rounds(imported))
    assert await imported.value("select max(attempts) from economic.inbox") == 1


@pytest.mark.requirement("B10", "B8")
async def test_a_round_that_meets_an_empty_budget_waits_without_spending_an_attempt(
    imported: Harness, sandbox: Sandbox
) -> None:
    sandbox.add_fault("status", path="/legacy/products$", status=429, retry_after=1, times=4)
    await one_round(imported)
    assert await rounds(imported) == 1
    rows = await imported.rows(
        "select attempts, snoozes from economic.inbox where type = 'pike-economic.sync.requested'"
    )
    assert rows[0]["attempts"] <= 1 < rows[0]["attempts"] + rows[0]["snoozes"]


@pytest.mark.requirement("B10", "R9")
async def test_only_what_somebody_imported_once_is_read_again(launch: Launch) -> None:
    async with launch(sync_every_s="0") as running:
        running.worker.schedule.every_s = 900
        await running.connect()
        await running.worker.schedule.look()
        await due(running)
        assert await running.worker.schedule.look() == 0
        await running.import_all("customers")
        assert await running.worker.schedule.look() == 1
        await eventually(lambda: rounds(running))
        assert await running.value("select entities from economic.imports where scheduled") == ["customers"]
        assert await running.value("select count(*) from pike.products") == 0


@pytest.mark.requirement("B10")
async def test_whoever_presses_import_does_not_wait_for_a_round(imported: Harness, sandbox: Sandbox) -> None:
    sandbox.add_fault("delay", path="/legacy/products$", seconds=2, times=1)
    await imported.worker.schedule.look()
    await due(imported)
    await imported.worker.schedule.look()
    await eventually(lambda: rounds(imported, "running"))
    done = await imported.import_all()
    assert done.type == "economic.import.completed"
    await eventually(lambda: imported.value("select run_id is null from economic.schedules"))
    assert await rounds(imported, "cancelled") == 1


@pytest.mark.requirement("B10")
async def test_a_round_that_economic_refuses_leaves_no_dead_letter_and_the_next_one_comes(
    imported: Harness, sandbox: Sandbox, agreement: Agreement
) -> None:
    agreement.role = "Bookkeeping"
    await one_round(imported)
    assert await imported.value("select last_state from economic.schedules") == "failed"
    assert '"access_denied"' in await imported.value("select last_problem::text from economic.schedules")
    agreement.role = "SuperUser"
    await one_round(imported)
    assert await imported.value("select last_state from economic.schedules") == "completed"
    assert await imported.value("select count(*) from economic.dead_letters") == 0


@pytest.mark.requirement("B10")
async def test_the_choice_of_a_connection_rules_its_rounds_and_none_comes_later(imported: Harness) -> None:
    await imported.worker.schedule.look()
    await imported.rows("update economic.connections set sync_every_minutes = 60")
    await due(imported)
    await imported.worker.schedule.look()
    wait = await imported.value("select extract(epoch from next_at - now())::float8 from economic.schedules")
    assert 0.85 * 3600 <= wait <= 3600


@pytest.mark.requirement("B10")
async def test_a_disconnected_workspace_has_no_rounds(imported: Harness) -> None:
    await imported.worker.schedule.look()
    await imported.request("pike.disconnect.requested", {}, "economic.connection.closed")
    await due(imported)
    assert await imported.worker.schedule.look() == 0


@pytest.mark.requirement("B10")
async def test_a_sweep_is_next_due_in_the_coming_night(imported: Harness) -> None:
    await imported.worker.schedule.look()
    hours = await imported.value("select extract(hour from sweep_at at time zone 'UTC')::int from economic.schedules")
    assert hours in (23, 0, 1, 2)
