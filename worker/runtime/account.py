"""What one delivery came to. Told once, when it ends: one log line with everything in it, and the metrics.

The line is an interface; ``LINE`` documents its fields, ``deploy/logs.md`` repeats them for operators.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog

from events.envelope import Envelope
from schemas.problem import Cause
from worker.broker.delivery import Delivery, Move, PutAway, Verdict
from worker.clock import Clock
from worker.run import Run
from worker.runtime.tally import Tally
from worker.runtime.tries import parent_of
from worker.store.inbox import Claim
from worker.telemetry import tracing

if TYPE_CHECKING:
    from opentelemetry.trace import Span

log = structlog.get_logger()

LINE: Mapping[str, str] = {
    "lane": "Which queue it came from: work, bulk, solo.",
    "outcome": "What it came to; see the table below.",
    "bytes": "Size of the message's body.",
    "redelivered": "Whether the broker had handed this copy out before.",
    "duration_ms": "From taking up the message to the verdict.",
    "event_id": "The event's id; absent when the message could not be read.",
    "event_type": "The event's type; absent likewise.",
    "workspace": "The workspace; absent likewise.",
    "trace_id": "W3C trace id: the publisher's, or one made from the event's source and id.",
    "claim_ms": "Of that, until the event was claimed; absent when it could not be.",
    "attempt": "Which try this was; tries that were given back do not count.",
    "snoozes": "How often the event was given back so far without spending a try.",
    "age_s": "Since the event was first received: the critical time when the outcome is final.",
    "api_calls": "Calls to e-conomic; absent when the event needs no agreement.",
    "api_cost": "What they cost in e-conomic's tokens; absent likewise.",
    "cause": "Why it failed: a cause of the contract's closed set.",
    "error": "The same for engineers, with the numbers in it.",
    "next_s": "Seconds until it is tried again; the wait ladder rounds up.",
    "moved_to": "The lane that it was sent to.",
}
"""Fields of ``delivery.done``, beside ``event``, ``level``, ``timestamp`` and, for bugs, ``exception``."""

OUTCOMES: Mapping[str, str] = {
    "a handler's word": "Done, in the handler's own word, such as `synced`, `refreshed`, `completed`.",
    "dead": "Given up: dead letter and failed event. `cause` says why.",
    "retry": "Failed; comes again after `next_s`. The try counted.",
    "snooze": "Not now (rate limit, held agreement, unknown outcome); comes again. The try did not count.",
    "parked": "Waits until the workspace is connected again.",
    "duplicate": "Done, buried or parked before: nothing was done.",
    "held": "Another run holds the event; this copy looks again after `next_s`.",
    "set apart": "Two processes went away while working on it: sent to the solo lane.",
    "fenced": "Another run took over meanwhile; nothing of this one was written.",
    "broken off": "The process was asked to stop; the event was handed back.",
    "store away": "Postgres was away for longer than a message may be held; comes again after `next_s`.",
    "failed": "Something nobody expected; the message is put away. `exception` says what.",
}


@dataclass(slots=True)
class Account:
    """Filled in on the way by the dispatcher. ``tell`` is called once, whatever happened."""

    delivery: Delivery
    clock: Clock
    outcome: str = "failed"
    event: Envelope[Any] | None = None
    claim: Claim | None = None
    run: Run | None = None
    cause: Cause | None = None
    error: str | None = None
    known_type: str = "other"
    """The event's type as a label: one that a handler exists for, else ``other``."""
    bug: BaseException | None = None
    claimed_s: float | None = None
    begun_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.begun_s = self.clock.monotonic()

    def mark(self, span: "Span | None") -> None:
        """Say on the try's span what it came to."""
        if span is None:
            return
        span.set_attribute("pike_economic.outcome", self.outcome)
        if self.claim is not None:
            span.set_attribute("pike_economic.attempt", self.claim.attempts)
        if self.cause is not None:
            span.set_attribute("pike_economic.cause", self.cause.value)
            tracing.failed(span, self.error or self.cause.value)

    def read(self, event: Envelope[Any], *, handled: bool) -> None:
        """Note what the message says; other log lines of this delivery carry it too."""
        self.event = event
        self.known_type = event.type if handled else "other"
        structlog.contextvars.bind_contextvars(
            event_id=event.id,
            event_type=event.type,
            workspace=event.workspace_id,
            trace_id=parent_of(event, self.delivery).split("-")[1],
        )

    def claims(self, claim: Claim) -> None:
        """Note that the event is ours."""
        self.claim = claim
        self.claimed_s = self.clock.monotonic() - self.begun_s

    def failed(self, error: BaseException, cause: Cause) -> None:
        """Note why the handler did not finish."""
        self.error, self.cause = str(error), cause
        if cause is Cause.INTERNAL_ERROR:
            self.bug = error

    def tell(self, verdict: Verdict | None, tally: Tally) -> None:
        """Write the line and count. ``None``: the delivery was broken off."""
        duration_s = self.clock.monotonic() - self.begun_s
        age_s = (self.clock.now() - self.claim.received_at).total_seconds() if self.claim else None
        tally.observe(self.delivery.lane.value, self.known_type, self.outcome, duration_s, age_s)
        if self.outcome == "failed" or self.bug:
            level = logging.ERROR
        elif self.outcome in ("dead", "retry", "parked", "set apart", "store away"):
            level = logging.WARNING
        else:
            level = logging.INFO
        if log.is_enabled_for(level):
            fields = self._fields(verdict, duration_s, age_s)
            log.log(level, "delivery.done", **fields, **({"exc_info": self.bug} if self.bug else {}))

    def _fields(self, verdict: Verdict | None, duration_s: float, age_s: float | None) -> dict[str, Any]:
        usage = self.run.api.usage if self.run and self.run.api else None
        fields = {
            "lane": self.delivery.lane.value,
            "outcome": self.outcome,
            "bytes": len(self.delivery.body),
            "redelivered": self.delivery.redelivered,
            "duration_ms": _ms(duration_s),
            "claim_ms": _ms(self.claimed_s),
            "attempt": self.claim.attempts if self.claim else None,
            "snoozes": self.claim.snoozes if self.claim else None,
            "age_s": None if age_s is None else round(age_s, 3),
            "api_calls": usage.calls if usage else None,
            "api_cost": usage.cost if usage else None,
            "cause": self.cause.value if self.cause else None,
            "error": self.error,
            "next_s": verdict.delay_s if isinstance(verdict, PutAway) else None,
            "moved_to": verdict.lane.value if isinstance(verdict, Move) else None,
        }
        return {name: value for name, value in fields.items() if value is not None}


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)
