"""Event sequences that nobody means to send: invoices are still made once, and every request gets its own answer."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from e2e_kit import Launch
from harness import WORKSPACE, Harness
from support import eventually
from test_push_walk import CREATED, FAILED, SYNCED, UNKNOWN, asyncpg_worker, drafts, drafts_posted, linked, row

from worker.runtime.replay import replay
from worker.sandbox import Sandbox
from worker.store import dead_letters

IMPORT = "pike.import.requested"
ENDED = ("economic.import.completed", "economic.import.failed", "economic.import.cancelled")
OTHER = "ws-other"


@pytest.mark.requirement("R3", "B1")
@pytest.mark.parametrize("positions", [[0, 1], [2, 1], [5, 9]])
async def test_an_invoice_that_pike_wrote_with_other_line_positions_is_recorded(
    running: Harness, positions: list[int]
) -> None:
    request = await linked(running)
    request["lines"].append({**request["lines"][0], "id": str(uuid4()), "description": "Print"})
    async with running.pike() as pike:
        await pike.execute(
            "insert into pike.invoices (id, workspace_id, title) values ($1, $2, 'Website')",
            UUID(request["id"]), WORKSPACE,
        )  # fmt: skip
        for line, position in zip(request["lines"], positions, strict=True):
            await pike.execute(
                "insert into pike.invoice_lines (id, invoice_id, position) values ($1, $2, $3)",
                UUID(line["id"]), UUID(request["id"]), position,
            )  # fmt: skip
    answer = await running.request(CREATED, {"invoice": request}, SYNCED, FAILED)
    assert answer.type == SYNCED
    lines = await running.rows(
        "select id, description from pike.invoice_lines where invoice_id = $1 order by position", UUID(request["id"])
    )
    assert [(str(line["id"]), line["description"]) for line in lines] == [
        (line["id"], line["description"]) for line in request["lines"]
    ]
    assert len(drafts(running.agreement, request)) == 1


@pytest.mark.requirement("B1")
async def test_two_workspaces_that_send_one_new_id_at_once_make_one_invoice(running: Harness, sandbox: Sandbox) -> None:
    """Neither sees the other when it looks; the rows decide."""
    await running.connect(OTHER, agreement=sandbox.add_agreement(seed=77))
    second = sandbox.agreements[1]
    number = next(c for c in second.customers if not c.barred and c.currency == "DKK" and c.email)
    mine = await linked(running)
    theirs = {**mine, "customer_id": str(uuid4()), "lines": [
        {"id": str(uuid4()), "description": "Text", "quantity": "0", "unit_price": "0"}]}  # fmt: skip
    along = {"id": theirs["customer_id"], "name": number.name, "email": number.email}
    ids = await asyncio.gather(
        running.publish(CREATED, {"invoice": mine}),
        running.publish(CREATED, {"invoice": theirs, "customer": along}, workspace=OTHER),
    )
    answers = [await running.answer(each, SYNCED, FAILED, timeout_s=60) for each in ids]
    assert sorted(answer.type for answer in answers) == sorted([SYNCED, FAILED])
    assert len([*drafts(running.agreement, mine), *drafts(second, mine)]) == 1


@pytest.mark.requirement("B1", "F13", "R22")
async def test_a_sent_invoice_is_looked_up_before_anything_else_can_refuse_it(
    running: Harness, sandbox: Sandbox
) -> None:
    """The draft was made, its answer lost, and then its product is unlinked: it is still found and recorded."""
    request = await linked(running)
    sandbox.add_fault("drop_after", method="POST", path="/invoices/drafts$", times=1)
    sandbox.add_fault("status", method="GET", path="/invoices/(drafts|booked)$", status=503)
    event_id = await running.publish(CREATED, {"invoice": request})
    await running.answer(event_id, UNKNOWN)
    async with asyncpg_worker(running) as connection:
        await connection.execute("update pike.products set external_number = null, agreement_number = null")
        await connection.execute("update pike.customers set external_number = '999999'")
    sandbox.faults.clear()
    answer = await running.answer(event_id, SYNCED, FAILED)
    assert answer.type == SYNCED
    assert (await row(running, request))["status"] == "draft"
    assert (len(drafts(running.agreement, request)), len(drafts_posted(sandbox))) == (1, 1)


@pytest.mark.requirement("B1", "F13")
async def test_an_unknown_outcome_is_looked_up_again_and_again_however_long_e_conomic_is_away(
    launch: Launch, sandbox: Sandbox
) -> None:
    """Looking up spends no attempt: an outage longer than all attempts ends in no dead letter."""
    async with launch(max_attempts="2") as running:
        await running.connect()
        request = await linked(running)
        sandbox.add_fault("drop_after", method="POST", path="/invoices/drafts$", times=1)
        away = sandbox.add_fault("status", method="GET", path="/invoices/(drafts|booked)$", status=503)
        event_id = await running.publish(CREATED, {"invoice": request})
        await running.answer(event_id, UNKNOWN)
        snoozes = "select snoozes from economic.inbox where event_id = $1"
        await eventually(lambda: _at_least(running, 4, snoozes, event_id), timeout_s=90)
        assert away.struck > 0
        assert (await row(running, request))["status"] == "outcome_unknown"
        assert running.answers(event_id, FAILED) == []
        sandbox.faults.clear()
        assert (await running.answer(event_id, SYNCED, FAILED, timeout_s=60)).type == SYNCED
        assert len(drafts(running.agreement, request)) == 1


async def _at_least(running: Harness, least: int, sql: str, *args: Any) -> bool:
    return bool((await running.value(sql, *args) or 0) >= least)


@pytest.mark.requirement("B1")
async def test_an_invoice_sent_again_with_other_contents_while_unknown_is_made_once(
    running: Harness, sandbox: Sandbox
) -> None:
    request = await linked(running)
    sandbox.add_fault("drop_after", method="POST", path="/invoices/drafts$", times=1)
    sandbox.add_fault("status", method="GET", path="/invoices/(drafts|booked)$", status=503)
    first = await running.publish(CREATED, {"invoice": request})
    await running.answer(first, UNKNOWN)
    changed = {**request, "title": "Another", "lines": [{**request["lines"][0], "quantity": "7"}]}
    second = await running.publish(CREATED, {"invoice": changed})
    sandbox.faults.clear()
    answers = [await running.answer(each, SYNCED, FAILED, timeout_s=60) for each in (first, second)]
    assert [answer.type for answer in answers] == [SYNCED, SYNCED]
    assert len(drafts(running.agreement, request)) == 1
    told = {adjustment.field for adjustment in answers[1].data.adjustments}
    assert "quantity" in told


@pytest.mark.requirement("B1")
async def test_an_id_in_other_letters_is_the_same_invoice(running: Harness) -> None:
    request = await linked(running)
    plain = request["id"]
    for spelled in (plain, plain.upper(), f"{{{plain}}}", f"urn:uuid:{plain}", plain.replace("-", "")):
        answer = await running.request(CREATED, {"invoice": {**request, "id": spelled}}, SYNCED, FAILED)
        assert answer.type in (SYNCED, FAILED)
    assert len(drafts(running.agreement, request)) == 1


@pytest.mark.requirement("R9")
@pytest.mark.parametrize("spell", [str, str.upper, "urn:uuid:{}".format])
async def test_imports_whose_event_ids_spell_one_uuid_are_imports_of_their_own(running: Harness, spell: Any) -> None:
    await running.connect(OTHER, agreement=running.sandbox.add_agreement(seed=77))
    event_id = str(uuid4())
    first = await running.publish(IMPORT, {"entities": ["products"]}, event_id=event_id)
    assert (await running.answer(first, *ENDED)).type == ENDED[0]
    before = await running.rows("select * from pike.products where workspace_id = $1 order by id", WORKSPACE)
    body = {"entities": ["products"]}
    spelled = spell(event_id)
    if spelled != event_id:
        await running.publish(IMPORT, body, event_id=spelled)
        assert (await running.answer(spelled, *ENDED)).type == ENDED[0]
    other = await running.publish_from("/pike/other", IMPORT, body, workspace=OTHER, event_id=spelled)
    answers = await eventually(lambda: _of(running, other, OTHER))
    assert answers == [ENDED[0]]
    after = await running.rows("select * from pike.products where workspace_id = $1 order by id", WORKSPACE)
    assert [{**r, "last_synced_at": 0, "last_attempt_at": 0, "synced_as_of": 0} for r in after] == [
        {**r, "last_synced_at": 0, "last_attempt_at": 0, "synced_as_of": 0} for r in before
    ]
    theirs = await running.value("select agreement_number from economic.imports where workspace_id = $1", OTHER)
    assert theirs == running.sandbox.agreements[1].number
    assert await running.value("select count(*) from pike.products where workspace_id = $1", OTHER) > 0


async def _of(running: Harness, event_id: str, workspace: str) -> list[str]:
    return [e.type for e in running.answers(event_id) if e.workspace_id == workspace and e.type in ENDED]


@pytest.mark.requirement("B4", "R9")
async def test_a_failed_import_that_is_replayed_runs_again(launch: Launch, sandbox: Sandbox) -> None:
    async with launch(max_attempts="1") as running:
        await running.connect()
        sandbox.add_fault("status", path="/products$", status=503)
        event_id = await running.publish(IMPORT, {"entities": ["products"]})
        assert (await running.answer(event_id, *ENDED)).type == "economic.import.failed"
        sandbox.faults.clear()
        database = running.worker.dispatcher.database
        async with database.connection("test") as connection:
            (letter,) = await dead_letters.search(connection)
        assert (await replay(database, letter.id, "tester")).result == "sent"
        assert (await running.answer(event_id, "economic.import.completed")).type == ENDED[0]
        assert await running.value("select count(*) from pike.products") == len(running.agreement.products)
