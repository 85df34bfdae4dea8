"""``run`` and ``migrate``."""

import asyncio
import signal
from collections.abc import Callable

import click

from worker.bootstrap import make_front, worker
from worker.cli.output import print_json, with_settings
from worker.loop import calm_collector
from worker.ops.app import serving
from worker.store import migrate as migrations
from worker.telemetry.logging import settle


async def run(processes: int = 1) -> int:
    """Run a worker, or several of them, until SIGTERM or SIGINT."""
    settings = with_settings()
    if processes > 1:
        from worker.cli.supervising import supervise

        return await supervise(processes, settings)
    starting = asyncio.current_task()
    assert starting is not None  # noqa: S101  # we are in one
    # Process 1 of a container hears only what it listens to: without this a stop while connecting waits for the kill.
    _when_asked_to_stop(starting.cancel)
    try:
        async with worker(settings) as made:
            _when_asked_to_stop(made.stop)
            calm_collector()
            settle()
            async with serving(made, settings.http_host, settings.http_port, make_front(settings, made)):
                await made.run()
    except asyncio.CancelledError:
        return 0  # stopped while it started: nothing was taken yet
    return 0


def _when_asked_to_stop(act: Callable[[], object]) -> None:
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, act)


async def migrate(as_json: bool) -> int:
    """Apply missing migrations."""
    settings = with_settings()
    applied = await migrations.migrate(settings.database_url.get_secret_value())
    if as_json:
        print_json({"applied": applied})
    else:
        click.echo(f"Applied {', '.join(applied)}." if applied else "Nothing to apply: the database is up to date.")
    return 0
