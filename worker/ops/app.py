"""The worker's own HTTP: health for orchestrators and a few counters. Open, so it says nothing secret."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from worker.errors import StoreUnavailable
from worker.runtime.lifecycle import Worker
from worker.version import commit, version

_WORKER = web.AppKey("worker", Worker)


def make_app(worker: Worker) -> web.Application:
    """Build the application for one worker."""
    app = web.Application(client_max_size=64 * 1024)
    app[_WORKER] = worker
    app.router.add_get("/health/live", _live)
    app.router.add_get("/health/ready", _ready)
    app.router.add_get("/metrics", _metrics)
    return app


@asynccontextmanager
async def serving(worker: Worker, host: str, port: int) -> AsyncIterator[str]:
    """Serve while the block runs; yields the address. Port 0 takes a free one."""
    runner = web.AppRunner(make_app(worker), access_log=None, handle_signals=False, shutdown_timeout=2.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        bound = runner.addresses[0]
        yield f"http://{bound[0]}:{bound[1]}"
    finally:
        await runner.cleanup()


async def _live(_request: web.Request) -> web.Response:
    """The loop turns."""
    return web.json_response({"live": True})


async def _ready(request: web.Request) -> web.Response:
    """Broker and database answer; 503 with what does not."""
    worker = request.app[_WORKER]
    checks = {"broker": worker.broker.healthy(), "database": await _database_answers(worker)}
    return web.json_response({"ready": all(checks.values()), **checks}, status=200 if all(checks.values()) else 503)


async def _database_answers(worker: Worker) -> bool:
    try:
        async with worker.dispatcher.database.connection("health") as connection:
            return bool(await connection.fetchval("select true", timeout=5))
    except StoreUnavailable:
        return False


async def _metrics(request: web.Request) -> web.Response:
    """Counters of this process in Prometheus' text format."""
    worker = request.app[_WORKER]
    lines = [
        "# HELP pike_economic_build_info Which version runs, and of which commit; always 1.",
        "# TYPE pike_economic_build_info gauge",
        f'pike_economic_build_info{{version="{version()}",commit="{commit()}"}} 1',
        "# HELP pike_economic_deliveries_total Deliveries by outcome.",
        "# TYPE pike_economic_deliveries_total counter",
        *(
            f'pike_economic_deliveries_total{{outcome="{outcome}"}} {count}'
            for outcome, count in sorted(worker.dispatcher.tally.outcomes.items())
        ),
        "# HELP pike_economic_events_published_total Events confirmed by the broker.",
        "# TYPE pike_economic_events_published_total counter",
        f"pike_economic_events_published_total {worker.relay.published}",
        "# HELP pike_economic_events_unroutable_total Publishes that no queue took.",
        "# TYPE pike_economic_events_unroutable_total counter",
        f"pike_economic_events_unroutable_total {worker.relay.unroutable}",
        "# HELP pike_economic_deliveries_in_work Deliveries being worked on now.",
        "# TYPE pike_economic_deliveries_in_work gauge",
        f"pike_economic_deliveries_in_work {worker.broker.in_work}",
    ]
    return web.Response(text="\n".join(lines) + "\n", content_type="text/plain", charset="utf-8")
