"""The walk of a pushed invoice: one draft, whatever happens on the way, and every failure in plain words."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from e2e_kit import Launch
from harness import WORKSPACE, Harness
from support import eventually

from worker.economic.endpoints import EconomicApi
from worker.runtime.reconcile import reconcile
from worker.runtime.replay import replay
from worker.sandbox import Agreement, Sandbox
from worker.store import dead_letters

SYNCED, FAILED, UNKNOWN = (
    "economic.invoice.synced",
    "economic.invoice.sync_failed",
    "economic.invoice.outcome_unknown",
)
CREATED = "pike.invoice.created"


async def linked(running: Harness, **customer: Any) -> dict[str, Any]:
    """Put a linked customer and product into Pike and return an invoice over three hours at 153.44 less 10 %."""
    agreement = running.agreement
    number = customer.pop("number", next(c.number for c in agreement.customers if not c.barred and c.currency == "DKK"))
    product = next(p for p in agreement.products if not p.barred)
    async with asyncpg_worker(running) as connection:
        customer_id = await connection.fetchval(
            """insert into pike.customers (workspace_id, agreement_number, external_number, name)
               values ($1, $2, $3, 'Customer') on conflict (workspace_id, agreement_number, external_number)
               do update set name = excluded.name returning id""",
            WORKSPACE, agreement.number, str(number),
        )  # fmt: skip
        product_id = await connection.fetchval(
            """insert into pike.products (workspace_id, agreement_number, external_number, name, locked)
               values ($1, $2, $3, 'Hour', true) on conflict (workspace_id, agreement_number, external_number)
               do update set name = excluded.name returning id""",
            WORKSPACE, agreement.number, product.number,
        )  # fmt: skip
    return invoice(customer_id, product_id, **customer)


def asyncpg_worker(running: Harness) -> Any:
    """A connection that the lock triggers take for the worker's."""

    class Connected:
        async def __aenter__(self) -> asyncpg.Connection:
            self.connection = await asyncpg.connect(
                running.database_url, server_settings={"pike_economic.writer": "worker"}
            )
            return self.connection

        async def __aexit__(self, *_exc: object) -> None:
            await self.connection.close()

    return Connected()


def invoice(customer_id: UUID, product_id: UUID | None, **changes: Any) -> dict[str, Any]:
    """An invoice as Pike publishes it."""
    line = {
        "id": str(uuid4()), "product_id": str(product_id) if product_id else None, "description": "Design",
        "quantity": "3.00", "unit_price": "153.44", "discount_percent": "10",
    }  # fmt: skip
    return {
        "id": str(uuid4()), "title": "Website", "customer_id": str(customer_id), "issue_date": "2026-11-23",
        "currency": "DKK", "lines": [line], **changes,
    }  # fmt: skip


def drafts(agreement: Agreement, request: dict[str, Any]) -> list[Any]:
    """Drafts and booked invoices in e-conomic that bear this invoice's reference."""
    reference = f"Pike {request['id']}"
    return [*agreement.find_drafts(reference), *agreement.find_booked(reference)]


async def row(running: Harness, request: dict[str, Any]) -> dict[str, Any]:
    """The invoice's row in Pike."""
    return (await running.rows("select * from pike.invoices where id = $1", UUID(request["id"])))[0]


def drafts_posted(sandbox: Sandbox) -> list[Any]:
    """Requests that tried to make a draft."""
    return [r for r in sandbox.requests if r.method == "POST" and r.path == "/legacy/invoices/drafts"]


@pytest.mark.requirement("R3", "R22", "R29", "B12")
async def test_an_invoice_becomes_a_draft_whose_row_is_locked_and_stamped(running: Harness) -> None:
    request = await linked(running)
    answer = await running.request(CREATED, {"invoice": request}, SYNCED, FAILED)
    assert answer.type == SYNCED
    (draft,) = drafts(running.agreement, request)
    stored = await row(running, request)
    assert (stored["status"], stored["locked"], stored["external_number"]) == ("draft", True, str(draft.number))
    assert stored["last_synced_at"] is not None
    assert (stored["net_amount"], stored["vat_amount"], stored["gross_amount"]) == (draft.net, draft.vat, draft.gross)
    assert str(answer.data.net) == "414.29"
    assert answer.data.external_number == str(draft.number)


@pytest.mark.requirement("R31")
async def test_a_pushed_invoice_is_refused_to_editors_but_its_project(running: Harness) -> None:
    request = await linked(running)
    await running.request(CREATED, {"invoice": request}, SYNCED)
    async with running.pike() as pike:
        with pytest.raises(asyncpg.PostgresError, match="cannot be edited in Pike: title"):
            await pike.execute("update pike.invoices set title = 'x' where id = $1", UUID(request["id"]))
        with pytest.raises(asyncpg.PostgresError, match="lines cannot be edited"):
            await pike.execute("update pike.invoice_lines set quantity = 9 where invoice_id = $1", UUID(request["id"]))
        await pike.execute("update pike.invoices set project_id = 'p1' where id = $1", UUID(request["id"]))
    assert (await row(running, request))["project_id"] == "p1"


@pytest.mark.requirement("B1")
async def test_the_same_event_twice_makes_one_draft_and_one_answer(running: Harness) -> None:
    request = await linked(running)
    event_id = await running.publish(CREATED, {"invoice": request})
    await running.answer(event_id, SYNCED)
    await running.publish(CREATED, {"invoice": request}, event_id=event_id)
    await eventually(lambda: running.worker.dispatcher.tally.outcomes.get("duplicate") == 1)
    assert len(drafts(running.agreement, request)) == 1
    assert len(running.answers(event_id, SYNCED)) == 1


@pytest.mark.requirement("B1")
async def test_one_invoice_under_many_event_ids_at_once_makes_one_draft(running: Harness) -> None:
    request = await linked(running)
    ids = await asyncio.gather(*(running.publish(CREATED, {"invoice": request}) for _ in range(6)))
    for event_id in ids:
        assert (await running.answer(event_id, SYNCED, FAILED, timeout_s=60)).type == SYNCED
    assert len(drafts(running.agreement, request)) == 1


@pytest.mark.requirement("B1", "F13", "R22")
@pytest.mark.parametrize("fault", ["drop_after", "truncated_json"])
async def test_an_answer_lost_after_the_draft_was_made_is_looked_up(
    running: Harness, sandbox: Sandbox, fault: str
) -> None:
    request = await linked(running)
    sandbox.add_fault(fault, method="POST", path="/invoices/drafts$", times=1)
    event_id = await running.publish(CREATED, {"invoice": request})
    await running.answer(event_id, UNKNOWN)
    await running.answer(event_id, SYNCED)
    assert len(drafts(running.agreement, request)) == 1
    assert len(drafts_posted(sandbox)) == 1


@pytest.mark.requirement("B1", "F13")
async def test_while_the_outcome_is_unknown_the_invoice_is_frozen(running: Harness, sandbox: Sandbox) -> None:
    request = await linked(running)
    sandbox.add_fault("drop_after", method="POST", path="/invoices/drafts$", times=1)
    sandbox.add_fault("status", method="GET", path="/invoices/(drafts|booked)$", status=503)
    event_id = await running.publish(CREATED, {"invoice": request})
    await running.answer(event_id, UNKNOWN)
    assert (await row(running, request))["status"] == "outcome_unknown"
    async with running.pike() as pike:
        with pytest.raises(asyncpg.PostgresError, match="cannot be edited"):
            await pike.execute("update pike.invoices set title = 'x' where id = $1", UUID(request["id"]))
    sandbox.faults.clear()
    assert (await running.answer(event_id, SYNCED, FAILED)).type == SYNCED
    assert len(drafts(running.agreement, request)) == 1


@pytest.mark.requirement("B1", "F13")
async def test_a_look_up_that_is_refused_leaves_the_outcome_unknown(running: Harness, sandbox: Sandbox) -> None:
    request = await linked(running)
    sandbox.add_fault("drop_after", method="POST", path="/invoices/drafts$", times=1)
    refusing = sandbox.add_fault("status", method="GET", path="/invoices/(drafts|booked)$", status=403)
    event_id = await running.publish(CREATED, {"invoice": request})
    await running.answer(event_id, UNKNOWN)
    await eventually(lambda: refusing.struck >= 2, message="looked up twice")
    assert (await row(running, request))["status"] == "outcome_unknown"
    assert running.answers(event_id, FAILED) == []
    sandbox.faults.clear()
    assert (await running.answer(event_id, SYNCED, FAILED)).type == SYNCED
    assert len(drafts(running.agreement, request)) == 1


@pytest.mark.requirement("B1")
async def test_a_write_lost_before_it_arrived_is_sent_again_with_the_same_key(
    running: Harness, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.handlers.pushing.ledger.SETTLE_S", 0.0)
    request = await linked(running)
    sandbox.add_fault("drop_before", method="POST", path="/invoices/drafts$", times=1)
    event_id = await running.publish(CREATED, {"invoice": request})
    assert (await running.answer(event_id, SYNCED, FAILED)).type == SYNCED
    assert len(drafts(running.agreement, request)) == 1
    keys = {posted.idempotency_key for posted in drafts_posted(sandbox)}
    assert len(drafts_posted(sandbox)) == 2
    assert len(keys) == 1


@pytest.mark.requirement("B1")
async def test_after_the_keys_hour_two_settled_look_ups_come_before_a_new_key(
    running: Harness, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.handlers.pushing.ledger.SETTLE_S", 0.3)
    request = await linked(running)
    sandbox.add_fault("drop_before", method="POST", path="/invoices/drafts$", times=1)
    looking = sandbox.add_fault("status", method="GET", path="/invoices/(drafts|booked)$", status=503)
    event_id = await running.publish(CREATED, {"invoice": request})
    await running.answer(event_id, UNKNOWN)
    async with asyncpg_worker(running) as connection:
        await connection.execute("update economic.effects set first_sent_at = now() - interval '2 hours'")
    looking.times = looking.struck
    assert (await running.answer(event_id, SYNCED, FAILED, timeout_s=60)).type == SYNCED
    posted = drafts_posted(sandbox)
    assert len({each.idempotency_key for each in posted}) == 2
    looks = [
        r for r in sandbox.requests if r.method == "GET" and r.path == "/legacy/invoices/drafts" and r.status == 200
    ]
    assert len(looks) >= 2
    assert len(drafts(running.agreement, request)) == 1


@pytest.mark.requirement("B1", "F17")
async def test_a_draft_that_a_person_deleted_is_not_sent_again_silently(running: Harness) -> None:
    request = await linked(running)
    await running.request(CREATED, {"invoice": request}, SYNCED)
    (draft,) = drafts(running.agreement, request)
    running.agreement.drafts.remove(draft.number)
    answer = await running.request(CREATED, {"invoice": request}, SYNCED, FAILED)
    assert answer.type == FAILED
    assert answer.data.problem.cause.value == "draft_deleted"
    assert drafts(running.agreement, request) == []


@pytest.mark.requirement("R3", "B1")
async def test_a_connection_that_books_turns_the_draft_into_one_invoice(launch: Launch, sandbox: Sandbox) -> None:
    async with launch() as running:
        await running.connect(booking="book")
        request = await linked(running)
        sandbox.add_fault("drop_after", method="POST", path="/invoices/booked$", times=1)
        event_id = await running.publish(CREATED, {"invoice": request})
        answer = await running.answer(event_id, SYNCED, FAILED)
        assert answer.type == SYNCED
        assert answer.data.status.value == "booked"
        (booked,) = drafts(running.agreement, request)
        stored = await row(running, request)
        assert (stored["booked_number"], stored["external_number"]) == (booked.number, str(booked.number))


@pytest.fixture
async def booking(launch: Launch) -> AsyncIterator[Harness]:
    """A worker whose workspace books what it sends."""
    async with launch() as running:
        await running.connect(booking="book")
        yield running


def before_booking(monkeypatch: pytest.MonkeyPatch, act: Callable[[EconomicApi, bytes], Awaitable[Any]]) -> None:
    """Let a person in e-conomic do something to the first draft just before it is booked."""
    real = EconomicApi.book_draft
    acted: list[bytes] = []

    async def book_draft(self: EconomicApi, body: bytes, idempotency_key: str) -> Any:
        if not acted:
            acted.append(body)
            await act(self, body)
        return await real(self, body, idempotency_key)

    monkeypatch.setattr(EconomicApi, "book_draft", book_draft)


@pytest.mark.requirement("B1")
async def test_a_draft_deleted_before_it_is_booked_is_said_and_made_anew_when_sent_again(
    booking: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.handlers.pushing.ledger.SETTLE_S", 0.3)

    async def delete(_api: EconomicApi, body: bytes) -> None:
        booking.agreement.drafts.remove(json.loads(body)["draftInvoice"]["draftInvoiceNumber"])

    before_booking(monkeypatch, delete)
    request = await linked(booking)
    answer = await booking.request(CREATED, {"invoice": request}, SYNCED, FAILED)
    assert (answer.type, answer.data.problem.cause.value) == (FAILED, "draft_deleted")
    again = await booking.request(CREATED, {"invoice": request}, SYNCED, FAILED)
    assert (again.type, again.data.status.value) == (SYNCED, "booked")
    assert len(drafts(booking.agreement, request)) == 1


@pytest.mark.requirement("B1")
async def test_a_draft_that_a_person_books_first_is_the_one_invoice(
    booking: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = EconomicApi.book_draft
    before_booking(monkeypatch, lambda api, body: real(api, body, "by hand"))
    request = await linked(booking)
    answer = await booking.request(CREATED, {"invoice": request}, SYNCED, FAILED)
    assert (answer.type, answer.data.status.value) == (SYNCED, "booked")
    assert len(drafts(booking.agreement, request)) == 1


@pytest.mark.requirement("R14")
async def test_an_account_that_e_conomic_rules_is_told_and_kept_on_the_line(running: Harness) -> None:
    request = await linked(running)
    request["lines"][0]["finance_account"] = 4242
    answer = await running.request(CREATED, {"invoice": request}, SYNCED, FAILED)
    told = [a for a in answer.data.adjustments if a.field == "finance_account"]
    assert [(a.sent, str(a.line_id)) for a in told] == [(4242, request["lines"][0]["id"])]
    lines = await running.rows("select * from pike.invoice_lines where invoice_id = $1", UUID(request["id"]))
    assert lines[0]["finance_account_requested"] == 4242
    assert lines[0]["finance_account"] == told[0].stored != 4242
    assert str(lines[0]["id"]) == request["lines"][0]["id"]


async def own_customer(running: Harness, **columns: Any) -> UUID:
    """A customer of Pike's own, not linked."""
    names = ", ".join(columns)
    marks = ", ".join(f"${index}" for index in range(2, len(columns) + 2))
    customer_id: UUID = await running.value(
        f"insert into pike.customers (workspace_id, {names}) values ($1, {marks}) returning id",
        WORKSPACE, *columns.values(),
    )  # fmt: skip
    return customer_id


@pytest.mark.requirement("R6", "B11")
async def test_an_unlinked_customer_is_found_by_its_vat_number_and_linked(running: Harness) -> None:
    known = next(c for c in running.agreement.customers if c.cvr and not c.barred)
    request = await linked(running)
    request["customer_id"] = str(await own_customer(running, name="Somebody", vat_number=f"DK{known.cvr}"))
    before = len(running.agreement.customers)
    assert (await running.request(CREATED, {"invoice": request}, SYNCED, FAILED)).type == SYNCED
    linked_to = await running.value(
        "select external_number from pike.customers where id = $1", UUID(request["customer_id"])
    )
    assert (linked_to, len(running.agreement.customers)) == (str(known.number), before)


@pytest.mark.requirement("R6")
async def test_a_customer_sent_along_is_created_once_in_e_conomic(running: Harness, sandbox: Sandbox) -> None:
    request = await linked(running)
    new = {"id": str(uuid4()), "name": "Ny Kunde ApS", "email": "ny@example.test", "vat_number": "99887766"}
    request["customer_id"] = new["id"]
    sandbox.add_fault("drop_after", method="POST", path="/customers$", times=1)
    event_id = await running.publish(CREATED, {"invoice": request, "customer": new})
    assert (await running.answer(event_id, SYNCED, FAILED)).type == SYNCED
    made = [c for c in running.agreement.customers if c.name == "Ny Kunde ApS"]
    assert len(made) == 1
    assert await running.value("select external_number from pike.customers where id = $1", UUID(new["id"])) == str(
        made[0].number
    )


@pytest.mark.requirement("F16")
async def test_several_customers_alike_are_left_to_a_person(running: Harness) -> None:
    first, second = [c for c in running.agreement.customers if not c.cvr][:2]
    for each in (first, second):
        running.agreement.rename_customer(each.number, "Tvilling ApS")
    request = await linked(running)
    request["customer_id"] = str(await own_customer(running, name="Tvilling ApS"))
    answer = await running.request(CREATED, {"invoice": request}, SYNCED, FAILED)
    assert answer.data.problem.cause.value == "ambiguous_match"
    assert str(first.number) in answer.data.problem.user_message


CASES = {
    "product_barred": ("F1", lambda a, r: a.bar_product(next(p for p in a.products if not p.barred).number)),
    "too_many_decimals": ("F8", lambda _a, r: r["lines"][0].update(quantity="1.005")),
    "text_too_long": ("F9", lambda _a, r: r.update(title="x" * 300)),
    "invalid_dates": ("F8", lambda _a, r: r.update(due_date="2026-01-01")),
    "product_not_linked": ("F8", lambda _a, r: r["lines"][0].update(product_id=str(uuid4()))),
    "currency_unusable": ("F5", lambda _a, r: r.update(currency="XXX")),
}


@pytest.mark.requirement("F1", "F5", "F8", "F9", "R22", "B3")
@pytest.mark.parametrize("cause", list(CASES))
async def test_a_refusal_is_explained_dead_lettered_and_leaves_the_invoice_editable(
    running: Harness, cause: str
) -> None:
    request = await linked(running)
    CASES[cause][1](running.agreement, request)
    event_id = await running.publish(CREATED, {"invoice": request})
    answer = await running.answer(event_id, SYNCED, FAILED)
    assert answer.type == FAILED
    problem = answer.data.problem
    assert problem.cause.value == cause
    assert problem.user_message[0].isupper()
    assert problem.user_message.endswith(".")
    assert problem.remedy.endswith(".")
    assert drafts(running.agreement, request) == []
    stored = await row(running, request)
    assert (stored["status"], stored["locked"], stored["last_problem"] is not None) == ("failed", False, True)
    letters = await running.rows("select cause, event_id from economic.dead_letters where state = 'open'")
    assert [(letter["cause"], letter["event_id"]) for letter in letters] == [(cause, event_id)]
    async with running.pike() as pike:
        await pike.execute("update pike.invoices set title = 'corrected' where id = $1", UUID(request["id"]))


@pytest.mark.requirement("B3", "B1")
async def test_a_replay_after_the_cause_is_gone_makes_the_one_draft(running: Harness) -> None:
    request = await linked(running)
    number = next(p for p in running.agreement.products if not p.barred).number
    running.agreement.bar_product(number)
    event_id = await running.publish(CREATED, {"invoice": request})
    await running.answer(event_id, FAILED)
    running.agreement.bar_product(number, barred=False)
    database = running.worker.dispatcher.database
    async with database.connection("test") as connection:
        (letter,) = await dead_letters.search(connection)
    assert (await replay(database, letter.id, "tester")).result == "sent"
    assert (await replay(database, letter.id, "tester")).result == "already_closed"
    await running.answer(event_id, SYNCED)
    assert len(drafts(running.agreement, request)) == 1
    dispatcher = running.worker.dispatcher
    proof = await reconcile(database, dispatcher.client, dispatcher.vault)
    assert (proof.lost, proof.double, proof.invoices[0].in_economic) == (0, 0, 1)


@pytest.mark.requirement("B2")
async def test_the_proof_tells_a_doubled_and_a_missing_invoice(running: Harness) -> None:
    doubled, missing = await linked(running), await linked(running)
    for request in (doubled, missing):
        await running.request(CREATED, {"invoice": request}, SYNCED)
    agreement = running.agreement
    (draft,) = drafts(agreement, doubled)
    (gone,) = drafts(agreement, missing)
    agreement.drafts.remove(gone.number)
    api = running.worker.dispatcher.client.for_grant(_secret(agreement), agreement_number=agreement.number)
    original = await api.get_draft(draft.number)
    copy = original.model_dump(by_alias=True, exclude_none=True, mode="json", exclude={"draft_invoice_number", "lines"})
    await _post_copy(running, copy)
    dispatcher = running.worker.dispatcher
    proof = await reconcile(dispatcher.database, dispatcher.client, dispatcher.vault)
    assert proof.invoices[0].double == [doubled["id"]]
    assert proof.invoices[0].missing == [missing["id"]]
    assert (proof.lost, proof.double) == (1, 1)


def _secret(agreement: Agreement) -> Any:
    from pydantic import SecretStr

    return SecretStr(agreement.grant_token)


async def _post_copy(running: Harness, document: dict[str, Any]) -> None:
    """Copy a draft in e-conomic as a person would, reference included."""
    import aiohttp

    body = {
        "date": document["date"], "currency": document["currency"], "references": document["references"],
        "customer": document["customer"], "layout": document["layout"],
        "paymentTerms": {"paymentTermsNumber": document["paymentTerms"]["paymentTermsNumber"]},
        "recipient": {"name": document["recipient"]["name"],
                      "vatZone": {"vatZoneNumber": document["recipient"]["vatZone"]["vatZoneNumber"]}},
    }  # fmt: skip
    headers = {
        "X-AppSecretToken": running.sandbox.app_secret_token,
        "X-AgreementGrantToken": running.agreement.grant_token,
    }
    url = f"{running.sandbox.legacy_url}/invoices/drafts"
    async with aiohttp.ClientSession() as session, session.post(url, json=body, headers=headers) as answer:
        assert answer.status == 201, await answer.text()


@pytest.mark.requirement("F11", "B9")
async def test_a_revoked_grant_holds_one_workspace_until_it_is_reconnected(running: Harness, sandbox: Sandbox) -> None:
    other = sandbox.add_agreement(seed=5)
    await running.connect("ws-other", agreement=other)
    request = await linked(running)
    running.agreement.revoke()
    event_id = await running.publish(CREATED, {"invoice": request})
    await eventually(lambda: any(e.type == "economic.connection.revoked" for e in running.heard))
    parked = "select count(*) from economic.inbox where state = 'parked'"
    await eventually(lambda: _is(running, parked, 1))
    second = await running.publish("pike.refresh.requested", {"entity": "customer", "external_number": "1"})
    await eventually(lambda: _is(running, parked, 2))
    assert sum(e.type == "economic.connection.revoked" for e in running.heard) == 1
    number = next(iter(other.customers)).number
    assert (await running.refresh("customer", workspace="ws-other", external_number=str(number))).type.endswith(
        "completed"
    )
    running.agreement.restore()
    assert (await running.connect()).released == 2
    assert (await running.answer(event_id, SYNCED, FAILED)).type == SYNCED
    await running.answer(second, "economic.refresh.completed", "economic.refresh.failed")
    assert len(drafts(running.agreement, request)) == 1


async def _is(running: Harness, sql: str, expected: int) -> bool:
    return bool(await running.value(sql) == expected)
