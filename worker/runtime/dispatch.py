"""The life of one delivery: decode, claim, handle, judge, record. Each step is a function of its own.

Crash table. Before the finish commits: redelivery repeats the handler, which finds its own effects. Between commit
and acknowledgement: the claim finds the event done. Nothing is acknowledged before its outcome is committed.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import structlog

from events.codec import MalformedEvent, decode
from events.envelope import Envelope
from schemas.problem import Cause
from worker import failpoints
from worker.broker.delivery import Ack, Delivery, Lane, Move, PutAway, Verdict
from worker.clock import Clock
from worker.economic.client import EconomicClient
from worker.errors import GrantRevoked, StoreUnavailable
from worker.run import Handler, Run
from worker.runtime.burial import Burial
from worker.runtime.coalescing import Coalescer
from worker.runtime.failures import Failures
from worker.runtime.gatekeeper import Gatekeeper
from worker.runtime.identity import received
from worker.runtime.judge import Policy, judge
from worker.runtime.lease import LEASE_S, Leases
from worker.runtime.refusals import kills_the_process, nobody_handles, not_connected, stored_problem
from worker.runtime.solo import SOLO_AFTER, Company, deaths
from worker.runtime.tally import Tally
from worker.store import connections, gates, inbox
from worker.store.commits import Commits, GroupCommit, OwnTransaction, Spoiled
from worker.store.connections import EconomicConnection
from worker.store.crypto import Vault
from worker.store.gates import Gate
from worker.store.inbox import Claim, ClaimResult, FenceLost, Received, Standing
from worker.store.outbox import OutboxRow
from worker.store.pool import Database
from worker.telemetry.metrics import CLAIM_BATCH

log = structlog.get_logger()

HELD_RETRY_S = 30.0
"""How long at most a delivery waits before it looks again whether the run that holds its event is still alive."""

HAND_BACK_S = 1.5
"""How long a delivery that is broken off (the process is asked to stop) may take to give its event back."""

STORE_PATIENCE_S = 20 * 60.0
"""How long a delivery is held while Postgres is away; well below RabbitMQ's acknowledgement time-out of 30 minutes."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a claim found, and the workspace's connection and its gates as they were after the claim."""

    result: ClaimResult
    connection: EconomicConnection | None
    gates: Mapping[int, Gate]


@dataclass(slots=True)
class Dispatcher:
    """Gives every delivery the same life. ``process`` is what the consumer calls."""

    database: Database
    handlers: Mapping[str, Handler]
    client: EconomicClient
    vault: Vault
    clock: Clock
    announce: Callable[[Sequence[OutboxRow]], None]
    policy: Policy
    slice_s: float
    tally: Tally = field(default_factory=Tally)
    burial: Burial = field(init=False)
    failures: Failures = field(init=False)
    company: Company = field(default_factory=Company)
    leases: Leases = field(init=False)
    gatekeeper: Gatekeeper = field(init=False)
    _claims: Coalescer[Received, Claimed] = field(init=False)
    _commits: Mapping[Lane, Commits] = field(init=False)

    def __post_init__(self) -> None:
        self.leases = Leases(self.database, self.clock)
        self.gatekeeper = Gatekeeper(self.database, self.clock)
        self._claims = Coalescer(
            self._claim_many, key=lambda event: (event.source, event.event_id), limit=100, shared=(StoreUnavailable,)
        )
        # a slice of an import writes a page at a time: nobody should wait for that, nor be rolled back with it
        self._commits = {
            Lane.WORK: GroupCommit(self.database),
            Lane.BULK: OwnTransaction(self.database),
            Lane.SOLO: OwnTransaction(self.database),
        }
        self.burial = Burial(self.database, self.handlers, self.clock, self.announce)
        self.failures = Failures(self.database, self.clock, self.announce, self.burial, self.policy.ladder_s[0])

    async def process(self, delivery: Delivery) -> Verdict:
        """Work on one delivery and say what to do with the message. While Postgres is away the message is held."""
        failpoints.hit("delivery.received")
        started = self.clock.monotonic()
        delay_s = 0.5
        owner = str(uuid4())
        while True:
            try:
                alone = delivery.lane is Lane.SOLO
                async with self.company.alone() if alone else self.company.beside_others():
                    return await self._once(delivery, owner)
            except StoreUnavailable as exc:
                if self.clock.monotonic() - started > STORE_PATIENCE_S:
                    return PutAway(self.policy.ladder_s[0], "store unavailable")
                log.warning("delivery.store_away", error=str(exc), retry_s=delay_s)
                await self.clock.sleep(delay_s)
                delay_s = min(delay_s * 2, 5.0)

    async def _once(self, delivery: Delivery, owner: str) -> Verdict:
        structlog.contextvars.clear_contextvars()
        started = self.clock.monotonic()
        try:
            event: Envelope[Any] = decode(delivery.body, delivery.headers, delivery.content_type)
        except MalformedEvent as exc:
            if await self.burial.bury_unreadable(delivery, exc):
                self.tally.count("dead")
            return Ack()
        structlog.contextvars.bind_contextvars(event_id=event.id, event_type=event.type, workspace=event.workspace_id)
        claimed = await self._claims(received(delivery, event, owner))
        result = claimed.result
        if result.standing is Standing.CONFLICT:
            await self.burial.bury_conflict(delivery, event)
            self.tally.count("dead")
            return Ack()
        if result.standing is Standing.HELD:
            return PutAway(min(max(result.lease_left_s, 1.0), HELD_RETRY_S), "another run holds this event")
        if result.claim is None:  # done or parked: nothing to do, and nothing may be done twice
            self.tally.count("duplicate")
            return Ack()
        failpoints.hit("delivery.claimed")
        if deaths(result.claim) == SOLO_AFTER and delivery.lane is not Lane.SOLO:
            return await self._set_apart(result.claim)
        verdict, outcome = await self._work(delivery, event, result.claim, claimed)
        duration_s = self.clock.monotonic() - started
        known = event.type if event.type in self.handlers else "other"
        age_s = (self.clock.now() - result.claim.received_at).total_seconds()
        self.tally.observe(delivery.lane.value, known, outcome, duration_s, age_s)
        log.info(
            "delivery.done",
            outcome=outcome,
            attempt=result.claim.attempts,
            lane=delivery.lane.value,
            duration_ms=round(duration_s * 1000, 1),
        )
        return verdict

    async def _claim_many(self, events: Sequence[Received]) -> list[Claimed]:
        """Claim a batch, and read the connections it needs after that: a claim never works with an older grant."""
        CLAIM_BATCH.observe(len(events))
        async with self.database.connection("claim") as connection:
            results = await inbox.claim_many(connection, events, LEASE_S)
            claimed = {event.workspace_id for event, result in zip(events, results, strict=True) if result.claim}
            found = await connections.find_many(connection, sorted(claimed)) if claimed else {}
            agreements = sorted({each.agreement_number for each in found.values()})
            shut = await gates.find(connection, agreements) if agreements else {}
        return [
            Claimed(result, found.get(event.workspace_id), shut) for event, result in zip(events, results, strict=True)
        ]

    async def _set_apart(self, claim: Claim) -> Verdict:
        """Send what may have killed the process to the solo lane, as if it had not been claimed here."""
        async with self.database.connection("set apart") as connection:
            await inbox.put_back(connection, claim, parked=False, free=True, note=None)
        self.tally.count("set apart")
        return Move(Lane.SOLO, f"its process went away {deaths(claim)} times")

    async def _hand_back(self, claim: Claim) -> None:
        """Give up a claim whose work was broken off, so that the next worker need not wait for the lease's end."""
        with contextlib.suppress(StoreUnavailable, FenceLost, TimeoutError):
            async with asyncio.timeout(HAND_BACK_S), self.database.connection("hand back") as connection:
                await inbox.put_back(connection, claim, parked=False, free=True, note=None)

    async def _work(
        self, delivery: Delivery, event: Envelope[Any], claim: Claim, claimed: Claimed
    ) -> tuple[Verdict, str]:
        run = Run(
            event=event,
            claim=claim,
            database=self.database,
            commits=self._commits[delivery.lane],
            clock=self.clock,
            lease_s=LEASE_S,
            slice_s=self.slice_s,
            announce=self.announce,
        )
        try:
            done = await self._handle(run, claimed, delivery.lane)
        except StoreUnavailable:
            raise
        except asyncio.CancelledError:
            await self._hand_back(claim)
            raise
        except FenceLost:
            return Ack(), "fenced"
        except Exception as exc:  # every error has a row in judge's table, the last one for bugs
            decision = judge(
                exc,
                attempts=claim.attempts,
                snoozes=claim.snoozes,
                age_s=(self.clock.now() - claim.received_at).total_seconds(),
                policy=self.policy,
                bugs=sum(note.get("cause") == Cause.INTERNAL_ERROR for note in claim.history),
            )
            if decision.problem.cause is Cause.INTERNAL_ERROR:
                log.exception("delivery.bug", attempt=claim.attempts)
            else:
                log.warning("delivery.failed", error=str(exc), cause=decision.problem.cause.value, next=decision.action)
            await self.gatekeeper.learn(run, claimed.gates, exc)
            return await self.failures.record(delivery, run, exc, decision)
        await self.gatekeeper.learn(run, claimed.gates, None)
        return done

    async def _handle(self, run: Run, claimed: Claimed, lane: Lane) -> tuple[Verdict, str]:
        event, claim = run.event, run.claim
        handler = self.handlers.get(event.type)
        if handler is None:
            raise nobody_handles(event)
        if deaths(claim) > SOLO_AFTER:
            raise kills_the_process(claim)
        if handler.needs == "connection":
            connection = self._connect(run, claimed.connection, lane)
            await self.gatekeeper.admit(connection.agreement_number, claimed.gates)
        async with asyncio.timeout(handler.time_limit_s):
            with self.leases.held(claim):
                try:
                    await handler.handle(event, run)
                except Spoiled as exc:
                    log.info("delivery.alone", reason=str(exc))
                    run.commits = OwnTransaction(self.database)
                    await handler.handle(event, run)
        if not run.finished:
            raise RuntimeError(f"the handler of {event.type} returned without finishing")
        return Ack(), run.outcome

    def _connect(self, run: Run, found: EconomicConnection | None, lane: Lane) -> EconomicConnection:
        if found is None or found.status == "closed":
            raise not_connected(run.workspace_id)
        run.connection = found
        if not found.active:
            raise GrantRevoked(stored_problem(found), f"workspace {run.workspace_id} waits for a reconnect")
        run.api = self.client.for_grant(
            connections.open_grant(self.vault, found),
            agreement_number=found.agreement_number,
            bulk=lane is Lane.BULK,
        )
        return found
