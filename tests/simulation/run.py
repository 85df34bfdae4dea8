"""One run: build, let it rain, wait for the weather to clear up, wait until nothing is left to do, check."""

import asyncio
import contextlib
import gc
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from unittest import mock

import structlog
from pamqp.commands import Basic

from tests.simulation import invariants
from tests.simulation.cluster import Cluster
from tests.simulation.loop import Stuck
from tests.simulation.scenario import Outage, Published, Scenario, draw
from tests.simulation.world import World
from worker.broker.topology import EVENTS_EXCHANGE
from worker.runtime import overflow, relay, shares

PATIENCE_S = 30 * 3600.0
"""After the weather has cleared up everything must end within the worker's own limit of a day."""

POLL_S = 30.0
"""Relay and overflow look every two seconds; in hours of virtual time that would be all that happens."""


@dataclass
class Result:
    """What came of a run."""

    seed: int
    violations: list[str]
    faults: dict[str, int]
    events: int
    made: int
    virtual_s: float
    real_s: float
    trace: list[str] = field(default_factory=list)


def simulate(
    seed: int, *, tracing: bool = False, scenario: Scenario | None = None, ambush: Mapping[str, float] | None = None
) -> Result:
    """Run a seed. Never raises for what the worker does wrong: that is in ``violations``.

    ``scenario`` takes the place of the one the seed draws; ``ambush`` stops a process at a wait (see ``World``).
    """
    began = time.perf_counter()
    scenario = scenario or draw(seed)
    world = World(seed, scenario.odds, tracing, ambush=dict(ambush or {}))
    with world.seeded(), _quiet(), _seldom_polled(), mock.patch.object(shares, "PATIENT", 0):
        cluster = Cluster(world, scenario)
        try:
            world.loop.run(_story(cluster))
        except Stuck as exc:
            world.violated(str(exc))
        ended = world.loop.time()
    for problem in world.loop.errors:
        if isinstance(error := problem.get("exception"), Exception):
            world.violated(f"{problem.get('message')}: {error!r}")
    made = sum(len(agreement.made) for agreement in cluster.economic.agreements)
    real_s = time.perf_counter() - began
    return Result(seed, world.violations, world.faults, len(scenario.messages), made, ended, real_s, world.lines)


async def _story(cluster: Cluster) -> None:
    world, scenario = cluster.world, cluster.scenario
    world.faulty = False
    for index in range(scenario.workspaces):
        await cluster.connect(index)
    world.faulty = True
    cluster.start()
    begun = world.loop.time()
    plots = [_publish(cluster, message) for message in scenario.messages]
    plots += [_away(cluster, outage) for outage in scenario.outages]
    await asyncio.gather(*plots)
    await asyncio.sleep(max(0.0, begun + scenario.clears_up_at - world.loop.time()))
    world.faulty = False
    world.trace("CLEARS UP")
    deadline = world.loop.time() + PATIENCE_S
    while not invariants.settled(cluster) and world.loop.time() < deadline and not world.violations:
        await asyncio.sleep(10)
    invariants.check(cluster)


async def _publish(cluster: Cluster, message: Published) -> None:
    await asyncio.sleep(message.at)
    properties = Basic.Properties(
        content_type="application/cloudevents+json", headers={}, delivery_mode=2, message_id=message.event_id
    )
    cluster.world.trace("Pike says", message.type, message.event_id, message.kind)
    cluster.broker.publish(EVENTS_EXCHANGE, message.type, message.body, properties)


async def _away(cluster: Cluster, outage: Outage) -> None:
    """Something happens to what the workers lean on, and passes."""
    world = cluster.world
    await asyncio.sleep(outage.at)
    world.trace("BEGINS", outage.what, f"{outage.until - outage.at:.1f} s")
    world.count(outage.what)
    length = outage.until - outage.at
    match outage.what:
        case "broker":
            cluster.broker.away = True
            cluster.broker.close_all()
            await asyncio.sleep(length)
            cluster.broker.away = False
        case "postgres":
            cluster.postgres.away = True
            cluster.postgres.drop(None)
            await asyncio.sleep(length)
            cluster.postgres.away = False
        case "grant":
            cluster.revoke(outage.which)
            await asyncio.sleep(length)
            await cluster.restore(outage.which)
        case "wall clock":
            jump = 3600.0 if world.rng.random() < 0.5 else -3600.0
            for process in cluster.processes[outage.which : outage.which + 1]:
                process.wall_offset_s += jump
            await asyncio.sleep(length)
    world.trace("ENDS", outage.what)


@contextlib.contextmanager
def _seldom_polled() -> Iterator[None]:
    with mock.patch.object(relay, "POLL_S", POLL_S), mock.patch.object(overflow, "POLL_S", POLL_S):
        yield


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No logs, and no collection of garbage in the middle of a run: it would run code at a time of its own."""
    before = structlog.get_config()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL), cache_logger_on_first_use=False
    )
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
        structlog.configure(**before)
        structlog.contextvars.clear_contextvars()


def describe(scenario: Scenario) -> str:
    """Say in one line what a seed draws."""
    return (
        f"{scenario.workers} workers × {scenario.prefetch}, booking {'/'.join(scenario.booking)}, "
        f"{len(scenario.messages)} messages, ladder {scenario.ladder_s}, clears up at {scenario.clears_up_at:.0f} s, "
        f"{scenario.odds}"
    )
