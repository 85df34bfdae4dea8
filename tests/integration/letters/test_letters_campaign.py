"""Campaigns of replays: frozen, stepwise, halting, resumable, and a letter in one of them at most."""

import asyncio
from uuid import UUID

import pytest
from letters_kit import bury, bury_many, end_sent, ending, states
from support import eventually

from worker.clock import SystemClock
from worker.runtime import campaign as campaigns
from worker.runtime import replay as replaying
from worker.runtime.campaign import Begun, CampaignTaken, Runner
from worker.store import replays
from worker.store.pool import Database
from worker.store.replays import Counts

pytestmark = pytest.mark.requirement("B4")


async def begin(database: Database, ids: list[UUID], by: str = "anna") -> Begun:
    return await campaigns.begin(database, ids, selection={}, rate_per_s=500, max_failure_share=0.2, by=by)


def runner(database: Database, begun: Begun, by: str = "anna", patience_s: float = 20.0) -> Runner:
    return Runner(database, SystemClock(), begun.id, by, patience_s)


async def counts_of(database: Database, begun: Begun) -> Counts:
    async with database.transaction("test") as connection:
        return await replays.settle(connection, begun.id)


async def test_one_goes_first_then_ten_then_the_rest(database: Database) -> None:
    begun = await begin(database, await bury_many(database, 15))
    steps: list[int] = []
    running = asyncio.create_task(runner(database, begun).run())
    for total in (1, 11, 15):
        await eventually(lambda total=total: _sent(database, begun, total))
        await asyncio.sleep(campaigns.POLL_S * 1.5)  # time in which one that does not wait would send more
        steps.append((await counts_of(database, begun)).tried)
        await end_sent(database, lambda _id: "done")
    ended = await running
    assert steps == [1, 11, 15]
    assert (ended.halted_because, ended.counts.done) == (None, 15)


async def _sent(database: Database, begun: Begun, total: int) -> bool:
    return (await counts_of(database, begun)).tried >= total


async def test_a_failing_canary_stops_everything_else(database: Database) -> None:
    begun = await begin(database, await bury_many(database, 12))
    async with ending(database, lambda _id: "product_barred"):
        ended = await runner(database, begun).run()
    assert ended.halted_because is not None
    assert "1 of 1 letter sent again failed" in ended.halted_because
    assert await states(database) == {"open": 11, "replayed": 1}
    assert await states(database, "replay_letters") == {"failed": 1, "released": 11}


async def test_a_failure_share_is_judged_over_the_step(database: Database) -> None:
    ids = await bury_many(database, 30)
    begun = await begin(database, ids)
    seen: list[str] = []

    def three_of_eleven(event_id: str) -> str:
        seen.append(event_id)
        return "product_barred" if len(seen) in (4, 5, 6) else "done"

    async with ending(database, three_of_eleven):
        ended = await runner(database, begun).run()
    assert ended.halted_because is not None
    assert ended.counts.tried <= 11


async def test_a_halted_campaign_is_resumed_from_the_canary_with_what_is_left(database: Database) -> None:
    begun = await begin(database, await bury_many(database, 5))
    async with ending(database, lambda _id: "product_barred"):
        await runner(database, begun).run()
    async with ending(database):
        ended = await runner(database, begun).run()
    assert (ended.halted_because, ended.counts.tried, ended.counts.done) == (None, 4, 4)
    assert await states(database) == {"replayed": 5}


async def test_a_killed_command_is_resumed_where_it_stopped(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed: cancelled in the middle, without the good manners of letting go of the lease."""
    monkeypatch.setattr(campaigns, "LEASE_S", 0.5)
    begun = await begin(database, await bury_many(database, 8))
    with monkeypatch.context() as dying:
        dying.setattr(replays, "let_go", _nothing)
        first = asyncio.create_task(runner(database, begun).run())
        await eventually(lambda: _sent(database, begun, 1))
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
    async with ending(database):
        ended = await runner(database, begun, by="bo").run()
    assert (ended.counts.tried, ended.counts.done) == (8, 8)
    async with database.connection("test") as connection:
        operators = await connection.fetch("select operator, count(*) as n from economic.operator_audit group by 1")
    assert {row["operator"]: row["n"] for row in operators} == {"anna": 1, "bo": 7}


async def _nothing(*_args: object) -> None:
    return None


async def test_two_commands_never_run_one_campaign(database: Database) -> None:
    begun = await begin(database, await bury_many(database, 3))
    first = asyncio.create_task(runner(database, begun).run())
    await eventually(lambda: _sent(database, begun, 1))
    second = runner(database, begun, by="bo")
    second.clock = _Impatient()
    with pytest.raises(CampaignTaken):
        await second.run()
    async with ending(database):
        assert (await first).counts.done == 3


class _Impatient(SystemClock):
    async def sleep(self, delay_s: float) -> None:
        return None


async def test_a_letter_waits_in_one_campaign_only(database: Database) -> None:
    ids = await bury_many(database, 6)
    both = await asyncio.gather(begin(database, ids, "anna"), begin(database, ids, "bo"))
    assert sorted(len(each.letters) for each in both) == [0, 6]
    winner, loser = sorted(both, key=lambda each: -len(each.letters))
    assert loser.taken == dict.fromkeys(ids, winner.id)


async def test_two_operators_with_overlapping_selections_send_each_letter_once(database: Database) -> None:
    ids = await bury_many(database, 9)
    anna, bo = await begin(database, ids[:6], "anna"), await begin(database, ids[3:], "bo")
    async with ending(database):
        ended = await asyncio.gather(runner(database, anna).run(), runner(database, bo, "bo").run())
    assert [each.counts.done for each in ended] == [6, 3]
    async with database.connection("test") as connection:
        assert await connection.fetchval("select count(*) from economic.operator_audit") == 9


async def test_a_letter_that_somebody_closed_meanwhile_is_skipped(database: Database) -> None:
    ids = await bury_many(database, 3)
    begun = await begin(database, ids)
    await replaying.discard(database, ids[1], "bo", "paid in cash")
    async with ending(database):
        ended = await runner(database, begun).run()
    assert (ended.counts.done, ended.counts.skipped) == (2, 1)


async def test_letters_that_come_after_the_freeze_are_not_sent(database: Database) -> None:
    begun = await begin(database, await bury_many(database, 2))
    late = await bury(database)
    async with ending(database):
        await runner(database, begun).run()
    async with database.connection("test") as connection:
        state = await connection.fetchval("select state from economic.dead_letters where id = $1", late.id)
    assert state == "open"


async def test_it_stops_when_the_canary_has_no_outcome(database: Database) -> None:
    begun = await begin(database, await bury_many(database, 3))
    ended = await runner(database, begun, patience_s=0.3).run()
    assert ended.halted_because is not None
    assert "Is a worker running" in ended.halted_because
    assert await states(database) == {"open": 2, "replayed": 1}


async def test_sending_is_slowed_to_the_rate(database: Database) -> None:
    ids = await bury_many(database, 4)
    begun = await campaigns.begin(database, ids, selection={}, rate_per_s=10, max_failure_share=0.2, by="anna")
    clock = SystemClock()
    started = clock.monotonic()
    async with ending(database):
        await runner(database, begun).run()
    assert clock.monotonic() - started >= 0.4


async def test_a_double_click_sends_once(database: Database) -> None:
    letter = await bury(database)
    results = await asyncio.gather(*(replaying.replay(database, letter.id, "anna") for _ in range(4)))
    assert sorted(each.result for each in results) == ["already_closed"] * 3 + ["sent"]
    async with database.connection("test") as connection:
        assert await connection.fetchval("select count(*) from economic.outbox") == 1
