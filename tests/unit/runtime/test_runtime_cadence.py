"""Batches keep a distance, and whoever is about to ask comes along."""

import asyncio

from worker.cadence import LEAST_S, Cadence
from worker.runtime.coalescing import Coalescer


async def test_after_a_pause_nobody_waits_and_the_next_keeps_its_distance() -> None:
    loop, cadence = asyncio.get_running_loop(), Cadence()
    began = loop.time()
    await cadence.turn()
    first = loop.time() - began
    await cadence.turn()
    second = loop.time() - began
    assert first < LEAST_S
    assert second >= LEAST_S * 0.99


async def test_those_that_are_about_to_ask_are_in_the_first_batch() -> None:
    batches: list[int] = []

    async def many(items: list[int]) -> list[int]:
        batches.append(len(items))
        return items

    coalescer = Coalescer(many, key=lambda item: item, limit=100)  # type: ignore[arg-type]

    async def late(number: int) -> int:
        await asyncio.sleep(0)  # its turn on the loop comes after the first has asked
        return await coalescer(number)

    assert await asyncio.gather(coalescer(0), *(late(number) for number in range(1, 20))) == list(range(20))
    assert batches == [20]
