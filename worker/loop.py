"""Which event loop the worker runs on: uvloop where it is installed (not on Windows), asyncio's own elsewhere."""

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on the fastest loop at hand."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def calm_collector() -> None:
    """Let the garbage collector run less often, and never again through what the process has loaded by now.

    An event makes some hundred objects, most of them gone with it. Python's own thresholds walk through all that lives
    every few dozen events: a tenth of the worker's processor time, and its longest pauses.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


async def end_tasks(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel tasks and wait until they have ended, however they end.

    Asks again until it is so: a driver may lose a cancellation that meets the end of its connection.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.5)
