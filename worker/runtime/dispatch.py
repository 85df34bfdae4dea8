"""The life of one delivery: decode, claim, handle, judge, record. Each step is a function of its own.

Crash table. Before the finish commits: redelivery repeats the handler, which finds its own effects. Between commit
and acknowledgement: the claim finds the event done. Nothing is acknowledged before its outcome is committed.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from worker.deadlines import Deadlines
from worker.economic.client import EconomicClient
from worker.errors import GrantRevoked, StoreUnavailable
from worker.run import STORE, Handler, Run
from worker.runtime.account import Account
from worker.runtime.burial import Burial
from worker.runtime.claiming import Claimed, Claims, claiming
from worker.runtime.failures import Failures
from worker.runtime.gatekeeper import Gatekeeper
from worker.runtime.identity import received
from worker.runtime.judge import Policy, judge
from worker.runtime.lease import LEASE_S, Leases
from worker.runtime.pace import Pace
from worker.runtime.refusals import kills_the_process, nobody_handles, not_connected, stored_problem
from worker.runtime.solo import SOLO_AFTER, Company, deaths
from worker.runtime.tally import Tally
from worker.runtime.tries import linked, trying
from worker.store import connections, inbox
from worker.store.commits import Commits, OwnTransaction, Spoiled
from worker.store.connections import EconomicConnection
from worker.store.crypto import CannotOpen, Vault
from worker.store.group_commit import GroupCommit
from worker.store.inbox import Claim, FenceLost, Standing
from worker.store.outbox import OutboxRow
from worker.store.pool import Database
from worker.telemetry import tracing

log = structlog.get_logger()

HELD_RETRY_S = 30.0
"""How long at most a delivery waits before it looks again whether the run that holds its event is still alive."""

HAND_BACK_S = 1.5
"""How long a delivery that is broken off (the process is asked to stop) may take to give its event back."""

STORE_PATIENCE_S = 20 * 60.0
"""How long a delivery is held while Postgres is away; well below RabbitMQ's acknowledgement time-out of 30 minutes."""


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
    pace: Pace
    tally: Tally = field(default_factory=Tally)
    burial: Burial = field(init=False)
    failures: Failures = field(init=False)
    company: Company = field(default_factory=Company)
    leases: Leases = field(init=False)
    gatekeeper: Gatekeeper = field(init=False)
    _claims: Claims = field(init=False)
    _deadlines: Deadlines = field(default_factory=Deadlines)
    _owner: str = field(default_factory=lambda: str(uuid4()))
    _deliveries: Iterator[int] = field(default_factory=itertools.count)
    _commits: Mapping[Lane, Commits] = field(init=False)

    def __post_init__(self) -> None:
        self.leases = Leases(self.database, self.clock)
        self.gatekeeper = Gatekeeper(self.database, self.clock)
        self._claims = claiming(self.database)
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
        structlog.contextvars.clear_contextvars()
        account = Account(delivery, self.clock)
        verdict: Verdict | None = None
        try:
            verdict = await self._patiently(delivery, account)
        except asyncio.CancelledError:
            account.outcome = "broken off"
            raise
        except Exception as exc:
            account.bug = exc
            raise
        else:
            return verdict
        finally:
            account.tell(verdict, self.tally)

    async def _patiently(self, delivery: Delivery, account: Account) -> Verdict:
        delay_s = 0.5
        owner = f"{self._owner}/{next(self._deliveries)}"
        while True:
            try:
                alone = delivery.lane is Lane.SOLO
                async with self.company.alone() if alone else self.company.beside_others():
                    return await self._once(delivery, owner, account)
            except StoreUnavailable as exc:
                if self.clock.monotonic() - account.begun_s > STORE_PATIENCE_S:
                    account.outcome, account.error = "store away", str(exc)
                    return PutAway(self.policy.ladder_s[0], "store unavailable")
                log.warning("delivery.store_away", error=str(exc), retry_s=delay_s)
                await self.clock.sleep(delay_s)
                delay_s = min(delay_s * 2, 5.0)

    async def _once(self, delivery: Delivery, owner: str, account: Account) -> Verdict:
        try:
            event: Envelope[Any] = decode(delivery.body, delivery.headers, delivery.content_type)
        except MalformedEvent as exc:
            kept = await self.burial.bury_unreadable(delivery, exc)
            account.outcome, account.cause, account.error = "dead" if kept else "duplicate", exc.cause, str(exc)
            return Ack()
        account.read(event, handled=event.type in self.handlers)
        with trying(event, delivery) as span:
            verdict = await self._try(delivery, event, owner, account)
            account.mark(span)
        return linked(verdict, span)

    async def _try(self, delivery: Delivery, event: Envelope[Any], owner: str, account: Account) -> Verdict:
        with tracing.span("claim", attributes=STORE):
            claimed = await self._claims(received(delivery, event, owner))
        result = claimed.result
        if result.standing is Standing.CONFLICT:
            await self.burial.bury_conflict(delivery, event)
            account.outcome, account.cause = "dead", Cause.CONFLICTING_EVENT
            return Ack()
        if result.standing is Standing.HELD:
            account.outcome = "held"
            return PutAway(min(max(result.lease_left_s, 1.0), HELD_RETRY_S), "another run holds this event")
        if result.claim is None:  # done or parked: nothing to do, and nothing may be done twice
            account.outcome = "duplicate"
            return Ack()
        account.claims(result.claim)
        failpoints.hit("delivery.claimed")
        if deaths(result.claim) == SOLO_AFTER and delivery.lane is not Lane.SOLO:
            account.outcome = "set apart"
            return await self._set_apart(result.claim)
        verdict, account.outcome = await self._work(delivery, event, claimed, account)
        return verdict

    async def _set_apart(self, claim: Claim) -> Verdict:
        """Send what may have killed the process to the solo lane, as if it had not been claimed here."""
        async with self.database.connection("set apart") as connection:
            await inbox.put_back(connection, claim, parked=False, free=True, note=None)
        return Move(Lane.SOLO, f"its process went away {deaths(claim)} times")

    async def _hand_back(self, claim: Claim) -> None:
        """Give up a claim whose work was broken off, so that the next worker need not wait for the lease's end."""
        with contextlib.suppress(StoreUnavailable, FenceLost, TimeoutError):
            async with asyncio.timeout(HAND_BACK_S), self.database.connection("hand back") as connection:
                await inbox.put_back(connection, claim, parked=False, free=True, note=None)

    async def _work(
        self, delivery: Delivery, event: Envelope[Any], claimed: Claimed, account: Account
    ) -> tuple[Verdict, str]:
        claim = claimed.result.need_claim()
        account.run = run = Run(
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
            account.failed(exc, decision.problem.cause)
            self.pace.learn(run, exc, self.clock.monotonic() - account.begun_s)
            await self.gatekeeper.learn(run, claimed.gates, exc)
            return await self.failures.record(delivery, run, exc, decision)
        self.pace.learn(run, None, self.clock.monotonic() - account.begun_s)
        await self.gatekeeper.learn(run, claimed.gates, None)
        return done

    async def _handle(self, run: Run, claimed: Claimed, lane: Lane) -> tuple[Verdict, str]:
        event, claim = run.event, run.claim
        handler = self.handlers.get(event.type)
        if handler is None:
            raise nobody_handles(event)
        if deaths(claim) > SOLO_AFTER:
            raise kills_the_process(claim)
        if _called_for(handler, claimed.connection):
            await self._admit(run, handler, claimed, lane)
        with self._deadlines.limit(handler.time_limit_s), self.leases.held(claim):
            try:
                await handler.handle(event, run)
            except Spoiled as exc:
                log.info("delivery.alone", reason=str(exc))
                run.commits = OwnTransaction(self.database)
                await handler.handle(event, run)
        if not run.finished:
            raise RuntimeError(f"the handler of {event.type} returned without finishing")
        return Ack(), run.outcome

    async def _admit(self, run: Run, handler: Handler, claimed: Claimed, lane: Lane) -> None:
        """Give the handler its connection when the agreement may be called now. Raises ``Held``, ``GrantRevoked``."""
        try:
            connection = self._connect(run, claimed.connection, bulk=handler.background or lane is Lane.BULK)
        except CannotOpen:
            if handler.gated:
                raise
            return  # it goes without calls: a connection whose key is lost can still be closed
        if handler.gated:
            await self.gatekeeper.admit(connection.agreement_number, claimed.gates)

    def _connect(self, run: Run, found: EconomicConnection | None, *, bulk: bool) -> EconomicConnection:
        if found is None or found.status == "closed":
            raise not_connected(run.workspace_id)
        run.connection = found
        if not found.active:
            raise GrantRevoked(stored_problem(found), f"workspace {run.workspace_id} waits for a reconnect")
        run.api = self.client.for_grant(
            connections.open_grant(self.vault, found),
            agreement_number=found.agreement_number,
            bulk=bulk,
        )
        return found


def _called_for(handler: Handler, found: EconomicConnection | None) -> bool:
    """Return whether the handler is given the connection; one that can do without is not refused for want of it."""
    if handler.needs == "connection_if_any":
        return found is not None and found.active
    return handler.needs == "connection"
