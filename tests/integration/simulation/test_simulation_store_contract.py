"""The memory store keeps what Postgres keeps: the same calls of ``worker.store``, the same answers (B16)."""

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from pydantic import SecretStr

from schemas.customer import LocalCustomer
from schemas.invoice import InvoiceStatus, PikeInvoice, PikeInvoiceLine, RequestedInvoice
from tests.integration.simulation.conftest import Stage
from tests.integration.store.store_kit import finish
from worker.store import (
    admission,
    connections,
    customers,
    dead_letters,
    effects,
    endings,
    gates,
    guarded,
    inbox,
    invoices,
    outbox,
    own_invoices,
)
from worker.store.admission import Admission
from worker.store.connections import Refusal
from worker.store.crypto import Vault
from worker.store.endings import End
from worker.store.inbox import Claim, ClaimResult, FenceLost, Received, Standing
from worker.store.outbox import OutboxMessage
from worker.store.records import Change, Written, write_audit

WS = "ws"
AGREEMENT = 77
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
EVENT = Received(
    source="/pike", event_id="e1", type="pike.x", workspace_id=WS, lane="work", body=b"{}", body_hash=b"h1",
    content_type="application/json", headers={"traceparent": "00-1"}, owner="one",
)  # fmt: skip
VAULT = Vault({"k": b"k" * 32})


async def claim(stage: Stage, owner: str = "one", **fields: Any) -> ClaimResult:
    async with stage.database.connection("test") as connection:
        return await inbox.claim(connection, replace(EVENT, owner=owner, **fields), 60.0)


async def claimed(stage: Stage, owner: str = "one") -> Claim:
    result = await claim(stage, owner)
    assert result.claim is not None
    return result.claim


async def put_back(stage: Stage, held: Claim, **options: Any) -> None:
    async with stage.database.connection("test") as connection:
        await inbox.put_back(connection, held, **{"parked": False, "free": False, "note": None, **options})


async def test_of_many_claims_at_once_one_succeeds(stage: Stage) -> None:
    results = await asyncio.gather(*(claim(stage, f"process-{n}") for n in range(6)))
    assert sorted(result.standing for result in results) == [Standing.CLAIMED, *[Standing.HELD] * 5]
    assert all(50 < result.lease_left_s <= 60 for result in results if result.claim is None)


async def test_an_expired_lease_is_taken_over_with_a_higher_fence_and_the_old_one_writes_nothing(stage: Stage) -> None:
    old = await claimed(stage)
    await stage.later(61)
    new = await claimed(stage, "two")
    assert (new.fence, new.attempts) == (old.fence + 1, old.attempts + 1)
    async with stage.database.connection("test") as connection:
        for write in (
            finish(connection, old, "x"), inbox.extend(connection, old, 60), inbox.bury(connection, old, "x"),
            inbox.put_back(connection, old, parked=False, free=False, note=None),
        ):  # fmt: skip
            with pytest.raises(FenceLost):
                await write
        await inbox.extend(connection, new, 60)
        await finish(connection, new, "done")
        with pytest.raises(FenceLost):
            await finish(connection, new, "again")
    assert (await claim(stage, "three")).standing is Standing.DONE


@pytest.mark.requirement("B1")
async def test_in_a_batch_the_old_fence_of_an_event_is_told_from_its_new_one(stage: Stage) -> None:
    old = await claimed(stage)
    await stage.later(61)
    new = await claimed(stage, "two")
    async with stage.database.transaction("test") as connection:
        assert await inbox.extend_many(connection, [(old, 60.0), (new, 60.0)]) == {old}
        assert (await endings.write(connection, [End(new, "x", 0.0), End(old, "x", 0.0)], []))[1] == {old}


async def test_an_ending_and_a_checkpoint_are_written_together_with_what_they_send(stage: Stage) -> None:
    one, two = await claimed(stage), (await claim(stage, event_id="e2")).need_claim()
    async with stage.database.transaction("test") as connection:
        ends = [End(one, "x", 0.0), End(two, None, 500.0)]
        sent, lost = await endings.write(connection, ends, [message("m1"), message("m2")])
    assert ([row.message.event_id for row in sent], lost) == (["m1", "m2"], set())
    assert sent[0].id < sent[1].id
    assert (await claim(stage, "two")).standing is Standing.DONE
    held = await claim(stage, "two", event_id="e2")
    assert (held.standing, 490 < held.lease_left_s <= 500) == (Standing.HELD, True)


async def test_the_same_delivery_takes_its_own_claim_up_again_without_an_attempt(stage: Stage) -> None:
    first, again = await claimed(stage), await claimed(stage)
    assert (again.fence, again.attempts) == (first.fence + 1, first.attempts)


async def test_put_back_counts_attempts_or_snoozes_and_keeps_the_last_twenty_notes(stage: Stage) -> None:
    for number in range(22):
        await put_back(stage, await claimed(stage), free=number % 2 == 0, note={"n": number})
    held = await claimed(stage)
    assert (held.attempts, held.snoozes, held.fence) == (12, 11, 23)
    assert [note["n"] for note in held.history] == list(range(2, 22))


async def test_another_body_conflicts_in_every_state_and_a_dead_event_stays_dead(stage: Stage) -> None:
    held = await claimed(stage)
    assert (await claim(stage, "two", body_hash=b"h2")).standing is Standing.CONFLICT
    async with stage.database.connection("test") as connection:
        await inbox.bury(connection, held, "why")
    assert (await claim(stage, "two", body_hash=b"h2")).standing is Standing.CONFLICT
    assert (await claim(stage, "two")).standing is Standing.DONE


async def test_parked_events_are_released_once_with_what_is_needed_to_send_them_again(stage: Stage) -> None:
    await put_back(stage, await claimed(stage), parked=True, free=True)
    assert (await claim(stage, "two")).standing is Standing.PARKED
    async with stage.database.transaction("test") as connection:
        (row,) = await inbox.release_parked(connection, WS)
        assert (row["event_id"], row["lane"], row["body"], row["headers"]) == ("e1", "work", b"{}", EVENT.headers)
        assert not await inbox.release_parked(connection, WS)
    assert (await claim(stage, "two")).standing is Standing.CLAIMED


async def test_a_second_writer_waits_for_the_first_and_then_sees_what_it_wrote(stage: Stage) -> None:
    held = await claimed(stage)
    async with stage.database.transaction("first") as first:
        await finish(first, held, "first")
        second = asyncio.create_task(put_back(stage, held))
        done, _ = await asyncio.wait({second}, timeout=0.1)
        assert not done
        assert (await claim_look(stage)).standing is Standing.HELD  # uncommitted: nobody sees it
    with pytest.raises(FenceLost):
        await second


async def claim_look(stage: Stage) -> ClaimResult:
    """Look without claiming: another body never takes over, and tells the state of the row through its standing."""
    async with stage.database.connection("test") as connection:
        row = await connection.fetchrow(inbox._LOOK, ["/pike"], ["e1"], [b"h1"])
    return ClaimResult(inbox._standing(row["state"], row["same"]))


async def test_what_is_rolled_back_never_was(stage: Stage) -> None:
    held = await claimed(stage)
    with pytest.raises(ZeroDivisionError):  # noqa: PT012  # the block is what is rolled back
        async with stage.database.transaction("test") as connection:
            await finish(connection, held, "x")
            await outbox.append(connection, [message("m1")])
            raise ZeroDivisionError
    async with stage.database.connection("test") as connection:
        await finish(connection, held, "after all")
    await stage.later(100)
    assert await take(stage) == []


async def test_two_that_wait_for_each_other_are_told(stage: Stage) -> None:
    one, two = await claimed(stage), (await claim(stage, event_id="e2")).claim
    assert two is not None
    barrier = asyncio.Barrier(2)

    async def both(first: Claim, second: Claim) -> str:
        try:
            async with stage.database.transaction("test") as connection:
                await inbox.extend(connection, first, 60)
                await barrier.wait()
                await inbox.extend(connection, second, 60)
        except asyncpg.DeadlockDetectedError:
            return "deadlock"
        return "fine"

    assert sorted(await asyncio.gather(both(one, two), both(two, one))) == ["deadlock", "fine"]


# --- the ledger ----------------------------------------------------------------------------------------

SUBJECT = uuid4()


async def intend(stage: Stage, key: str = "key-1", subject: UUID = SUBJECT) -> bool:
    async with stage.database.connection("test") as connection:
        return await effects.intend(
            connection, agreement=AGREEMENT, subject_id=subject, step="draft", workspace_id=WS, reference="Pike x",
            idempotency_key=key, body=b"{}", fence=1,
        )  # fmt: skip


async def record(stage: Stage, state: Any, number: str | None = None) -> None:
    async with stage.database.connection("test") as connection:
        await effects.record(
            connection, agreement=AGREEMENT, subject_id=SUBJECT, step="draft", state=state, external_number=number
        )


async def effect(stage: Stage) -> effects.Effect:
    async with stage.database.connection("test") as connection:
        return (await effects.find_all(connection, AGREEMENT, SUBJECT))["draft"]


async def is_open(stage: Stage) -> bool:
    async with stage.database.connection("test") as connection:
        return await effects.any_open(connection, SUBJECT)


async def test_one_intent_at_a_time_and_a_refused_one_is_replaced(stage: Stage) -> None:
    assert not await is_open(stage)
    assert (await intend(stage), await intend(stage, "key-2")) == (True, False)
    assert (await is_open(stage), (await effect(stage)).idempotency_key) == (True, "key-1")
    await record(stage, "refused")
    assert not await is_open(stage)
    await stage.later(500)
    assert await intend(stage, "key-3")
    found = await effect(stage)
    assert (found.state, found.idempotency_key, found.age_s < 100) == ("intent", "key-3", True)


async def test_done_is_never_taken_back_and_keeps_its_number(stage: Stage) -> None:
    await intend(stage)
    await record(stage, "done", "101")
    await record(stage, "unknown")
    await record(stage, "done")
    found = await effect(stage)
    assert (found.state, found.external_number) == ("done", "101")
    assert not await intend(stage, "key-2")


async def test_a_new_key_needs_two_empty_look_ups_some_time_apart(stage: Stage) -> None:
    async def renew() -> bool:
        async with stage.database.transaction("test") as connection:
            return await effects.renew(connection, known, idempotency_key="key-2", body=b"[]", fence=2, settle_s=10)

    await intend(stage)
    await stage.later(4000)
    known = await effect(stage)
    assert 4000 <= known.age_s < 4100
    assert [await renew(), await renew()] == [False, False]
    await stage.later(11)
    assert [await renew(), await renew()] == [True, False]
    found = await effect(stage)
    assert (found.idempotency_key, found.body, found.age_s < 100) == ("key-2", b"[]", True)


# --- outbox --------------------------------------------------------------------------------------------


def message(event_id: str) -> OutboxMessage:
    return OutboxMessage(event_id, "economic.x", WS, "pike.events", "economic.x", b"{}", "application/json", {"a": "b"})


async def append(stage: Stage, *ids: str) -> list[int]:
    async with stage.database.transaction("test") as connection:
        return [row.id for row in await outbox.append(connection, [message(each) for each in ids])]


async def take(stage: Stage) -> list[str]:
    async with stage.database.connection("test") as connection:
        return [row.message.event_id for row in await outbox.take(connection, 10)]


async def test_fresh_rows_are_their_writers_until_the_lease_ends_and_then_one_takers(stage: Stage) -> None:
    numbers = await append(stage, "m1", "m2")
    assert numbers == sorted(numbers)
    assert await take(stage) == []
    await stage.later(16)
    assert [await take(stage), await take(stage)] == [["m1", "m2"], []]
    async with stage.database.connection("test") as connection:
        await outbox.delete(connection, numbers[:1])
    await stage.later(16)
    assert await take(stage) == ["m2"]


async def test_rows_that_another_taker_holds_are_skipped_not_waited_for(stage: Stage) -> None:
    await append(stage, "m1")
    await stage.later(16)
    async with stage.database.transaction("test") as connection:
        assert len(await outbox.take(connection, 10)) == 1
        assert await take(stage) == []


async def test_failed_rows_wait_twice_as_long_each_time_and_unheard_ones_are_given_up(stage: Stage) -> None:
    (number,) = await append(stage, "m1")
    for wait in (5, 10, 20):
        async with stage.database.connection("test") as connection:
            await outbox.failed(connection, [(number, "why", True)])
        await stage.later(wait - 1)
        assert await take(stage) == []
        await stage.later(2)
        async with stage.database.connection("test") as connection:
            (row,) = await outbox.take(connection, 10)
        assert row.message == message("m1")
    async with stage.database.connection("test") as connection:
        assert await outbox.drop_unheard(connection, 100) == 0
        assert await outbox.drop_unheard(connection, 10) == 1


# --- connections, letters, audit -----------------------------------------------------------------------


async def establish(stage: Stage, grant: str = "g", booking: str | None = None) -> connections.EconomicConnection:
    async with stage.database.transaction("test") as connection:
        return await connections.establish(
            connection, VAULT, workspace_id=WS, agreement_number=AGREEMENT, company_name="C", base_currency="DKK",
            grant=SecretStr(grant), defaults={"layout": 1, "vat_zone": 1}, booking=booking,
        )  # fmt: skip


async def test_what_a_workspace_may_do_is_its_connection_with_the_gates_that_are_not_open(stage: Stage) -> None:
    made = await establish(stage)
    async with stage.database.connection("test") as connection:
        found = await admission.find(connection, [WS, "nobody"])
        assert {name: (each.connection, each.gates) for name, each in found.items()} == {WS: (made, {})}
        for agreement in (gates.WHOLE, AGREEMENT, AGREEMENT + 1):
            await gates.failed(connection, agreement, limit=2, cooldown_s=10, longest_s=60)
        await gates.failed(connection, AGREEMENT, limit=2, cooldown_s=10, longest_s=60)
        shut = (await admission.find(connection, [WS]))[WS].gates
    assert {n: (g.failures, g.held_because, g.whole) for n, g in shut.items()} == {
        gates.WHOLE: (1, None, True), AGREEMENT: (2, "breaker", False),
    }  # fmt: skip
    assert 8 < shut[AGREEMENT].held_s <= 10


async def admitted(stage: Stage, *events: Received) -> list[tuple[ClaimResult, Admission | None]]:
    async with stage.database.connection("test") as connection:
        return await admission.claim(connection, events, 60.0)


async def test_a_claim_tells_what_its_workspace_may_do_and_nothing_when_there_is_no_claim(stage: Stage) -> None:
    made = await establish(stage)
    async with stage.database.connection("test") as connection:
        for agreement in (gates.WHOLE, AGREEMENT):
            await gates.failed(connection, agreement, limit=2, cooldown_s=10, longest_s=60)
    others = [replace(EVENT, event_id=f"e{n}", owner=f"{n}") for n in (2, 3)]
    found = await admitted(stage, EVENT, *others, replace(EVENT, event_id="e4", workspace_id="nobody"))
    assert all(result.standing is Standing.CLAIMED for result, _ in found)
    assert [each and (each.connection, set(each.gates)) for _, each in found] == [
        *[(made, {gates.WHOLE, AGREEMENT})] * 3, None,
    ]  # fmt: skip
    ((result, nothing),) = await admitted(stage, replace(EVENT, owner="two"))
    assert (result.standing, nothing) == (Standing.HELD, None)


@pytest.mark.parametrize("body_hash", [b"h1", b"another"], ids=["claims it", "conflicts with it"])
async def test_a_claim_that_waited_for_a_reconnect_has_the_grant_of_that_reconnect(
    stage: Stage, body_hash: bytes
) -> None:
    await establish(stage)
    await put_back(stage, await claimed(stage), parked=True, free=True)
    fresh, known = replace(EVENT, event_id="e0", owner="fresh"), replace(EVENT, body_hash=body_hash)
    elsewhere = replace(EVENT, event_id="e9", owner="elsewhere", workspace_id="connected meanwhile")
    async with stage.database.transaction("reconnect") as connection:
        assert len(await inbox.release_parked(connection, WS)) == 1
        for workspace, agreement in ((WS, AGREEMENT), (elsewhere.workspace_id, AGREEMENT + 1)):
            await connections.establish(
                connection, VAULT, workspace_id=workspace, agreement_number=agreement, company_name="C",
                base_currency="DKK", grant=SecretStr("new"), defaults={},
            )  # fmt: skip
        waiting = asyncio.create_task(admitted(stage, fresh, known, elsewhere))
        done, _ = await asyncio.wait({waiting}, timeout=0.1)
        assert not done
    versions = [each and each.connection.grant_version for _, each in await waiting]
    assert versions == [2, 2 if body_hash == EVENT.body_hash else None, 1]


async def test_a_refusal_holds_the_workspace_once_unless_somebody_reconnected(stage: Stage) -> None:
    async def refuse(version: int) -> Refusal:
        async with stage.database.transaction("test") as connection:
            return await connections.refuse_grant(connection, WS, version, {"cause": "x"})

    made = await establish(stage, booking="book")
    assert [await refuse(1), await refuse(1)] == [Refusal.FIRST, Refusal.KNOWN]
    again = await establish(stage, "g2")
    assert (again.id, again.grant_version, again.booking, again.status) == (made.id, 2, "book", "active")
    assert await refuse(1) is Refusal.OUTDATED
    async with stage.database.connection("test") as connection:
        found = await connections.find(connection, WS)
        assert await connections.find(connection, "other") is None
        assert [each.id for each in await connections.find_all(connection)] == [made.id]
    assert found is not None
    assert found.active
    assert (found.problem, found.defaults) == (None, {"layout": 1, "vat_zone": 1})
    assert connections.open_grant(VAULT, found).get_secret_value() == "g2"


async def test_dead_letters_and_the_audit_are_written(stage: Stage) -> None:
    letter = dead_letters.NewLetter(lane="work", body=b"x", cause="c", problem={}, received_at=None)
    async with stage.database.transaction("test") as connection:
        assert await dead_letters.insert(connection, letter) != await dead_letters.insert(connection, letter)
        await write_audit(connection, WS, "invoice", "push:1", [Written(uuid4(), "1", False, (Change("a", 1, 2),))])


# --- what a push writes to the read model --------------------------------------------------------------

INVOICE, CUSTOMER = uuid4(), uuid4()
REQUEST = RequestedInvoice.model_validate({
    "id": INVOICE, "title": "T", "customer_id": CUSTOMER, "issue_date": date(2026, 11, 1), "currency": "DKK",
    "lines": [{"id": uuid4(), "description": "d", "quantity": 1, "unit_price": 1}],
})  # fmt: skip


async def keep(stage: Stage) -> None:
    async with stage.database.transaction("test") as connection:
        await customers.insert_local(connection, WS, LocalCustomer(id=CUSTOMER, name="K"))
        await own_invoices.save_request(connection, WS, REQUEST)


async def status(stage: Stage) -> tuple[str, bool, str | None] | None:
    async with stage.database.connection("test") as connection:
        found = await own_invoices.find(connection, WS, INVOICE)
    return (found.status, found.locked, found.external_number) if found else None


def document(number: int, *, booked: bool, title: str = "T") -> PikeInvoice:
    series = {"booked_number": number} if booked else {"draft_number": number}
    return PikeInvoice.model_validate({
        "external_number": str(number), "document": "booked" if booked else "draft", "title": title,
        "status": InvoiceStatus.BOOKED if booked else InvoiceStatus.DRAFT, "customer_number": "7",
        "issue_date": date(2026, 11, 1), "currency": "DKK", "net_amount": 1, "vat_amount": 0, "gross_amount": 1,
        "reference": f"Pike {INVOICE}", "lines": (PikeInvoiceLine(position=1, net_amount=Decimal(1)),), **series,
    })  # fmt: skip


async def upsert(stage: Stage, row: PikeInvoice, as_of: datetime = NOON) -> list[Written]:
    async with stage.database.transaction("test") as connection:
        return await invoices.upsert_invoices(connection, WS, AGREEMENT, [row], as_of)


async def test_a_pushed_invoice_stays_one_row_from_request_to_booked(stage: Stage) -> None:
    await keep(stage)
    await keep(stage)
    assert await status(stage) == ("pending", False, None)
    written = await upsert(stage, document(5, booked=False))
    assert [(each.id, each.external_number) for each in written] == [(INVOICE, "5")]
    assert await status(stage) == ("draft", True, "5")
    written = await upsert(stage, document(9, booked=True), NOON + timedelta(minutes=1))
    assert [each.id for each in written] == [INVOICE]
    assert await status(stage) == ("booked", True, "9")
    assert await upsert(stage, document(5, booked=False), NOON) == []  # a late page of drafts brings no second one
    assert await upsert(stage, document(9, booked=True), NOON) == []
    async with stage.database.connection("test") as connection:
        assert await guarded.find(connection, "invoice", WS, INVOICE) == guarded.Guarded(True, "9", "booked", 77)


async def test_a_status_is_shown_only_while_the_invoice_is_editable(stage: Stage) -> None:
    await keep(stage)

    async def show(value: str) -> None:
        async with stage.database.connection("test") as connection:
            await own_invoices.set_status(connection, WS, INVOICE, value, {"cause": "x"})

    await show("outcome_unknown")
    assert await status(stage) == ("outcome_unknown", False, None)
    async with stage.database.connection("test") as connection:
        assert await guarded.find(connection, "invoice", WS, INVOICE) == guarded.Guarded(True, None, None)
    await upsert(stage, document(5, booked=False))
    await show("failed")
    assert await status(stage) == ("draft", True, "5")


async def test_a_customer_is_linked_once_and_its_number_counts_in_its_own_agreement_only(stage: Stage) -> None:
    await keep(stage)

    async def link(number: str) -> list[UUID]:
        async with stage.database.transaction("test") as connection:
            await customers.stamp(connection, WS, AGREEMENT, number)
            return await customers.link(connection, WS, AGREEMENT, {CUSTOMER: number})

    assert [await link("7"), await link("8")] == [[CUSTOMER], []]
    async with stage.database.connection("test") as connection:
        here = await customers.find(connection, WS, AGREEMENT, CUSTOMER)
        there = await customers.find(connection, WS, 78, CUSTOMER)
    assert here == LocalCustomer(id=CUSTOMER, name="K", external_number="7")
    assert there == LocalCustomer(id=CUSTOMER, name="K")
