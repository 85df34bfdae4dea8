"""Gates: failures in a row open a breaker for everybody, one probe tries, and a budget is shared, never overdrawn."""

import asyncio
from typing import Any

import pytest

from worker.store import admission, gates
from worker.store.gates import WHOLE
from worker.store.pool import Database

pytestmark = pytest.mark.requirement("B9")


async def fail(database: Database, times: int, agreement: int = 1) -> list[bool]:
    async with database.connection("test") as connection:
        return [await gates.failed(connection, agreement, limit=3, cooldown_s=10, longest_s=60) for _ in range(times)]


async def found(database: Database, *agreements: int) -> dict[int, gates.Gate]:
    """Return the gates that workspaces with these agreements meet."""
    async with database.connection("test") as connection:
        for agreement in agreements:
            await connection.execute(
                """insert into economic.connections
                       (id, workspace_id, agreement_number, company_name, base_currency, status)
                   values (gen_random_uuid(), $1, $2, 'C', 'DKK', 'closed') on conflict (workspace_id) do nothing""",
                f"ws-{agreement}",
                agreement,
            )
        admissions = await admission.find(connection, [f"ws-{agreement}" for agreement in agreements])
    return {number: gate for each in admissions.values() for number, gate in each.gates.items()}


async def over(pike: Any) -> None:
    """Let the cool-down pass."""
    await pike.execute("update economic.gates set held_until = now() - interval '1 ms'")


async def test_a_healthy_agreement_has_no_gate(database: Database) -> None:
    assert await found(database, 1, 2) == {}


async def test_failures_in_a_row_open_it_and_nobody_elses(database: Database) -> None:
    assert await fail(database, 3) == [False, False, True]
    gate = (await found(database, 1, 2))[1]
    assert (gate.failures, gate.held_because, 9 < gate.held_s <= 10) == (3, "breaker", True)
    assert set(await found(database, 2)) == set()


async def test_an_answer_in_between_starts_the_count_anew(database: Database) -> None:
    await fail(database, 2)
    async with database.connection("test") as connection:
        await gates.answered(connection, [1])
    assert await fail(database, 2) == [False, False]


async def test_each_failed_probe_keeps_it_shut_twice_as_long_up_to_a_limit(database: Database, pike: Any) -> None:
    await fail(database, 3)
    held = []
    for _ in range(4):
        await over(pike)
        await fail(database, 1)
        held.append(round((await found(database, 1))[1].held_s))
    assert held == [20, 40, 60, 60]


async def test_calls_that_were_under_way_when_it_opened_do_not_prolong_it(database: Database) -> None:
    await fail(database, 10)
    assert (await found(database, 1))[1].held_s <= 10


async def test_one_of_many_becomes_the_probe(database: Database, pike: Any) -> None:
    await fail(database, 3)
    await over(pike)

    async def take() -> bool:
        async with database.connection("test") as connection:
            return await gates.take_probe(connection, 1, 60)

    assert sorted(await asyncio.gather(*(take() for _ in range(12)))) == [False] * 11 + [True]
    await pike.execute("update economic.gates set probe_until = now() - interval '1 ms'")
    assert await take(), "a probe that never came back does not block for ever"


async def test_a_hold_that_e_conomic_asked_for_outlives_an_answer_and_is_never_shortened(database: Database) -> None:
    async with database.connection("test") as connection:
        await gates.hold(connection, 1, 30)
        await gates.hold(connection, 1, 5)
        await gates.answered(connection, [1])
    gate = (await found(database, 1))[1]
    assert (gate.held_because, 29 < gate.held_s <= 30) == ("rate", True)


async def test_e_conomic_as_a_whole_is_seen_with_any_agreement(database: Database) -> None:
    async with database.connection("test") as connection:
        await gates.failed(connection, WHOLE, limit=1, cooldown_s=10, longest_s=60)
    assert (await found(database, 7))[WHOLE].whole


async def reserve(database: Database, want: float = 60, keep: float = 0.0, left: float = 1000.0) -> gates.Reserved:
    async with database.transaction("test") as connection:
        return await gates.reserve(
            connection, 1, want=want, keep_share=keep, stated_left=left, budget=1000.0, window_s=60.0
        )


@pytest.mark.requirement("B8")
async def test_many_processes_together_never_take_more_than_there_is(database: Database) -> None:
    taken = await asyncio.gather(*(reserve(database, left=500.0) for _ in range(30)))
    total = sum(reserved.tokens for reserved in taken)
    assert 400 < total < 520, "the bucket plus what flowed in while asking"
    empty = [reserved for reserved in taken if not reserved.tokens]
    assert empty
    assert all(reserved.wait_s >= 1 for reserved in empty)


@pytest.mark.requirement("B8")
async def test_imports_leave_the_last_fifth_to_people(database: Database) -> None:
    while (await reserve(database, keep=0.2, left=400.0)).tokens:
        pass
    assert (await reserve(database, keep=0.2, left=400.0)).wait_s >= 1
    assert (await reserve(database, keep=0.02, left=400.0)).tokens == 60


@pytest.mark.requirement("B8")
async def test_what_e_conomic_states_overrules_what_was_counted(database: Database) -> None:
    assert (await reserve(database, left=1000.0)).tokens == 60
    assert (await reserve(database, left=10.0)).tokens == 10


@pytest.mark.requirement("B8")
async def test_tokens_come_back_with_time(database: Database, pike: Any) -> None:
    while (await reserve(database, left=100.0)).tokens:
        pass
    await pike.execute("update economic.gates set counted_at = now() - interval '3 seconds'")
    assert 40 < (await reserve(database, left=100.0)).tokens <= 60
