"""What becomes of messages that are not what they should be: kept, explained, answered; and the queue goes on."""

import json
from typing import Any
from uuid import uuid4

import pytest
from harness import PIKE, WORKSPACE, Harness
from support import eventually

from worker.broker.delivery import Lane
from worker.broker.publisher import Outgoing
from worker.broker.topology import INTERNAL_EXCHANGE, LANE_QUEUES
from worker.sandbox import Sandbox

REFRESH = "pike.refresh.requested"
FAILED, COMPLETED = "economic.refresh.failed", "economic.refresh.completed"


def envelope(**changes: Any) -> dict[str, Any]:
    """A refresh request that would work, with attributes replaced or (None) left out."""
    event = {
        "specversion": "1.0", "id": str(uuid4()), "source": PIKE, "type": REFRESH, "workspaceid": WORKSPACE,
        "data": {"entity": "customer", "external_number": "1"}, **changes,
    }  # fmt: skip
    return {name: value for name, value in event.items() if value is not None}


async def letters(running: Harness) -> list[dict[str, Any]]:
    """Open dead letters, oldest first."""
    return await running.rows("select * from economic.dead_letters where state = 'open' order by buried_at")


async def goes_on(running: Harness) -> None:
    """Prove that the worker still works: a good request after the bad one is answered."""
    number = str(next(iter(running.agreement.customers)).number)
    assert (await running.refresh("customer", external_number=number)).type == COMPLETED


BAD = {
    "malformed": (b'{"specversion": "1.0", ', "malformed_event"),
    "not utf-8": (b'{"id": "\xff\xfe"}', "malformed_event"),
    "not a number": (json.dumps(envelope(data={"entity": "customer", "x": float("nan")})).encode(), "malformed_event"),
    "too deep": (b'{"a":' * 200 + b"1" + b"}" * 200, "event_too_deep"),
    "too large": (b'{"pad": "' + b"x" * 1_100_000 + b'"}', "event_too_large"),
    "no workspace": (json.dumps(envelope(workspaceid=None)).encode(), "missing_workspace"),
    "newer type": (json.dumps(envelope(type=REFRESH + ".v2")).encode(), "unknown_event_type"),
    "unknown type": (json.dumps(envelope(type="pike.bill.created")).encode(), "unknown_event_type"),
    "wrong data": (json.dumps(envelope(data={"entity": "bill", "external_number": "1"})).encode(), "malformed_event"),
}


@pytest.mark.requirement("F20")
@pytest.mark.parametrize("name", list(BAD))
async def test_a_message_that_cannot_be_read_is_kept_with_its_bytes_and_the_queue_goes_on(
    running: Harness, name: str
) -> None:
    body, cause = BAD[name]
    await running.publish_raw(body, routing_key=REFRESH)
    await eventually(lambda: _count(running, 1))
    (letter,) = await letters(running)
    assert (letter["cause"], bytes(letter["body"])) == (cause, body)
    problem = json.loads(letter["problem"])
    assert problem["user_message"].endswith(".")
    assert problem["remedy"].endswith(".")
    await goes_on(running)


async def _count(running: Harness, count: int) -> bool:
    return len(await letters(running)) == count


@pytest.mark.requirement("F20")
async def test_an_unreadable_request_that_can_be_recognised_is_answered(running: Harness) -> None:
    bad = envelope(data={"entity": "customer"})
    await running.publish_raw(json.dumps(bad).encode(), routing_key=REFRESH, message_id=bad["id"])
    answer = await running.answer(bad["id"], FAILED)
    assert answer.data.problem.cause.value == "malformed_event"


@pytest.mark.requirement("F20")
async def test_the_same_unreadable_bytes_are_kept_once(running: Harness) -> None:
    for _ in range(3):
        await running.publish_raw(b"{", routing_key=REFRESH)
    await goes_on(running)
    assert len(await letters(running)) == 1


async def test_a_binary_mode_event_is_read(running: Harness) -> None:
    number = str(next(iter(running.agreement.customers)).number)
    event_id = str(uuid4())
    headers: dict[str, str | int] = {
        "cloudEvents_specversion": "1.0", "cloudEvents_id": event_id, "cloudEvents_source": PIKE,
        "cloudEvents_type": REFRESH, "cloudEvents:workspaceid": WORKSPACE,
    }  # fmt: skip
    body = json.dumps({"entity": "customer", "external_number": number}).encode()
    await running.publish_raw(body, routing_key=REFRESH, content_type="application/json", headers=headers)
    assert (await running.answer(event_id, COMPLETED, FAILED)).type == COMPLETED


@pytest.mark.requirement("F19")
async def test_the_same_id_with_other_contents_is_a_conflict_and_not_acted_on(running: Harness) -> None:
    first, second = [str(c.number) for c in running.agreement.customers][:2]
    event_id = await running.publish(REFRESH, {"entity": "customer", "external_number": first})
    await running.answer(event_id, COMPLETED)
    await running.publish(REFRESH, {"entity": "customer", "external_number": second}, event_id=event_id)
    await eventually(lambda: _count(running, 1))
    assert (await letters(running))[0]["cause"] == "conflicting_event"
    assert len(running.answers(event_id, COMPLETED)) == 1
    assert await running.value("select count(*) from pike.customers where external_number = $1", second) == 0


async def test_a_workspace_that_is_not_connected_is_told(running: Harness) -> None:
    answer = await running.request(REFRESH, {"entity": "customer", "external_number": "1"}, FAILED, workspace="nobody")
    assert answer.data.problem.cause.value == "not_connected"
    assert "nobody" in answer.data.problem.user_message


@pytest.mark.requirement("R5")
async def test_a_bill_is_nobodys_business(running: Harness) -> None:
    body = json.dumps(envelope(type="pike.bill.created")).encode()
    with pytest.raises(Exception, match="no queue takes"):
        await running.publish_raw(body, routing_key="pike.bill.created")


async def test_our_own_answers_are_not_requests(running: Harness) -> None:
    body = json.dumps(envelope(type="economic.refresh.completed", data={})).encode()
    message = Outgoing(INTERNAL_EXCHANGE, LANE_QUEUES[Lane.WORK], body, "own", {})
    await running.worker.broker.publisher.publish(message)
    await eventually(lambda: _count(running, 1))
    await goes_on(running)


@pytest.mark.requirement("F12")
async def test_a_rate_limit_burns_no_attempt(running: Harness, sandbox: Sandbox) -> None:
    number = str(next(iter(running.agreement.customers)).number)
    sandbox.add_fault("status", path="/customers/", status=429, retry_after=3, times=1)
    event_id = await running.publish(REFRESH, {"entity": "customer", "external_number": number})
    await running.answer(event_id, COMPLETED, timeout_s=60)
    rows = await running.rows("select attempts, snoozes from economic.inbox where event_id = $1", event_id)
    assert rows[0]["attempts"] == 1
    assert rows[0]["snoozes"] >= 1


async def test_an_api_that_stays_away_ends_in_a_dead_letter_with_every_attempt(launch: Any, sandbox: Sandbox) -> None:
    async with launch(max_attempts="3") as running:
        await running.connect()
        sandbox.add_fault("status", path="/customers", status=503)
        answer = await running.request(REFRESH, {"entity": "customer", "external_number": "1"}, FAILED)
        assert answer.data.problem.cause.value == "economic_unavailable"
        (letter,) = await letters(running)
        assert letter["attempts"] == 3
        assert len(json.loads(letter["history"])) == 3


async def test_a_bug_is_tried_a_few_times_and_then_admitted(running: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_args: Any, **_more: Any) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("worker.economic.endpoints.EconomicApi.get_customer", broken)
    answer = await running.request(REFRESH, {"entity": "customer", "external_number": "1"}, FAILED)
    assert answer.data.problem.cause.value == "internal_error"
    assert "ZeroDivisionError" not in answer.data.problem.user_message


async def test_an_event_costs_a_claim_and_a_finish(running: Harness) -> None:
    """Only commits that wrote take a transaction id. Answers are deleted by batch, which is what the margin is for."""
    numbers = [str(c.number) for c in running.agreement.customers][:10]
    for number in numbers:
        await running.refresh("customer", external_number=number)
    await eventually(lambda: _is_empty(running))
    before = await running.value("select pg_current_xact_id()::text::bigint")
    ids = [await running.publish(REFRESH, {"entity": "customer", "external_number": number}) for number in numbers * 5]
    for event_id in ids:
        await running.answer(event_id, COMPLETED)
    await eventually(lambda: _is_empty(running))
    used = await running.value("select pg_current_xact_id()::text::bigint") - before - 1
    assert used <= 2 * len(ids) + len(ids) // 5


async def _is_empty(running: Harness) -> bool:
    return bool(await running.value("select count(*) = 0 from economic.outbox where not unheard"))


async def test_no_transaction_is_open_while_e_conomic_is_called(running: Harness, sandbox: Sandbox) -> None:
    """Every request waits a little; meanwhile Postgres is asked whether a session of ours sits in a transaction."""
    sandbox.faults.latency_s = 0.05
    seen = 0
    event_id = await running.publish("pike.import.requested", {"entities": ["products", "customers", "invoices"]})
    while not running.answers(event_id, "economic.import.completed"):
        calls = len(sandbox.requests)
        idle = await running.value(
            """select count(*) from pg_stat_activity
               where application_name = 'pike-economic' and datname = current_database()
                 and state = 'idle in transaction' and now() - state_change > interval '30 ms'"""
        )
        if len(sandbox.requests) == calls:  # nothing was answered in between: a call is under way, or all is done
            seen += 1
            assert idle == 0
    assert seen > 5
