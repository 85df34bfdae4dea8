"""The worker as the simulation runs it: the real dispatcher, handlers, relay and broker handling on the adapters in
memory, in as many processes as the scenario says, each started again some time after it died.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from pydantic import SecretStr

from tests.simulation import scenario as scenarios
from tests.simulation.broker_fake import FakeBroker, Session, SimPublisher
from tests.simulation.economic_fake import FakeAgreement
from tests.simulation.economic_session import FakeEconomic, SimClient
from tests.simulation.loop import Process
from tests.simulation.memory_store import IDLE_LIMIT_S, MemoryDatabase, MemoryPostgres
from tests.simulation.scenario import Scenario
from tests.simulation.world import HEARTBEAT_S, SimClock, World
from worker.broker.delivery import DeathInfo, Lane
from worker.broker.frames import to_delivery
from worker.broker.handling import HOLD_LIMIT_S, Handling
from worker.broker.topology import DEAD_QUEUE, LANE_QUEUES, build_topology
from worker.errors import NotYet, StoreUnavailable, WorkerError
from worker.handlers import handlers
from worker.handlers.connect import connect
from worker.runtime.dispatch import Dispatcher
from worker.runtime.janitor import Janitor
from worker.runtime.judge import Policy
from worker.runtime.overflow import Overflow
from worker.runtime.pace import Pace
from worker.runtime.relay import Relay
from worker.store.crypto import Vault

DEATH = DeathInfo("delivery_limit", LANE_QUEUES[Lane.WORK], 1, None)

STALE_S = 8.0
"""How long a new document may hide from filters; the ledger waits ten seconds."""


class Cluster:
    """Everything of one run."""

    def __init__(self, world: World, scenario: Scenario) -> None:
        self.world = world
        self.scenario = scenario
        table = handlers(SimClock(world, Process("table")))
        topology = build_topology(
            [name for name, handler in table.items() if handler.lane is Lane.WORK],
            [name for name, handler in table.items() if handler.lane is Lane.BULK],
            scenario.ladder_s,
        )
        self.broker = FakeBroker(world, topology)
        self.postgres = MemoryPostgres(world)
        self.economic = FakeEconomic(world)
        self.vault = Vault({"k": b"k" * 32})
        self.processes: list[Process] = []
        self._grants = [1] * scenario.workspaces
        for index in range(scenario.workspaces):
            self.economic.agreements.append(FakeAgreement(7001 + index, _grant(index, 1), self._lag))
            self._seed_products(index)
        world.on_crash = self._crashed
        world.on_silence = self._silent

    def _lag(self) -> float:
        world = self.world
        return world.rng.uniform(0, STALE_S) if world.strikes("stale look-up", world.odds.stale) else 0.0

    def _seed_products(self, index: int) -> None:
        rows = self.postgres.tables.committed.setdefault("products", {})
        for number, product in scenarios.products_of(f"ws-{index + 1}").items():
            rows[product] = {
                "id": product, "workspace_id": f"ws-{index + 1}", "agreement_number": 7001 + index, "name": number,
                "external_number": number, "finance_account": 1010, "active": True, "barred": False,
            }  # fmt: skip

    # --- processes -------------------------------------------------------------------------------------

    def start(self) -> None:
        for index in range(self.scenario.workers):
            self._start(f"w{index + 1}", 1)

    def _start(self, name: str, life: int) -> None:
        process = Process(f"{name}.{life}")
        self.processes = [each for each in self.processes if each.alive] + [process]
        self.world.trace("START", process.name)
        self.world.inside(process, Worker(self, process).run())

    def _crashed(self, process: Process) -> None:
        """The machine notices: Postgres rolls back, RabbitMQ redelivers, something starts the process again."""
        self.postgres.drop(process)
        self.broker.close_all(process)
        name, _, life = process.name.partition(".")
        self.world.loop.call_later(self.world.rng.uniform(1, 20), self._start, name, int(life) + 1)

    def _silent(self, process: Process) -> None:
        if process.paused and process.alive:
            self.broker.close_all(process)
            self.world.loop.call_later(IDLE_LIMIT_S - HEARTBEAT_S, self._idle, process)

    def _idle(self, process: Process) -> None:
        if process.paused:
            self.postgres.drop(process)

    # --- what operators do -----------------------------------------------------------------------------

    async def connect(self, index: int) -> None:
        """Connect a workspace, again and again until it works."""
        operator = Process("operator")
        clock = SimClock(self.world, operator)
        while True:
            try:
                await connect(
                    MemoryDatabase(self.postgres), SimClient(self.world, self.economic, operator), self.vault, clock,
                    workspace_id=f"ws-{index + 1}", grant=SecretStr(_grant(index, self._grants[index])),
                    booking=self.scenario.booking[index],
                )  # fmt: skip
            except WorkerError as exc:
                self.world.trace("connect failed", type(exc).__name__)
                await asyncio.sleep(5)
            else:
                self.world.trace("connected", f"ws-{index + 1}")
                return

    def revoke(self, index: int) -> None:
        self.world.count("grant revoked")
        self.economic.agreements[index].grants.clear()

    async def restore(self, index: int) -> None:
        self._grants[index] += 1
        self.economic.agreements[index].grants = {_grant(index, self._grants[index])}
        await self.connect(index)


def _grant(index: int, version: int) -> str:
    return f"grant-{index + 1}-v{version}"


class Worker:
    """One incarnation of a worker process. Memory of its own dies with it."""

    def __init__(self, cluster: Cluster, process: Process) -> None:
        self._cluster, self._process = cluster, process
        world = cluster.world
        clock = SimClock(world, process)
        database = MemoryDatabase(cluster.postgres)
        publisher: Any = SimPublisher(cluster.broker)
        self._relay = Relay(database, publisher, clock)
        pace = Pace(cluster.scenario.prefetch, clock)
        self._dispatcher = Dispatcher(
            database=database,
            handlers=handlers(clock),
            client=SimClient(world, cluster.economic, process),
            vault=cluster.vault,
            clock=clock,
            announce=self._relay.announce,
            policy=Policy(ladder_s=cluster.scenario.ladder_s),
            slice_s=20.0,
            pace=pace,
        )
        limits = {Lane.WORK: cluster.scenario.prefetch}
        self._overflow = Overflow(database, self._dispatcher.process, publisher, clock, pace, limits)
        self._flooded = cluster.scenario.flooded
        self._janitor = Janitor(database, self._dispatcher.burial)
        self._handling = Handling(
            cluster.broker.topology, publisher, clock=clock, hold_limit_s=HOLD_LIMIT_S, on_damage=world.violated
        )

    async def run(self) -> None:
        working_off = [self._overflow.run()] if self._flooded else []
        await asyncio.gather(self._relay.run(), self._consume(), self._clean(), *working_off)

    async def _consume(self) -> None:
        broker = self._cluster.broker
        while True:
            if not broker.away:
                session = broker.open(self._process, self._cluster.scenario.prefetch, self._take)
                await asyncio.shield(session.closed)
            await asyncio.sleep(0.5)

    async def _take(self, lane: Lane, message: Any, session: Session) -> None:
        settler: Any = session
        if settler.alive:
            delivery, arrival = to_delivery(message, lane), _Arrival(message, settler)
            if not self._flooded or not self._overflow.divert(delivery, arrival) or await arrival.proceeds:
                await self._handling.handle(self._process_delivery, delivery, message, settler)

    @property
    def _process_delivery(self) -> Callable[..., Any]:
        return self._overflow.receive if self._flooded else self._dispatcher.process

    async def _clean(self) -> None:
        """The janitor: what the broker gave up goes into the table of dead letters."""
        dead = self._cluster.broker.queues[DEAD_QUEUE]
        while True:
            await asyncio.sleep(300)
            while dead.ready:
                message = dead.ready[0]
                shaped: Any = _shaped(message)
                try:
                    await self._janitor.keep_dead(to_delivery(shaped, Lane.WORK), DEATH)
                except (StoreUnavailable, NotYet):
                    break
                if message in dead.ready:
                    dead.ready.remove(message)


class _Arrival:
    """A delivery that the overflow took on, and what it says of it."""

    def __init__(self, message: Any, settler: Any) -> None:
        self._message, self._settler = message, settler
        self.proceeds: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def done(self) -> None:
        self._settler.ack(self._message.delivery_tag)
        self.proceeds.set_result(False)

    def proceed(self) -> None:
        self.proceeds.set_result(True)


def _shaped(message: Any) -> Any:
    from types import SimpleNamespace

    return SimpleNamespace(
        body=message.body, header=SimpleNamespace(properties=message.properties), routing_key=message.routing_key,
        redelivered=False, delivery_tag=1,
    )  # fmt: skip
