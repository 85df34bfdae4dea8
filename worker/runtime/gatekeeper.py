"""Who may call e-conomic now: a breaker per agreement and one for all of e-conomic, kept where every worker sees them.

State machine of a breaker. Closed: calls go. ``FAILURES`` failures in a row, whoever had them: open, nobody calls for
``COOLDOWN_S``, twice as long each time. When that is over: half open, one event tries (the probe) and the others wait;
an answer closes it, a failure opens it again. Failures are answers that did not come or said 5xx; a refusal is an
answer. What waits is given back without spending an attempt.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from schemas.problem import Cause, Problem
from worker.clock import Clock
from worker.errors import Held, OutcomeUnknown, RateLimited, StoreUnavailable, Unavailable
from worker.run import Run
from worker.store import gates
from worker.store.gates import WHOLE, Gate
from worker.store.pool import Database

log = structlog.get_logger()

FAILURES = 5
COOLDOWN_S = 15.0
LONGEST_S = 300.0
PROBE_S = 90.0
"""How long a probe may take before another may try; longer than one request to e-conomic (60 s)."""
WAIT_FOR_PROBE_S = 5.0
MARGIN_S = 0.2
MANY_AGREEMENTS = 3
"""So many open breakers, and no answer from anybody for a while: it is e-conomic as a whole."""
SILENCE_S = 20.0

_HELD = Problem(
    cause=Cause.ECONOMIC_UNAVAILABLE,
    user_message="e-conomic does not answer for this agreement at the moment.",
    remedy="Nothing has to be done: this waits and goes on by itself as soon as e-conomic answers again.",
    final=False,
)
_RATE = Problem(
    cause=Cause.RATE_LIMITED,
    user_message="This agreement has used up the calls that e-conomic allows for the moment.",
    remedy="Nothing has to be done: this waits and goes on by itself.",
    final=False,
)


@dataclass(slots=True)
class Gatekeeper:
    """Lets events through to e-conomic, or says how long they wait; learns from how they went."""

    database: Database
    clock: Clock
    last_answer_at: float = float("-inf")

    async def admit(self, agreement: int, found: Mapping[int, Gate]) -> None:
        """Return when the agreement may be called. Raises ``Held`` with the time to wait."""
        troubled = [gate for gate in (found.get(WHOLE), found.get(agreement)) if gate is not None]
        for gate in troubled:
            if gate.held_s > 0:
                raise Held(_RATE if gate.held_because == "rate" else _HELD, delay_s=gate.held_s + MARGIN_S)
        half_open = next((gate for gate in troubled if gate.failures >= (1 if gate.whole else FAILURES)), None)
        if half_open is not None and not await self._probe(half_open.agreement_number):
            raise Held(_HELD, delay_s=WAIT_FOR_PROBE_S)

    async def _probe(self, agreement: int) -> bool:
        async with self.database.connection("probe") as connection:
            probing = await gates.take_probe(connection, agreement, PROBE_S)
        if probing:
            log.info("gate.probing", agreement=agreement)
        return probing

    async def learn(self, run: Run, found: Mapping[int, Gate], error: BaseException | None) -> None:
        """Take note of how a run went. Writes only when something changes; trouble with Postgres is left to others."""
        agreement = run.connection.agreement_number if run.connection else None
        if agreement is None or run.api is None:
            return
        try:
            if isinstance(error, RateLimited) and error.retry_after_s:
                async with self.database.connection("hold") as connection:
                    await gates.hold(connection, agreement, error.retry_after_s)
            elif isinstance(error, Unavailable | OutcomeUnknown | TimeoutError):
                await self._failed(agreement)
            elif run.api.usage.calls:
                await self._answered(agreement, found)
        except StoreUnavailable as exc:
            log.warning("gate.store_away", error=str(exc))

    async def _answered(self, agreement: int, found: Mapping[int, Gate]) -> None:
        self.last_answer_at = self.clock.monotonic()
        troubled = [number for number in (WHOLE, agreement) if number in found and found[number].failures]
        if troubled:
            async with self.database.connection("answered") as connection:
                await gates.answered(connection, troubled)
            log.info("gate.closed", agreements=troubled)

    async def _failed(self, agreement: int) -> None:
        async with self.database.connection("failed") as connection:
            is_open = await gates.failed(
                connection, agreement, limit=FAILURES, cooldown_s=COOLDOWN_S, longest_s=LONGEST_S
            )
            if not is_open:
                return
            silent = self.clock.monotonic() - self.last_answer_at > SILENCE_S
            whole = silent and await gates.open_breakers(connection) >= MANY_AGREEMENTS
            if whole:
                await gates.failed(connection, WHOLE, limit=1, cooldown_s=COOLDOWN_S, longest_s=LONGEST_S)
        log.warning("gate.open", agreement=agreement, whole=whole)
