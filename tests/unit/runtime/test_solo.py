"""Who is suspected of killing the process, and that the suspect is alone."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from worker.runtime.solo import Company, deaths
from worker.store.inbox import Claim


def claim(attempts: int, *ended: int) -> Claim:
    history: tuple[dict[str, Any], ...] = tuple({"next": "retry", "ended": count} for count in ended)
    return Claim("/pike", "e", 1, attempts, 0, datetime(2026, 11, 23, tzinfo=UTC), history)


@pytest.mark.parametrize(
    ("attempts", "ended", "expected"),
    [
        (1, (), 0),
        (2, (), 1),
        (3, (), 2),
        (3, (1, 2), 0),
        (4, (1, 2), 1),
        (2, (0, 0, 0), 1),  # snoozes are no tries
        (30, (28, 29), 0),  # the history is cut, the number in it is not
        (1, (2,), 0),  # reopened by an older version: never below nothing
    ],
)
def test_only_claims_that_never_ended_are_deaths(attempts: int, ended: tuple[int, ...], expected: int) -> None:
    assert deaths(claim(attempts, *ended)) == expected


async def test_whoever_is_alone_waits_for_the_others_and_lets_nobody_in() -> None:
    company, seen = Company(), []
    leave = asyncio.Event()

    async def beside(name: str) -> None:
        async with company.beside_others():
            seen.append(f"{name} in")
            await leave.wait()
            seen.append(f"{name} out")

    async def alone() -> None:
        async with company.alone():
            seen.append("alone in")
            await asyncio.sleep(0)
            seen.append("alone out")

    first = [asyncio.create_task(beside(name)) for name in "ab"]
    await asyncio.sleep(0)
    suspect = asyncio.create_task(alone())
    await asyncio.sleep(0)
    late = asyncio.create_task(beside("c"))
    await asyncio.sleep(0)
    assert seen == ["a in", "b in"]
    leave.set()
    await asyncio.gather(*first, suspect, late)
    assert seen == ["a in", "b in", "a out", "b out", "alone in", "alone out", "c in", "c out"]


async def test_whoever_gives_up_waiting_to_be_alone_holds_nobody_up() -> None:
    company = Company()
    async with company.beside_others():
        suspect = asyncio.create_task(company.alone().__aenter__())
        await asyncio.sleep(0)
        suspect.cancel()
        await asyncio.gather(suspect, return_exceptions=True)
        async with asyncio.timeout(1), company.beside_others():
            pass
