"""After pruning a late repeat still sends nothing twice, and the zero-loss proof still tells the truth."""

import pytest
from e2e_kit import Launch
from harness import PIKE, Harness
from support import eventually
from test_push_walk import CREATED, FAILED, SYNCED, drafts, linked

from worker.runtime import retention
from worker.runtime.reconcile import Proof, reconcile
from worker.runtime.replay import discard
from worker.store import dead_letters


async def proof(running: Harness) -> Proof:
    dispatcher = running.worker.dispatcher
    return await reconcile(dispatcher.database, dispatcher.client, dispatcher.vault)


async def grow_old(running: Harness) -> None:
    """Let everything that has ended have ended three years ago."""
    async with running.pike() as pike:
        for table, columns in (
            ("inbox", "finished_at"), ("dead_letters", "closed_at"), ("imports", "finished_at"), ("audit", "at"),
        ):  # fmt: skip
            await pike.execute(f"update economic.{table} set {columns} = {columns} - interval '1100 days'")


@pytest.mark.requirement("B1", "B2")
async def test_a_repeat_of_an_event_that_is_forgotten_sends_nothing_twice(running: Harness) -> None:
    request = await linked(running)
    event_id = await running.publish(CREATED, {"invoice": request})
    await running.answer(event_id, SYNCED)
    refused = await running.publish(CREATED, {"invoice": {**request, "id": request["lines"][0]["id"]}})
    await running.answer(refused, FAILED)
    database = running.worker.dispatcher.database
    async with database.connection("test") as connection:
        (letter,) = await dead_letters.search(connection, event=(PIKE, refused))
    await discard(database, letter.id, "tester", "not wanted")
    await running.import_all()
    before = await proof(running)
    assert (before.lost, before.double, before.invoices[0].in_economic) == (0, 0, 1)

    await grow_old(running)
    gone = await running.worker.retention.prune(every_s=0)
    assert gone is not None
    assert (gone["economic.inbox"], gone["economic.dead_letters"]) == (3, 1)
    assert await running.value("select count(*) from economic.inbox") == 0
    after = await proof(running)
    assert (after.lost, after.double, after.invoices) == (0, 0, before.invoices)

    running.heard.clear()
    await running.publish(CREATED, {"invoice": request}, event_id=event_id)
    again = await running.answer(event_id, SYNCED, FAILED)
    assert again.type == SYNCED
    assert len(drafts(running.agreement, request)) == 1
    assert (await proof(running)).double == 0


@pytest.mark.requirement("B2")
async def test_the_proof_notices_what_is_missing_after_pruning_too(running: Harness) -> None:
    request = await linked(running)
    await running.request(CREATED, {"invoice": request}, SYNCED)
    await grow_old(running)
    await running.worker.retention.prune(every_s=0)
    for draft in drafts(running.agreement, request):
        running.agreement.drafts.remove(draft.number)
    assert (await proof(running)).invoices[0].missing == [request["id"]]


async def test_a_running_worker_prunes_by_itself(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "FIRST_S", 0.05)
    monkeypatch.setattr(retention, "EVERY_S", 0.0)
    monkeypatch.setattr(retention, "_LOOK_S", 0.05)
    monkeypatch.setattr(retention.Retention.prune, "__defaults__", (0.0,))
    async with launch(retention_days="events:7") as running:
        await running.connect()
        await running.refresh("product", external_number="none")
        await grow_old(running)

        async def forgotten() -> bool:
            return await running.value("select count(*) from economic.inbox where state = 'done'") == 0

        await eventually(forgotten)
        assert await running.value("select count(*) from economic.inbox where state = 'dead'") == 1, (
            "its letter is open"
        )
