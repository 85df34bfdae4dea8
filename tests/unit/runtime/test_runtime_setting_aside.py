"""A message of a flood is acknowledged once its row is committed, and never before."""

import asyncio
from collections.abc import Sequence

import pytest

from tests.support import eventually
from worker.runtime.setting_aside import SettingAside
from worker.store.overflow import SetAside

pytestmark = pytest.mark.requirement("B1")


class Coming:
    """A delivery that notes what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def done(self) -> None:
        self.told.append("done")

    def proceed(self) -> None:
        self.told.append("proceed")


class Table:
    """Takes messages when it is let, or fails."""

    def __init__(self, *, fails: bool = False) -> None:
        self.let, self.asked = asyncio.Event(), asyncio.Event()
        self._fails = fails

    async def put(self, _messages: Sequence[SetAside]) -> None:
        self.asked.set()
        await self.let.wait()
        if self._fails:
            raise ValueError("a zero byte")


def message(number: int) -> SetAside:
    return SetAside("work", "ws", "key", f"m-{number}", None, {}, b"{}")


async def test_what_is_written_together_is_told_after_it_was_written() -> None:
    table, kept, coming = Table(), list[SetAside](), [Coming() for _ in range(5)]
    aside = SettingAside(table.put, kept.append)
    for number, each in enumerate(coming):
        aside.add(message(number), each)
    await table.asked.wait()
    assert ([each.told for each in coming], kept) == ([[]] * 5, [])
    table.let.set()
    await eventually(lambda: len(kept) == 5)
    assert [each.told for each in coming] == [["done"]] * 5


async def test_what_cannot_be_written_is_processed_after_all_and_not_acknowledged() -> None:
    table, kept, coming = Table(fails=True), list[SetAside](), Coming()
    SettingAside(table.put, kept.append).add(message(1), coming)
    table.let.set()
    await eventually(lambda: coming.told)
    assert (coming.told, kept) == (["proceed"], [])


async def test_what_is_broken_off_is_told_nothing_so_that_the_broker_sends_it_again() -> None:
    table, kept, coming = Table(), list[SetAside](), Coming()
    aside = SettingAside(table.put, kept.append)
    aside.add(message(1), coming)
    await table.asked.wait()
    await aside.close()
    assert (coming.told, kept) == ([], [])
