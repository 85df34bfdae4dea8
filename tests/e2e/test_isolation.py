"""Workspaces are kept apart: an event that names another workspace's ids reads, changes and sends nothing of it."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from harness import WORKSPACE, Harness
from test_push_walk import CREATED, FAILED, SYNCED, drafts, invoice, linked

from worker.sandbox import Agreement

OTHER = "ws-other"


@pytest.fixture
async def other(running: Harness) -> Agreement:
    """A second workspace, connected to an agreement of its own."""
    second: Agreement = running.sandbox.add_agreement(seed=77)
    await running.connect(OTHER, agreement=second)
    return second


async def everything_of(running: Harness, workspace: str) -> list[Any]:
    """All rows of a workspace in Pike's read model."""
    rows = []
    for table in ("customers", "products", "invoices"):
        rows += await running.rows(f"select * from pike.{table} where workspace_id = $1 order by id", workspace)
    rows += await running.rows(
        """select l.* from pike.invoice_lines l join pike.invoices i on i.id = l.invoice_id
           where i.workspace_id = $1 order by l.id""",
        workspace,
    )
    return rows


async def refused(running: Harness, request: dict[str, Any], other: Agreement, **more: Any) -> Any:
    """Send as the other workspace; returns the problem after checking that nothing of ours changed or was sent."""
    before = await everything_of(running, WORKSPACE)
    drafts_before = len(running.agreement.drafts)
    answer = await running.request(CREATED, {"invoice": request, **more}, SYNCED, FAILED, workspace=OTHER)
    assert answer.type == FAILED
    assert await everything_of(running, WORKSPACE) == before
    assert (drafts(other, request), len(running.agreement.drafts)) == ([], drafts_before)
    problem = answer.data.problem
    assert problem.final
    assert WORKSPACE not in problem.model_dump_json()
    return problem


@pytest.mark.requirement("B1")
async def test_an_invoice_of_another_workspace_is_not_sent(running: Harness, other: Agreement) -> None:
    request = await linked(running)
    assert (await running.request(CREATED, {"invoice": request}, SYNCED, FAILED)).type == SYNCED
    problem = await refused(running, request, other)
    assert problem.fields == ["id", "customer_id", "lines.product_id"]
    assert problem.user_message.startswith("The invoice and the customer and the product id")
    assert "Nothing was sent" in problem.user_message


async def test_an_invoice_that_only_waits_in_another_workspace_is_not_sent(running: Harness, other: Agreement) -> None:
    request = await linked(running)
    running.agreement.bar_product(next(p.number for p in running.agreement.products if not p.barred))
    assert (await running.request(CREATED, {"invoice": request}, SYNCED, FAILED)).type == FAILED
    mine = invoice(uuid4(), None, id=request["id"])
    problem = await refused(running, mine, other, customer={"id": mine["customer_id"], "name": "Theirs"})
    assert problem.fields == ["id"]


async def test_a_customer_of_another_workspace_is_not_used(running: Harness, other: Agreement) -> None:
    ours = await linked(running)
    request = invoice(UUID(ours["customer_id"]), None)
    problem = await refused(running, request, other, customer={"id": ours["customer_id"], "name": "Taken over"})
    assert problem.fields == ["customer_id"]


async def test_a_product_of_another_workspace_is_not_used(running: Harness, other: Agreement) -> None:
    ours = await linked(running)
    customer = str(uuid4())
    request = invoice(UUID(customer), UUID(ours["lines"][0]["product_id"]))
    problem = await refused(running, request, other, customer={"id": customer, "name": "Mine"})
    assert problem.fields == ["lines.product_id"]


async def test_a_line_of_another_invoice_is_not_taken_over(running: Harness) -> None:
    first = await linked(running)
    assert (await running.request(CREATED, {"invoice": first}, SYNCED, FAILED)).type == SYNCED
    second = {**first, "id": str(uuid4())}
    answer = await running.request(CREATED, {"invoice": second}, SYNCED, FAILED)
    assert answer.type == FAILED
    assert answer.data.problem.fields == ["lines.id"]
    assert drafts(running.agreement, second) == []


async def test_the_same_line_twice_in_one_invoice_is_refused_before_anything_is_sent(running: Harness) -> None:
    request = await linked(running)
    request["lines"] = [request["lines"][0], {**request["lines"][0], "description": "again"}]
    answer = await running.request(CREATED, {"invoice": request}, SYNCED, FAILED)
    assert answer.type == FAILED
    assert "line 2 has the same id as line 1" in answer.data.problem.user_message
    assert drafts(running.agreement, request) == []


@pytest.mark.parametrize("entity", ["product", "customer", "invoice"])
async def test_a_record_of_another_workspace_cannot_be_refreshed_by_its_id(
    running: Harness, other: Agreement, entity: str
) -> None:
    request = await linked(running)
    await running.request(CREATED, {"invoice": request}, SYNCED, FAILED)
    ids = {"product": request["lines"][0]["product_id"], "customer": request["customer_id"], "invoice": request["id"]}
    before = await everything_of(running, WORKSPACE)
    answer = await running.refresh(entity, id=ids[entity], workspace=OTHER)
    assert (answer.type, answer.data.problem.cause.value) == ("economic.refresh.failed", "not_found")
    assert await everything_of(running, WORKSPACE) == before


async def test_the_same_number_in_two_agreements_is_two_records(running: Harness, other: Agreement) -> None:
    number = next(c.number for c in running.agreement.customers if c.number in {o.number for o in other.customers})
    for workspace in (WORKSPACE, OTHER):
        await running.refresh("customer", external_number=str(number), workspace=workspace)
    rows = await running.rows("select workspace_id from pike.customers where external_number = $1", str(number))
    assert sorted(row["workspace_id"] for row in rows) == sorted([WORKSPACE, OTHER])


async def test_two_workspaces_on_one_agreement_have_rows_of_their_own(running: Harness) -> None:
    await running.connect(OTHER, agreement=running.agreement)
    request = await linked(running)
    assert (await running.request(CREATED, {"invoice": request}, SYNCED, FAILED)).type == SYNCED
    answer = await running.import_all(workspace=OTHER)
    assert answer.type == "economic.import.completed"
    theirs = await running.rows("select id from pike.invoices where workspace_id = $1", OTHER)
    assert UUID(request["id"]) not in {row["id"] for row in theirs}
    mine = await running.rows("select workspace_id, locked from pike.invoices where id = $1", UUID(request["id"]))
    assert mine == [{"workspace_id": WORKSPACE, "locked": True}]
    problem = (await running.request(CREATED, {"invoice": request}, SYNCED, FAILED, workspace=OTHER)).data.problem
    assert problem.fields[0] == "id"
    assert len(drafts(running.agreement, request)) == 1
