"""The worker's HTTP: health for orchestrators and metrics, open and without secrets; and the pages, where set up."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from worker.errors import StoreUnavailable
from worker.ops.figures import SharedFigures
from worker.runtime.lifecycle import Worker
from worker.telemetry import metrics
from worker.web import api, connecting, hooks, signing_in
from worker.web.console import routes as console
from worker.web.front import FRONT, Front
from worker.web.guard import HEAD_LIMIT_S, MAX_CONNECTIONS, MAX_LINE, Guard
from worker.web.hardening import MAX_BODY, harden
from worker.web.pages import static

_WORKER = web.AppKey("worker", Worker)
_FIGURES = web.AppKey("figures", SharedFigures)


def make_app(worker: Worker, front: Front | None = None, guard: Guard | None = None) -> web.Application:
    """Build the application for one worker. Without ``front`` there are no pages."""
    outer = [guard.middleware()] if guard is not None else []  # a guard without connections is "false"
    app = web.Application(client_max_size=MAX_BODY, middlewares=outer)
    harden(app)
    app[_WORKER] = worker
    app[_FIGURES] = SharedFigures(worker.dispatcher.database, worker.clock)
    app.router.add_get("/health/live", _live)
    app.router.add_get("/health/ready", _ready)
    app.router.add_get("/metrics", _metrics)
    if front is not None:
        app[FRONT] = front
        app.router.add_get("/static/{name}", static)
        connecting.add_routes(app)
        signing_in.add_routes(app)
        hooks.add_routes(app)
        console.add_routes(app)
        api.add_routes(app)
    return app


@asynccontextmanager
async def serving(
    worker: Worker,
    host: str,
    port: int,
    front: Front | None = None,
    *,
    head_limit_s: float = HEAD_LIMIT_S,
    max_connections: int = MAX_CONNECTIONS,
) -> AsyncIterator[str]:
    """Serve while the block runs; yields the address. Port 0 takes a free one."""
    guard = Guard(head_limit_s=head_limit_s, most=max_connections)
    runner = web.AppRunner(
        make_app(worker, front, guard),
        access_log=None,  # addresses of the connect flow hold grant tokens
        handle_signals=False,
        shutdown_timeout=2.0,
        max_line_size=MAX_LINE,
        max_field_size=MAX_LINE,
        keepalive_timeout=head_limit_s,
    )
    await runner.setup()
    try:
        async with guard.listening(runner, host, port) as bound:
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
    metrics.IN_WORK.set(worker.in_work)
    for lane, attached in worker.broker.consumers_attached.items():
        metrics.CONSUMERS.labels(lane.value).set(attached)
    metrics.BUDGET_LEFT.set(min(worker.pulse.budgets().values(), default=1.0))
    shared = request.app[_FIGURES]
    await shared.refresh()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(shared)
    body = generate_latest(metrics.REGISTRY) + generate_latest(registry)
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})
