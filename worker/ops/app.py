"""The worker's own HTTP: health for orchestrators and metrics. Open, so it says nothing secret."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from worker.errors import StoreUnavailable
from worker.ops.figures import SharedFigures
from worker.runtime.lifecycle import Worker
from worker.telemetry import metrics

_WORKER = web.AppKey("worker", Worker)
_FIGURES = web.AppKey("figures", SharedFigures)


def make_app(worker: Worker) -> web.Application:
    """Build the application for one worker."""
    app = web.Application(client_max_size=64 * 1024)
    app[_WORKER] = worker
    app[_FIGURES] = SharedFigures(worker.dispatcher.database, worker.clock)
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
    """Everything of this process, and what all workers share, in Prometheus' text format."""
    worker = request.app[_WORKER]
    metrics.IN_WORK.set(worker.broker.in_work)
    for lane, attached in worker.broker.consumers_attached.items():
        metrics.CONSUMERS.labels(lane.value).set(attached)
    metrics.BUDGET_LEFT.set(min(worker.pulse.budgets().values(), default=1.0))
    shared = request.app[_FIGURES]
    await shared.refresh()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(shared)
    body = generate_latest(metrics.REGISTRY) + generate_latest(registry)
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})
