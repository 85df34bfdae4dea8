"""``status``: one screen that says whether all is well; ``--watch`` keeps it current."""

import asyncio
import sys
from dataclasses import asdict
from typing import Any

import click

from worker.bootstrap import Tools, make_broker, tools
from worker.broker.broker import Broker
from worker.broker.topology import LANE_QUEUES
from worker.cli.output import print_json, with_settings
from worker.clock import SystemClock
from worker.errors import BrokerError, StoreUnavailable
from worker.insight.attention import concerns
from worker.insight.room import room


async def status(watch: bool, every_s: float, as_json: bool) -> int:
    """Print queues, workers, unfinished work, connections, imports and dead letters."""
    settings = with_settings()
    broker = make_broker(settings, SystemClock())
    async with tools(settings) as kit:
        if watch:
            return await _watch(kit, broker, every_s, as_json)
        figures = await _look(kit, broker)
    if as_json:
        print_json(figures)
    else:
        from rich.console import Console  # late: help does not need it

        from worker.cli.screen import screen

        Console(width=None if sys.stdout.isatty() else 140).print(screen(figures))
    return 0


async def _look(kit: Tools, broker: Broker) -> dict[str, Any]:
    state = await broker.verify()
    lanes = {queue: lane.value for lane, queue in LANE_QUEUES.items()}
    async with kit.database.connection("status") as connection:
        figures = await room(connection)
    queues = [
        {
            "queue": q.name,
            "exists": q.exists,
            "messages": q.messages,
            "consumers": q.consumers,
            "lane": lanes.get(q.name),
        }
        for q in state.queues
    ]
    seen = {"at": kit.clock.now(), "queues": queues, **figures}
    return {**seen, "concerns": [asdict(each) for each in concerns(seen)]}


async def _watch(kit: Tools, broker: Broker, every_s: float, as_json: bool) -> int:
    """Show it again and again until Ctrl-C; what does not answer is said in its place."""
    from rich.console import Console  # late: help does not need it
    from rich.live import Live

    from worker.cli.screen import away, screen

    if as_json or not sys.stdout.isatty():
        while True:
            try:
                figures = await _look(kit, broker)
            except (StoreUnavailable, BrokerError) as exc:
                figures = {"at": kit.clock.now(), "error": str(exc)}
            if as_json:
                print_json(figures)
            else:
                Console(width=140).print(away(figures["error"]) if "error" in figures else screen(figures))
                click.echo()
            sys.stdout.flush()
            await asyncio.sleep(every_s)
    with Live(screen=True, auto_refresh=False) as live:
        while True:
            try:
                live.update(screen(await _look(kit, broker), every_s), refresh=True)
            except (StoreUnavailable, BrokerError) as exc:
                live.update(away(str(exc)), refresh=True)
            await asyncio.sleep(every_s)
