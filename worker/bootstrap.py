"""Builds settings → adapters → runtime. The only place where real things are made; tests call it too."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from worker.broker.broker import Broker
from worker.broker.delivery import Lane
from worker.broker.topology import Topology, build_topology
from worker.clock import Clock, SystemClock
from worker.economic.client import EconomicClient
from worker.economic.limiter import Limiter
from worker.errors import SchemaMismatch, SettingsError
from worker.handlers import handlers
from worker.handlers.connect_steps import Steps
from worker.handlers.hooks import KeepHooks
from worker.runtime.budget import SharedBudget
from worker.runtime.dispatch import Dispatcher
from worker.runtime.growing import Growing
from worker.runtime.hook_desk import HookDesk
from worker.runtime.hook_watch import HookWatch
from worker.runtime.janitor import Janitor
from worker.runtime.judge import Policy
from worker.runtime.lifecycle import Worker
from worker.runtime.overflow import Overflow
from worker.runtime.pace import Pace
from worker.runtime.pulse import Pulse
from worker.runtime.relay import Relay
from worker.runtime.retention import Retention
from worker.runtime.schedule import Schedule
from worker.runtime.surroundings import examine_broker, examine_store, require
from worker.settings import Settings
from worker.store import migrate
from worker.store.crypto import Vault
from worker.store.pool import Database
from worker.store.warming import warm_up
from worker.telemetry import tracing
from worker.web.front import Front
from worker.web.operators import Operators

MIN_API_CONNECTIONS = 64
"""Connections to e-conomic: one per delivery in work, and not fewer than an import's pages may want."""
FOR_EVENTS = 16
"""Database connections for events: claims and commits are shared, reads are short, and none is held during a call."""
READY = 8
"""Of these so many are opened before the first event comes: what a busy worker uses, but for bad moments."""
FOR_OTHERS = 4
"""For the relay, heartbeats, leases and pages."""


def make_topology(settings: Settings) -> Topology:
    """Return the broker's table: which event types reach which lane."""
    table = handlers(SystemClock())
    return build_topology(
        work_types=[name for name, handler in table.items() if handler.lane is Lane.WORK],
        bulk_types=[name for name, handler in table.items() if handler.lane is Lane.BULK],
        ladder_s=settings.wait_ladder_s,
    )


def make_database(settings: Settings, max_size: int = 10) -> Database:
    """Return the database, not connected yet."""
    return Database(settings.database_url.get_secret_value(), max_size=max_size)


def make_event_database(settings: Settings) -> Database:
    """Return the database of a worker that consumes events, not connected yet."""
    return Database(
        settings.database_url.get_secret_value(),
        max_size=FOR_EVENTS + settings.prefetch_bulk + FOR_OTHERS,
        ready=READY,
        warm_up=warm_up,
    )


def make_vault(settings: Settings) -> Vault:
    """Return the vault. Raises ``SettingsError`` naming the setting and the bad key entry."""
    try:
        return Vault.parse(settings.encryption_keys.get_secret_value())
    except SettingsError as exc:
        raise SettingsError(f"PIKE_ECONOMIC_ENCRYPTION_KEYS is not usable: {exc}") from None


def make_client(settings: Settings, clock: Clock, limiter: Limiter | None = None) -> EconomicClient:
    """Return the e-conomic client, not started yet. Without a limiter it keeps to budgets as it alone sees them."""
    return EconomicClient(
        legacy_url=settings.legacy_url,
        openapi_url=settings.openapi_url,
        app_secret_token=settings.app_secret_token,
        clock=clock,
        limiter=limiter,
        max_connections=max(MIN_API_CONNECTIONS, settings.prefetch_work),
    )


AHEAD: Mapping[Lane, int] = {Lane.WORK: 200, Lane.BULK: 8}
"""Deliveries that a lane holds at least beyond those at work: so fast a flood is seen and set aside."""


def make_prefetch(settings: Settings) -> dict[Lane, int]:
    """Return how many deliveries each lane holds: those at work, and as many of small workspaces beside them."""
    lanes = {Lane.WORK: settings.prefetch_work, Lane.BULK: settings.prefetch_bulk}
    return {lane: most + max(most, AHEAD[lane]) for lane, most in lanes.items()} | {Lane.SOLO: 1}


def make_broker(settings: Settings, clock: Clock) -> Broker:
    """Return the broker, not connected yet."""
    return Broker(
        settings.amqp_url,
        make_topology(settings),
        clock=clock,
        prefetch=make_prefetch(settings),
        name=f"pike-economic {socket.gethostname()} {os.getpid()}",
    )


@dataclass(frozen=True, slots=True)
class Tools:
    """What commands need: a database, a client, a vault."""

    settings: Settings
    clock: Clock
    database: Database
    client: EconomicClient
    vault: Vault


@asynccontextmanager
async def tools(settings: Settings) -> AsyncIterator[Tools]:
    """Connect what a command needs and close it afterwards. Raises ``StoreUnavailable``, ``SchemaMismatch``."""
    clock = SystemClock()
    await require_migrated(settings)
    async with AsyncExitStack() as stack:
        database = make_database(settings, max_size=4)
        await database.connect()
        stack.push_async_callback(database.close)
        client = await stack.enter_async_context(make_client(settings, clock))
        yield Tools(settings, clock, database, client, make_vault(settings))


@asynccontextmanager
async def worker(settings: Settings, clock: Clock | None = None) -> AsyncIterator[Worker]:
    """Build and connect a whole worker; run it with ``Worker.run``. Everything is closed on leaving."""
    clock = clock or SystemClock()
    vault = make_vault(settings)
    await require_migrated(settings)
    async with AsyncExitStack() as stack:
        if settings.tracing_url:
            provider = tracing.export_to(settings.tracing_url)
            stack.callback(tracing.switch_off)
            stack.push_async_callback(asyncio.to_thread, provider.shutdown)
        database = make_event_database(settings)
        await database.connect()
        stack.push_async_callback(database.close)
        require(await examine_store(database, vault, clock))
        budget = SharedBudget(database, clock)
        client = await stack.enter_async_context(make_client(settings, clock, budget))
        broker = make_broker(settings, clock)
        require([await examine_broker(broker)])
        await broker.start()
        stack.push_async_callback(broker.stop, 0.0)
        relay = Relay(database, broker.publisher, clock)
        pace = Pace(settings.prefetch_work, clock)
        dispatcher = Dispatcher(
            database=database,
            handlers=handlers(clock, KeepHooks(vault, settings.public_url)),
            client=client,
            vault=vault,
            clock=clock,
            announce=relay.announce,
            policy=Policy(ladder_s=settings.wait_ladder_s, max_attempts=settings.max_attempts),
            slice_s=settings.import_slice_s,
            pace=pace,
        )
        overflow = Overflow(
            database, dispatcher.process, broker.publisher, clock, pace,
            {Lane.WORK: settings.prefetch_work, Lane.BULK: settings.prefetch_bulk},
        )  # fmt: skip
        pulse = Pulse(database, broker, dispatcher.tally, clock, budget.left)
        schedule = Schedule(database, relay, clock, settings.sync_every_s)
        watch = HookWatch(database, relay, vault, clock, settings.public_url)
        janitor, retention = Janitor(database, dispatcher.burial), Retention(database, clock, settings.retention_days)
        growing = Growing(database, clock)
        yield Worker(broker, relay, dispatcher, overflow, janitor, pulse, schedule, watch, retention, growing, clock)


def make_front(settings: Settings, made: Worker) -> Front:
    """Return what the pages stand on. Raises ``SettingsError`` naming the setting."""
    dispatcher = made.dispatcher
    try:
        operators = Operators.parse(settings.operator_tokens.get_secret_value())
    except SettingsError as exc:
        raise SettingsError(f"PIKE_ECONOMIC_OPERATOR_TOKENS is not usable: {exc}") from None
    keys = settings.link_keys()
    return Front(
        database=dispatcher.database,
        clock=made.clock,
        client=dispatcher.client,
        vault=dispatcher.vault,
        steps=Steps(dispatcher.database, dispatcher.client, dispatcher.vault, made.clock, keys),
        operators=operators,
        announce=dispatcher.announce,
        desk=HookDesk(dispatcher.database, made.clock, dispatcher.announce),
        public_url=settings.public_url,
        consent_url=settings.consent_url,
        app_public_token=settings.app_public_token.get_secret_value(),
        link_keys=keys,
    )


async def require_migrated(settings: Settings) -> None:
    """Raise ``SchemaMismatch`` unless every migration of this version is applied."""
    missing = await migrate.check(settings.database_url.get_secret_value())
    if missing:
        raise SchemaMismatch(
            f"the database lacks {len(missing)} migration{'s' if len(missing) > 1 else ''} "
            f"({', '.join(missing)}): type pike-economic migrate first"
        )
