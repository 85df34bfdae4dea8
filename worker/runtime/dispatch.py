"""The life of one delivery: decode, claim, handle, judge, record. Each step is a function of its own.

Crash table. Before the finish commits: redelivery repeats the handler, which finds its own effects. Between commit
and acknowledgement: the claim finds the event done. Nothing is acknowledged before its outcome is committed.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

import structlog

from events import EVENTS, failed_event
from events.codec import MalformedEvent, decode
from events.connection import ConnectionRevoked
from events.envelope import Envelope, EventData
from schemas.problem import Cause, Problem
from worker.broker.delivery import Ack, Delivery, PutAway, Verdict
from worker.clock import Clock
from worker.economic.client import EconomicClient
from worker.errors import GrantRevoked, NotYet, StoreUnavailable, refused
from worker.run import SOURCE, Handler, Run, Work
from worker.runtime.judge import Action, Decision, Policy, judge
from worker.store import connections, dead_letters, inbox, outbox
from worker.store.connections import EconomicConnection, Refusal
from worker.store.crypto import Vault
from worker.store.dead_letters import NewLetter
from worker.store.inbox import Claim, FenceLost, Received, Standing
from worker.store.outbox import OutboxRow
from worker.store.pool import Database

log = structlog.get_logger()

LEASE_S = 75.0
"""How long a claim holds without a sign of life. Longer than one request to e-conomic may take (60 s), so that a
process that stops dead cannot have a call under way when another takes its event over."""

LEASE_RENEWAL_S = 25.0
"""A handler that still runs prolongs its lease this often; short ones never do."""

HELD_RETRY_S = 30.0
"""How long at most a delivery waits before it looks again whether the run that holds its event is still alive."""

STORE_PATIENCE_S = 20 * 60.0
"""How long a delivery is held while Postgres is away; well below RabbitMQ's acknowledgement time-out of 30 minutes."""

_MALFORMED = "malformed"
_CONFLICT = "conflict"


@dataclass(slots=True)
class Tally:
    """What this process did since it started, by verdict; shown by ``status`` and metrics."""

    outcomes: dict[str, int] = field(default_factory=dict)

    def count(self, outcome: str) -> None:
        """Count one delivery."""
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1


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

    async def process(self, delivery: Delivery) -> Verdict:
        """Work on one delivery and say what to do with the message. While Postgres is away the message is held."""
        started = self.clock.monotonic()
        delay_s = 0.5
        owner = str(uuid4())
        while True:
            try:
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
            return await self._bury_unreadable(delivery, exc)
        structlog.contextvars.bind_contextvars(event_id=event.id, event_type=event.type, workspace=event.workspace_id)
        result = await self._claim(delivery, event, owner)
        if result.standing is Standing.CONFLICT:
            return await self._bury_conflict(delivery, event)
        if result.standing is Standing.HELD:
            return PutAway(min(max(result.lease_left_s, 1.0), HELD_RETRY_S), "another run holds this event")
        if result.claim is None:  # done or parked: nothing to do, and nothing may be done twice
            self.tally.count("duplicate")
            return Ack()
        verdict, outcome = await self._work(delivery, event, result.claim)
        self.tally.count(outcome)
        log.info(
            "delivery.done",
            outcome=outcome,
            attempt=result.claim.attempts,
            lane=delivery.lane.value,
            duration_ms=round((self.clock.monotonic() - started) * 1000, 1),
        )
        return verdict

    async def _claim(self, delivery: Delivery, event: Envelope[Any], owner: str) -> inbox.ClaimResult:
        async with self.database.connection("claim") as connection:
            return await inbox.claim(connection, _received(delivery, event, owner), LEASE_S)

    async def _work(self, delivery: Delivery, event: Envelope[Any], claim: Claim) -> tuple[Verdict, str]:
        run = Run(
            event=event,
            claim=claim,
            database=self.database,
            clock=self.clock,
            lease_s=LEASE_S,
            slice_s=self.slice_s,
            announce=self.announce,
        )
        try:
            return await self._handle(run)
        except (StoreUnavailable, asyncio.CancelledError):
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
            )
            if decision.problem.cause is Cause.INTERNAL_ERROR:
                log.exception("delivery.bug", attempt=claim.attempts)
            else:
                log.warning("delivery.failed", error=str(exc), cause=decision.problem.cause.value, next=decision.action)
            return await self._record_failure(delivery, run, exc, decision)

    async def _handle(self, run: Run) -> tuple[Verdict, str]:
        event, claim = run.event, run.claim
        handler = self.handlers.get(event.type)
        if handler is None:
            raise _nobody_handles(event)
        if claim.attempts > self.policy.max_attempts + 2:
            raise _kills_the_process(claim)
        if handler.needs == "connection":
            await self._connect(run)
        async with asyncio.timeout(handler.time_limit_s), self._alive(claim):
            await handler.handle(event, run)
        if not run.finished:
            raise RuntimeError(f"the handler of {event.type} returned without finishing")
        return Ack(), run.outcome

    @asynccontextmanager
    async def _alive(self, claim: Claim) -> AsyncIterator[None]:
        """Prolong the lease while the block runs. Trouble with it is left to the fence, which decides at the commit."""

        async def renew() -> None:
            while True:
                await self.clock.sleep(LEASE_RENEWAL_S)
                with contextlib.suppress(StoreUnavailable):
                    async with self.database.connection("lease") as connection:
                        await inbox.extend(connection, claim, LEASE_S)

        renewing = asyncio.create_task(renew())
        try:
            yield
        finally:
            renewing.cancel()
            with contextlib.suppress(asyncio.CancelledError, FenceLost):
                await renewing

    async def _connect(self, run: Run) -> None:
        async with run.read() as connection:
            found = await connections.find(connection, run.workspace_id)
        if found is None or found.status == "closed":
            raise _not_connected(run.workspace_id)
        run.connection = found
        if not found.active:
            raise GrantRevoked(_stored_problem(found), f"workspace {run.workspace_id} waits for a reconnect")
        run.api = self.client.for_grant(
            connections.open_grant(self.vault, found), agreement_number=found.agreement_number
        )

    async def _record_failure(
        self, delivery: Delivery, run: Run, error: BaseException, decision: Decision
    ) -> tuple[Verdict, str]:
        note = _note(self.clock.now(), error, decision)
        match decision.action:
            case Action.RETRY | Action.SNOOZE:
                free = decision.action is Action.SNOOZE
                async with self.database.connection("put back") as connection:
                    await inbox.put_back(
                        connection, run.claim, parked=False, free=free, note=None if isinstance(error, NotYet) else note
                    )
                return PutAway(decision.delay_s, decision.problem.cause.value), decision.action.value
            case Action.PARK:
                return await self._park(run, note, decision.problem)
            case Action.DEAD:
                history = [*run.claim.history, note]
                await self._bury(delivery, run.event, run.claim, decision.problem, str(error), history)
                return Ack(), "dead"

    async def _park(self, run: Run, note: dict[str, Any], problem: Problem) -> tuple[Verdict, str]:
        """Hold the event until somebody reconnects; one that was refused with an older grant just tries again."""
        version = run.connection.grant_version if run.connection else 0
        async with self.database.transaction("park") as connection:
            work = Work(connection, run.event, self.clock)
            refusal = await connections.refuse_grant(
                connection, run.workspace_id, version, problem.model_dump(mode="json")
            )
            outdated = refusal is Refusal.OUTDATED
            await inbox.put_back(connection, run.claim, parked=not outdated, free=True, note=note)
            if refusal is Refusal.FIRST and run.connection is not None:
                work.emit(ConnectionRevoked(agreement_number=run.connection.agreement_number, problem=problem))
            rows = await outbox.append(connection, work.messages)
        self.announce(rows)
        return (PutAway(self.policy.ladder_s[0], "reconnected meanwhile"), "snooze") if outdated else (Ack(), "parked")

    async def _bury(
        self,
        delivery: Delivery,
        event: Envelope[Any],
        claim: Claim,
        problem: Problem,
        detail: str,
        history: Sequence[dict[str, Any]],
    ) -> None:
        handler = self.handlers.get(event.type)
        async with self.database.transaction("bury") as connection:
            await inbox.bury(connection, claim, problem.cause.value)
            await dead_letters.insert(connection, _letter(delivery, event, problem, detail, claim, history))
            work = Work(connection, event, self.clock)
            if handler and handler.on_dead:
                await handler.on_dead(event, problem, work)
            answer = failed_event(type(event.data), event.id, event.data, problem)
            if answer is not None:
                work.emit(answer)
            rows = await outbox.append(connection, work.messages)
        self.announce(rows)

    async def _bury_unreadable(self, delivery: Delivery, error: MalformedEvent) -> Verdict:
        """Keep what cannot be read, once per body, and answer where a request can be recognised."""
        hint = error.envelope_hint
        problem = Problem(cause=error.cause, user_message=error.user_message, remedy=error.remedy)
        event: Envelope[Any] = Envelope(
            id=hint.get("id") or "unknown",
            source=hint.get("source") or "unknown",
            type=hint.get("type") or "unknown",
            time=None,
            workspace_id=hint.get("workspace_id") or "",
            data=EventData(),
        )
        async with self.database.transaction("bury unreadable") as connection:
            if not await self._claim_by_body(connection, delivery, event, _MALFORMED, error.cause.value):
                return Ack()
            letter = _letter(delivery, event, problem, str(error), None, [])
            await dead_letters.insert(connection, letter)
            work = Work(connection, event, self.clock)
            request = EVENTS.get(event.type)
            answer = failed_event(request, event.id, None, problem) if request and event.workspace_id else None
            if answer is not None and hint.get("id"):
                work.emit(answer)
            rows = await outbox.append(connection, work.messages)
        self.announce(rows)
        self.tally.count("dead")
        log.warning("delivery.unreadable", cause=error.cause.value, error=str(error), bytes=len(delivery.body))
        return Ack()

    async def _bury_conflict(self, delivery: Delivery, event: Envelope[Any]) -> Verdict:
        """Same id, different body: kept for a person. The first request keeps its own, single answer."""
        problem = Problem(
            cause=Cause.CONFLICTING_EVENT,
            user_message="A second event with the same id but other contents arrived. Only the first was acted on.",
            remedy="The publisher must give every event an id of its own. Publish this one again with a new id.",
        )
        async with self.database.transaction("bury conflict") as connection:
            if await self._claim_by_body(connection, delivery, event, _CONFLICT, problem.cause.value):
                await dead_letters.insert(connection, _letter(delivery, event, problem, "", None, []))
        self.tally.count("dead")
        log.error("delivery.conflict")
        return Ack()

    async def _claim_by_body(
        self, connection: Any, delivery: Delivery, event: Envelope[Any], kind: str, cause: str
    ) -> bool:
        """Write down a message that has no identity of its own by its bytes; False when it was buried before."""
        digest = hashlib.sha256(delivery.body)
        received = Received(
            source=kind,
            event_id=digest.hexdigest(),
            type=event.type,
            workspace_id=event.workspace_id,
            lane=delivery.lane.value,
            body=b"",
            body_hash=digest.digest(),
            content_type=delivery.content_type,
            headers={},
            owner=kind,
        )
        result = await inbox.claim(connection, received, LEASE_S)
        if result.claim is None:
            return False
        await inbox.bury(connection, result.claim, cause)
        return True


def _received(delivery: Delivery, event: Envelope[Any], owner: str) -> Received:
    return Received(
        source=event.source,
        event_id=event.id,
        type=event.type,
        workspace_id=event.workspace_id,
        lane=delivery.lane.value,
        body=delivery.body,
        body_hash=meaning(event),
        content_type=delivery.content_type,
        headers=_texts(delivery.headers),
        owner=owner,
    )


def meaning(event: Envelope[Any]) -> bytes:
    """Fingerprint of what an event asks for. A publisher that repeats it with another time stamp means the same."""
    text = "\x1f".join((event.type, event.workspace_id, event.data.model_dump_json()))
    return hashlib.sha256(text.encode()).digest()


def _letter(
    delivery: Delivery,
    event: Envelope[Any],
    problem: Problem,
    detail: str,
    claim: Claim | None,
    history: Sequence[dict[str, Any]],
) -> NewLetter:
    def known(text: str) -> str | None:
        return text if text not in ("", "unknown") else None

    return NewLetter(
        lane=delivery.lane.value,
        body=delivery.body,
        cause=problem.cause.value,
        problem=problem.model_dump(mode="json"),
        received_at=claim.received_at if claim else None,
        detail=detail,
        source=known(event.source),
        event_id=known(event.id),
        type=known(event.type),
        workspace_id=known(event.workspace_id),
        content_type=delivery.content_type,
        headers=_texts(delivery.headers),
        attempts=claim.attempts if claim else 1,
        history=history,
    )


def _texts(headers: Mapping[str, object]) -> dict[str, str]:
    """Keep the headers that binary mode and people need; the broker's own bookkeeping (x-death, …) is left out."""
    return {name: str(value) for name, value in headers.items() if not name.startswith("x-")}


def _note(at: datetime, error: BaseException, decision: Decision) -> dict[str, Any]:
    return {
        "at": at.isoformat(),
        "error": type(error).__name__,
        "detail": str(error)[:500],
        "cause": decision.problem.cause.value,
        "next": decision.action.value,
    }


def _stored_problem(connection: EconomicConnection) -> Problem:
    if connection.problem:
        return Problem.model_validate(connection.problem)
    return Problem(
        cause=Cause.GRANT_REVOKED,
        user_message="e-conomic no longer accepts Pike's access to this agreement.",
        remedy="Reconnect the agreement under Workspace settings → Integrations. Waiting requests go on by themselves.",
        final=False,
    )


def _not_connected(workspace_id: str) -> Exception:
    return refused(
        Cause.NOT_CONNECTED,
        f"Workspace {workspace_id} is not connected to an e-conomic agreement.",
        "Connect it under Workspace settings → Integrations, then send the request again.",
    )


def _nobody_handles(event: Envelope[Any]) -> Exception:
    whose = "This worker's own answer" if event.source == SOURCE else "The event"
    return refused(
        Cause.UNKNOWN_EVENT_TYPE,
        f"{whose} {event.type} is not something the worker acts on.",
        "Publish one of the request types of the contract; answers are for reading only.",
    )


def _kills_the_process(claim: Claim) -> Exception:
    return refused(
        Cause.KILLED_THE_PROCESS,
        f"Working on this was started {claim.attempts - 1} times and never came to an end.",
        "Our engineers must look at it before it is sent again.",
    )
