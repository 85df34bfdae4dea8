"""Claims in batches: an event that Postgres cannot take does not take its neighbours along, and nobody claims twice."""

import asyncio
from typing import Any

import asyncpg
import pytest

from worker.errors import StoreUnavailable
from worker.runtime.claiming import claiming
from worker.store import inbox
from worker.store.inbox import Received, Standing
from worker.store.pool import Database

pytestmark = pytest.mark.requirement("B1")


def received(number: int, *, workspace: str = "ws", owner: str | None = None) -> Received:
    return Received(
        "/pike", f"e{number}", "pike.x", workspace, "work", b"{}", b"h", None, {}, owner or f"owner-{number}"
    )


async def test_an_event_that_postgres_cannot_store_fails_alone(database: Database, pike: Any) -> None:
    claim = claiming(database)
    events = [received(n, workspace="w\0s" if n == 7 else "ws") for n in range(20)]
    results = await asyncio.gather(*(claim(event) for event in events), return_exceptions=True)
    assert isinstance(results[7], asyncpg.CharacterNotInRepertoireError)
    for number, found in enumerate(results):
        if number != 7:
            assert not isinstance(found, BaseException)
            assert found.result.standing is Standing.CLAIMED
    rows = await pike.fetch("select state, attempts, fence from economic.inbox")
    assert {tuple(row) for row in rows} == {("running", 1, 1)}  # the batch that failed left nothing behind
    assert len(rows) == 19


async def test_a_claim_whose_second_half_breaks_is_taken_up_again_by_the_same_delivery_at_no_cost(
    database: Database, pike: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> dict[str, Any]:
        raise ConnectionResetError("gone")

    claim = claiming(database)
    held = (await claim(received(1, owner="before"))).result.need_claim()
    async with database.connection("test") as connection:  # an event that is known has its connection read once more
        await inbox.put_back(connection, held, parked=False, free=True, note=None)
    with monkeypatch.context() as patched:
        patched.setattr("worker.store.admission.find", broken)
        with pytest.raises(StoreUnavailable):
            await claim(received(1))
    assert await pike.fetchval("select state from economic.inbox") == "running"
    again = await claim(received(1))
    assert again.result.need_claim().attempts == 1
