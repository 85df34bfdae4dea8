"""A workspace that changes its agreement, and workspaces that share one: nothing goes to the wrong books, or twice."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from e2e_kit import Launch
from harness import WORKSPACE, Harness
from support import eventually
from test_push_walk import CREATED, FAILED, SYNCED, UNKNOWN, drafts, invoice, linked, row

from worker.economic.endpoints import EconomicApi
from worker.sandbox import Agreement, Sandbox

COMPLETED, REFRESH_FAILED = "economic.refresh.completed", "economic.refresh.failed"


@pytest.fixture
def second(sandbox: Sandbox) -> Agreement:
    """Another agreement of the same owner."""
    made: Agreement = sandbox.add_agreement(seed=77)
    return made


async def disconnect(running: Harness) -> None:
    """Disconnect the workspace."""
    await running.request("pike.disconnect.requested", {}, "economic.connection.closed")


def text_only(request: dict[str, Any], agreement: Agreement) -> dict[str, Any]:
    """The invoice with a text line and a customer sent along: valid in any agreement."""
    number = next(c for c in agreement.customers if not c.barred and c.currency == "DKK" and c.email)
    line = {"id": str(uuid4()), "description": "As agreed", "quantity": "0", "unit_price": "0"}
    customer = {"id": str(uuid4()), "name": number.name, "email": number.email}
    return {"invoice": {**request, "customer_id": customer["id"], "lines": [line]}, "customer": customer}


@pytest.mark.requirement("B1")
async def test_an_invoice_that_is_in_one_agreement_is_not_sent_to_the_next(running: Harness, second: Agreement) -> None:
    request = await linked(running)
    await running.request(CREATED, {"invoice": request}, SYNCED)
    before = await row(running, request)
    await disconnect(running)
    await running.connect(agreement=second)
    answer = await running.request(CREATED, {"invoice": request}, SYNCED, FAILED)
    assert (answer.type, answer.data.problem.cause.value) == (FAILED, "locked")
    assert str(running.agreement.number) in answer.data.problem.user_message
    assert (len(drafts(running.agreement, request)), drafts(second, request)) == (1, [])
    after = await row(running, request)
    assert (after["status"], after["external_number"]) == (before["status"], before["external_number"])


@pytest.mark.requirement("B1", "F13")
async def test_an_unknown_outcome_in_one_agreement_is_not_settled_by_sending_to_the_next(
    running: Harness, second: Agreement, sandbox: Sandbox
) -> None:
    request = await linked(running)
    body = text_only(request, running.agreement)
    sandbox.add_fault("drop_after", method="POST", path="/invoices/drafts$", times=1)
    sandbox.add_fault("status", method="GET", path="/invoices/(drafts|booked)$", status=503)
    event_id = await running.publish(CREATED, body)
    await running.answer(event_id, UNKNOWN)
    await running.connect(agreement=second)
    sandbox.faults.clear()
    answer = await running.answer(event_id, SYNCED, FAILED)
    assert (answer.type, answer.data.problem.cause.value) == (FAILED, "outcome_unknown")
    assert (await row(running, request))["status"] == "outcome_unknown"
    assert drafts(second, request) == []
    await running.connect()
    assert (await running.request(CREATED, body, SYNCED, FAILED)).type == SYNCED
    assert len(drafts(running.agreement, request)) == 1


@pytest.mark.requirement("B1")
async def test_a_reconnect_between_reading_and_sending_cannot_make_two_invoices(
    running: Harness, second: Agreement, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run still holds the first agreement when another already sends to the second."""
    request = await linked(running)
    body = text_only(request, running.agreement)
    body["customer"]["name"] = f"Same in both {uuid4()}"
    body["customer"].pop("email")
    arrived, go_on = asyncio.Event(), asyncio.Event()
    real = EconomicApi.create_customer

    async def create_customer(self: EconomicApi, *args: Any) -> Any:
        made = await real(self, *args)
        if not arrived.is_set():
            arrived.set()
            await go_on.wait()
        return made

    monkeypatch.setattr(EconomicApi, "create_customer", create_customer)
    first = await running.publish(CREATED, body)
    await arrived.wait()
    await running.connect(agreement=second)
    later = await running.request(CREATED, body, SYNCED, FAILED)
    go_on.set()
    await running.answer(first, SYNCED, FAILED, timeout_s=60)
    assert later.type == SYNCED
    assert len([*drafts(running.agreement, request), *drafts(second, request)]) == 1


@pytest.mark.requirement("R28")
@pytest.mark.parametrize("entity", ["product", "customer", "invoice"])
async def test_a_record_of_the_agreement_before_is_not_refreshed_from_the_one_that_is_connected_now(
    running: Harness, second: Agreement, entity: str
) -> None:
    await running.import_all()
    table = f"pike.{entity}s"
    known = (await running.rows(
        f"""select * from {table} where workspace_id = $1 and external_number is not null
            order by external_number limit 1""",
        WORKSPACE,
    ))[0]  # fmt: skip
    await running.connect(agreement=second)
    answer = await running.refresh(entity, id=str(known["id"]))
    assert answer.type == REFRESH_FAILED
    problem = answer.data.problem
    assert problem.final
    assert str(running.agreement.number) in problem.user_message
    assert await running.value(f"select count(*) from {table} where agreement_number = $1", second.number) == 0
    after = (await running.rows(f"select * from {table} where id = $1", known["id"]))[0]
    untouched = set(known) - {"last_attempt_at", "last_problem"}
    assert {name: after[name] for name in untouched} == {name: known[name] for name in untouched}


@pytest.mark.requirement("R28", "R29")
async def test_a_number_of_the_agreement_before_is_not_marked_when_a_refresh_fails(
    running: Harness, second: Agreement
) -> None:
    number = next(c.number for c in running.agreement.customers)
    await running.refresh("customer", external_number=str(number))
    await running.connect(agreement=second)
    running.sandbox.add_fault("status", path="/customers/", agreement=second.number, status=403)
    answer = await running.refresh("customer", external_number=str(number))
    assert answer.type == REFRESH_FAILED
    assert await running.rows("select last_problem from pike.customers where external_number = $1", str(number)) == [
        {"last_problem": None}
    ]


@pytest.mark.requirement("R11", "B6")
async def test_an_import_does_not_go_on_in_another_agreement(
    launch: Launch, second: Agreement, small_pages: Any, sandbox: Sandbox
) -> None:
    small_pages(2)
    async with launch(import_slice_s="0.01") as running:
        await running.connect()
        sandbox.add_fault("delay", path="/(customers|products)", seconds=0.1)
        event_id = await running.publish("pike.import.requested", {"entities": ["products", "customers"]})
        await eventually(lambda: _positive(running, "select count(*) from pike.products"))
        await running.connect(agreement=second)
        answer = await running.answer(event_id, "economic.import.completed", "economic.import.failed")
        assert answer.type == "economic.import.failed"
        assert str(running.agreement.number) in answer.data.problem.user_message
        assert await running.value("select count(*) from pike.products where not active and not barred") == 0
        sandbox.faults.clear()
        assert (await running.import_all("products")).type == "economic.import.completed"


async def _positive(running: Harness, sql: str) -> bool:
    return bool(await running.value(sql))


@pytest.mark.requirement("B9")
async def test_each_workspace_reads_the_registers_of_a_shared_agreement_with_its_own_grant(
    running: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a revoked grant of one would look like a refusal of the other's."""
    await running.connect("ws-other", agreement=running.agreement)
    arrived, go_on = asyncio.Event(), asyncio.Event()
    products: list[EconomicApi] = []
    rates: list[EconomicApi] = []
    find_product, vat_accounts = EconomicApi.find_product, EconomicApi.vat_accounts

    async def slow_find_product(self: EconomicApi, number: str) -> Any:
        products.append(self)
        if not arrived.is_set():
            arrived.set()
            await go_on.wait()
        return await find_product(self, number)

    async def seen_vat_accounts(self: EconomicApi) -> Any:
        rates.append(self)
        return await vat_accounts(self)

    monkeypatch.setattr(EconomicApi, "find_product", slow_find_product)
    monkeypatch.setattr(EconomicApi, "vat_accounts", seen_vat_accounts)
    first = await running.publish(CREATED, {"invoice": await linked(running)})
    await arrived.wait()
    number = next(draft.number for draft in running.agreement.drafts)
    await running.refresh("invoice", workspace="ws-other", external_number=str(number), document="draft")
    go_on.set()
    await running.answer(first, SYNCED, FAILED)
    assert products[0] in rates


@pytest.mark.requirement("B1")
async def test_two_workspaces_on_one_agreement_push_without_meeting(running: Harness) -> None:
    await running.connect("ws-other", agreement=running.agreement)
    mine = await linked(running)
    number = next(c for c in running.agreement.customers if not c.barred and c.currency == "DKK" and c.email)
    theirs = invoice(uuid4(), None)
    theirs["lines"] = [{"id": str(uuid4()), "description": "Text", "quantity": "0", "unit_price": "0"}]
    sent_along = {"id": theirs["customer_id"], "name": number.name, "email": number.email}
    ids = await asyncio.gather(
        running.publish(CREATED, {"invoice": mine}),
        running.publish(CREATED, {"invoice": theirs, "customer": sent_along}, workspace="ws-other"),
    )
    for event_id in ids:
        assert (await running.answer(event_id, SYNCED, FAILED)).type == SYNCED
    rows = await running.rows("select id, workspace_id, external_number from pike.invoices order by workspace_id")
    assert [(r["id"], r["workspace_id"]) for r in rows] == [
        (UUID(theirs["id"]), "ws-other"),
        (UUID(mine["id"]), WORKSPACE),
    ]
    assert len({r["external_number"] for r in rows}) == 2
