"""Publishing a request and waiting for its answer, with a progress bar on a terminal and plain lines elsewhere."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import click

from events import EVENTS
from events.codec import MalformedEvent, decode, encode
from events.envelope import Envelope, EventData
from worker.broker.following import Heard, listening
from worker.broker.publisher import Outgoing
from worker.broker.topology import EVENTS_EXCHANGE
from worker.clock import SystemClock

SOURCE = "/pike-economic/command-line"


def make_event(data: EventData, workspace: str, event_id: str | None = None) -> Envelope[Any]:
    """Wrap data in an envelope of the command line's own."""
    return Envelope(
        id=event_id or str(uuid4()),
        source=SOURCE,
        type=data.TYPE,
        time=SystemClock().now(),
        workspace_id=workspace,
        data=data,
    )


def outgoing(event: Envelope[Any]) -> Outgoing:
    """Return the message for an event."""
    return Outgoing(EVENTS_EXCHANGE, event.type, encode(event), event.id, {})


@asynccontextmanager
async def answers_to(
    settings: Any, request: Envelope[Any], patterns: Collection[str]
) -> AsyncIterator[AsyncIterator[Any]]:
    """Yield the decoded answers to a request. Listening begins before the block, so that none is missed."""
    async with listening(settings.amqp_url, patterns, "pike-economic command") as heard:
        yield _relevant(heard, request)


async def _relevant(heard: AsyncIterator[Heard], request: Envelope[Any]) -> AsyncIterator[Envelope[Any]]:
    async for message in heard:
        try:
            event: Envelope[Any] = decode(message.body, message.headers, message.content_type)
        except MalformedEvent:
            continue
        if event.correlation_id == request.id:
            yield event


async def wait_for(
    answers: AsyncIterator[Envelope[Any]],
    ends: Collection[str],
    timeout_s: float,
    on_progress: Callable[[Envelope[Any]], None] = lambda _event: None,
) -> Envelope[Any] | None:
    """Return the answer that ends the request, or ``None`` when none came in time."""
    unknown = [name for name in ends if name not in EVENTS]
    if unknown:
        raise ValueError(f"not event types: {unknown}")
    try:
        async with asyncio.timeout(timeout_s):
            async for event in answers:
                if event.type in ends:
                    return event
                on_progress(event)
    except TimeoutError:
        return None
    return None


class Bars:
    """Progress of an import: rich bars on a terminal, a line per report elsewhere."""

    def __init__(self) -> None:
        self._rich: Any = None
        self._tasks: dict[str, Any] = {}
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._rich = Progress(
                TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"), TextColumn("{task.fields[beside]}"),
                TimeRemainingColumn(elapsed_when_finished=True), console=Console(stderr=True),
            )  # fmt: skip

    def __enter__(self) -> "Bars":
        if self._rich:
            self._rich.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._rich:
            self._rich.stop()

    def show(self, event: Envelope[Any]) -> None:
        """Show one progress event; others are passed over."""
        if event.type != "economic.import.progressed":
            return
        data = event.data
        beside = ", ".join(
            text
            for text in (
                f"{data.pages} pages" if data.pages else "",
                f"budget left {data.budget_left}" if data.budget_left is not None else "",
            )
            if text
        )
        if self._rich is None:
            of = f" of {data.total}" if data.total is not None else ""
            click.echo(f"{data.entity}: {data.done}{of}{f' ({beside})' if beside else ''}", err=True)
            return
        if data.entity not in self._tasks:
            self._tasks[data.entity] = self._rich.add_task(data.entity, total=data.total, rate="", beside="")
        task = self._tasks[data.entity]
        self._rich.update(task, completed=data.done, total=data.total, beside=beside)
        speed = self._rich.tasks[task].finished_speed or self._rich.tasks[task].speed
        if speed:
            self._rich.update(task, rate=f"{speed:,.0f} rows/s")
