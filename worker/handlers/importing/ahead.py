"""Reading ahead: while one page is written, the next ones are fetched and mapped. Order stays, memory is bounded."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, Generic, TypeVar

PAGES_AHEAD = 3
"""Pages that may be read and mapped, waiting to be written, at most."""

P = TypeVar("P")
R = TypeVar("R")


class _End:
    """The list is through, or broke with this error."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class ahead(Generic[P, R]):  # noqa: N801  # reads as what it does: async with ahead(pages, prepare) as prepared
    """Yield ``(page, await prepare(page))`` in the order of ``pages``, preparing up to ``PAGES_AHEAD`` at once.

    The first error ends it, after the pages before it were handed out. Leaving the block stops all reading.
    """

    def __init__(self, pages: AsyncGenerator[P, None], prepare: Callable[[P], Awaitable[R]]) -> None:
        self._pages = pages
        self._prepare = prepare
        self._ready: asyncio.Queue[tuple[P, asyncio.Task[R]] | _End] = asyncio.Queue(maxsize=PAGES_AHEAD)
        self._preparing: set[asyncio.Task[Any]] = set()
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> AsyncGenerator[tuple[P, R], None]:
        self._reader = asyncio.create_task(self._read(), name="import: reading ahead")
        return self._hand_out()

    async def __aexit__(self, *_exc: object) -> None:
        tasks = [task for task in (self._reader, *self._preparing) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self) -> None:
        try:
            async with aclosing(self._pages) as pages:
                async for page in pages:
                    task = asyncio.ensure_future(self._prepare(page))
                    self._preparing.add(task)
                    task.add_done_callback(self._preparing.discard)
                    await self._ready.put((page, task))
        except Exception as exc:
            await self._ready.put(_End(exc))
        else:
            await self._ready.put(_End())

    async def _hand_out(self) -> AsyncGenerator[tuple[P, R], None]:
        while True:
            entry = await self._ready.get()
            if isinstance(entry, _End):
                if entry.error is not None:
                    raise entry.error
                return
            page, task = entry
            yield page, await task
