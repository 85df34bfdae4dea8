"""A letter sent again with an edited body, and the record of what operators did."""

import copy
import json
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from letters_kit import WS, bury, invoice_event, letters, states

from events.codec import decode
from schemas.problem import Cause
from worker.errors import Refused
from worker.runtime import edit as editing
from worker.runtime import replay as replaying
from worker.runtime.identity import meaning
from worker.store import effects, operator_audit
from worker.store.dead_letters import DeadLetter
from worker.store.pool import Database

pytestmark = pytest.mark.requirement("B4")


def changed(letter: DeadLetter, **invoice: Any) -> bytes:
    event = json.loads(letter.body)
    event["data"]["invoice"].update(invoice)
    return json.dumps(event).encode()


async def audit(database: Database, letter: DeadLetter) -> list[operator_audit.Entry]:
    async with database.connection("test") as connection:
        return await operator_audit.of_letter(connection, letter.id)


async def test_an_edited_body_is_sent_with_the_same_id_and_kept_beside_the_old_one(database: Database) -> None:
    letter = await bury(database)
    body = changed(letter, title="Shorter")
    sent = await editing.send(database, letter.id, body, "anna", "title was too long")
    assert sent.result == "sent"
    async with database.connection("test") as connection:
        message = await connection.fetchrow("select event_id, body from economic.outbox")
        row = await connection.fetchrow("select state, body_hash from economic.inbox")
    assert (message["event_id"], message["body"]) == (letter.event_id, body)
    assert (row["state"], row["body_hash"]) == ("waiting", meaning(decode(body, {}, letter.content_type)))
    (entry,) = await audit(database, letter)
    assert (entry.action, entry.operator, entry.reason) == ("edit", "anna", "title was too long")
    assert (entry.before, entry.after) == (letter.body, body)


async def test_the_difference_is_shown_by_field(database: Database) -> None:
    letter = await bury(database, invoice_event("Before"))
    edited = await editing.prepare(database, letter.id, changed(letter, title="After"))
    assert edited is not None
    minus, plus = ([line for line in edited.diff[2:] if line.startswith(sign)] for sign in "-+")
    assert [line.split('"')[3] for line in (*minus, *plus)] == ["Before", "After"]
    assert await states(database) == {"open": 1}


@pytest.mark.parametrize("what", ["id", "source", "workspaceid", "type"])
async def test_an_edit_that_makes_it_another_event_is_refused(database: Database, what: str) -> None:
    letter = await bury(database)
    event = json.loads(letter.body) | {what: "pike.product.updated" if what == "type" else "other"}
    if what == "type":
        event["data"] = {"id": str(uuid4()), "changes": {}}
    with pytest.raises(Refused, match=f"another {what}"):
        await editing.send(database, letter.id, json.dumps(event).encode(), "anna", "why")
    assert await states(database) == {"open": 1}


async def test_an_edit_to_another_invoice_is_refused_because_its_id_is_the_effect_key(database: Database) -> None:
    letter = await bury(database)
    with pytest.raises(Refused, match="another invoice"):
        await editing.send(database, letter.id, changed(letter, id=str(uuid4())), "anna", "why")


async def test_an_edit_that_cannot_be_read_is_refused_with_the_field(database: Database) -> None:
    letter = await bury(database)
    with pytest.raises(Refused, match=r"data\.invoice\.issue_date: must be a date"):
        await editing.send(database, letter.id, changed(letter, issue_date="tomorrow"), "anna", "why")
    assert await states(database) == {"open": 1}


@pytest.mark.parametrize(("state", "allowed"), [("unknown", False), ("done", False), ("refused", True)])
async def test_an_invoice_that_may_be_in_economic_is_not_edited(database: Database, state: Any, allowed: bool) -> None:
    letter = await bury(database)
    subject = decode(letter.body, {}, letter.content_type).data.invoice.id
    async with database.transaction("test") as connection:
        await effects.intend(
            connection, agreement=1, subject_id=subject, step="draft", workspace_id=WS, reference="r",
            idempotency_key="k", body=b"{}", fence=1,
        )  # fmt: skip
        await effects.record(connection, agreement=1, subject_id=subject, step="draft", state=state)
    body = changed(letter, title="New")
    if allowed:
        assert (await editing.send(database, letter.id, body, "anna", "why")).result == "sent"
        return
    with pytest.raises(Refused) as caught:
        await editing.send(database, letter.id, body, "anna", "why")
    assert caught.value.problem.cause is Cause.LOCKED


async def test_an_unreadable_message_is_repaired_by_an_edit(database: Database) -> None:
    good = invoice_event()
    broken = copy.deepcopy(good)
    broken["data"]["invoice"]["issue_date"] = "tomorrow"
    problem = {"cause": "malformed_event", "user_message": "unreadable", "remedy": "repair"}
    letter = await bury(database, good, problem, body=json.dumps(broken).encode())
    assert (await editing.send(database, letter.id, json.dumps(good).encode(), "anna", "date")).result == "sent"


async def test_a_conflicting_event_is_not_edited(database: Database) -> None:
    letter = await bury(database, problem={"cause": "conflicting_event", "user_message": "twice", "remedy": "new id"})
    with pytest.raises(Refused, match="new id"):
        await editing.send(database, letter.id, changed(letter, title="New"), "anna", "why")


async def test_a_closed_letter_is_not_edited(database: Database) -> None:
    letter = await bury(database)
    await replaying.discard(database, letter.id, "bo", "not needed")
    sent = await editing.send(database, letter.id, changed(letter, title="New"), "anna", "why")
    assert sent.result == "already_closed"
    assert [entry.action for entry in await audit(database, letter)] == ["discard"]


async def test_discard_keeps_who_and_why(database: Database) -> None:
    letter = await bury(database)
    await replaying.discard(database, letter.id, "bo", "paid in cash")
    (stored,) = await letters(database, [letter.id])
    (entry,) = await audit(database, letter)
    assert (stored.closed_by, stored.closed_reason, stored.state) == ("bo", "paid in cash", "discarded")
    assert (entry.action, entry.operator, entry.reason) == ("discard", "bo", "paid in cash")


@pytest.mark.parametrize(
    "sql", ["update economic.operator_audit set reason = 'x'", "delete from economic.operator_audit"]
)
async def test_the_record_of_operators_is_append_only(database: Database, sql: str) -> None:
    letter = await bury(database)
    await replaying.discard(database, letter.id, "bo", "why")
    async with database.connection("test") as connection:
        with pytest.raises(asyncpg.PostgresError, match="append-only"):
            await connection.execute(sql)
    assert len(await audit(database, letter)) == 1
