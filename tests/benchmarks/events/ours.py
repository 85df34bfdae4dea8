"""The whole worker with one handler exchanged: one GET of a customer, one finish, one completion event.

Consuming, claims, leases, fence, ledger of outcomes, outbox, confirms and acknowledgements are the product's own.
"""

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from typing import Any, cast
from uuid import uuid4

from prometheus_client.metrics import MetricWrapperBase

from events.envelope import Envelope
from events.refresh import RefreshCompleted, RefreshRequested
from worker.bootstrap import worker
from worker.loop import calm_collector, run
from worker.mapping import customer as mapping
from worker.ops.app import serving
from worker.run import Handler, Run
from worker.runtime.lifecycle import Worker
from worker.runtime.pulse import Pulse
from worker.settings import load
from worker.store import records
from worker.store.tables import CUSTOMERS
from worker.telemetry import metrics
from worker.telemetry.logging import configure, settle


async def refresh_customer(event: Envelope[Any], run: Run) -> None:
    """Do the job that every subject of this benchmark does."""
    as_of = run.clock.now()
    found = await run.need_api().get_customer(int(event.data.external_number))
    row = mapping.to_pike(found)
    async with run.finish("refreshed") as work:
        written = await records.upsert(
            work.connection, CUSTOMERS, run.workspace_id, run.need_connection().agreement_number, [row], as_of
        )
        work.emit(
            RefreshCompleted(
                entity="customer", id=written[0].id if written else uuid4(), external_number=row.external_number,
                last_synced_at=as_of, changes=(),
            )
        )  # fmt: skip


def without_metrics(made: Worker) -> None:
    """Take every metric and the heartbeat out of this process."""

    class Nothing:
        def nothing(self, *_: object) -> None:
            """Count nothing."""

        inc = observe = set = nothing

    nothing = Nothing()
    for kind in {type(value) for value in vars(metrics).values() if isinstance(value, MetricWrapperBase)}:
        kind.labels = lambda *_: nothing
        for act in {"inc", "observe", "set"} & set(dir(kind)):
            setattr(kind, act, Nothing.nothing)
    made.pulse = cast("Pulse", Still())


class Still:
    """A heartbeat that does not beat."""

    async def run(self) -> None:
        """Wait to be cancelled."""
        await asyncio.Event().wait()

    async def leave(self, _state: str) -> None:
        """Say nothing."""


async def main() -> None:
    """Run until SIGTERM."""
    configure(level=os.environ["PIKE_ECONOMIC_LOG_LEVEL"])
    settle()
    settings = load()
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(worker(settings))
        if os.environ.get("BENCH_METRICS") == "off":
            without_metrics(made)
        if os.environ.get("BENCH_SCRAPE"):
            await stack.enter_async_context(serving(made, settings.http_host, settings.http_port))
        table = dict(made.dispatcher.handlers)
        table[RefreshRequested.TYPE] = Handler(refresh_customer, 120.0)
        made.dispatcher.handlers = table
        calm_collector()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, made.stop)
        await made.run()


if __name__ == "__main__":
    run(main())
