"""One write to e-conomic, at most once: intent committed, call, outcome; and a look-up before any repeat (B1).

The ledger is keyed by business identity (agreement, subject, step), so a repeat by whatever message meets the same row.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID, uuid4

from schemas.problem import Cause, Problem
from worker import failpoints
from worker.economic.sentences import outcome_unknown
from worker.errors import NotYet, OutcomeUnknown, Refused, Unavailable
from worker.run import Run, Work
from worker.store import effects
from worker.store.effects import Effect, Step

KEY_LIFE_S = 55 * 60.0
"""e-conomic answers a repeated Idempotency-Key from its cache for one hour; five minutes are kept as a margin."""

SETTLE_S = 10.0
"""A document made just now may not be found by a filter yet: younger look-ups that find nothing prove nothing."""

SEND_WITHIN_S = 180.0
"""A run older than this sends nothing. A process that was stopped for an hour (a suspended machine) would else send
with a key that e-conomic has forgotten what another run has made meanwhile. More than a push may take (150 s), and
together with the request's own limit (60 s) less than the margin left of the key's hour."""

T = TypeVar("T")


@dataclass(frozen=True)
class Write(Generic[T]):
    """What is to be written once: its identity, its bytes, how it is sent and how it is found again."""

    step: Step
    subject_id: UUID
    reference: str
    body: bytes
    send: Callable[[bytes, str], Awaitable[T]]
    look_up: Callable[[], Awaitable[T | None]]
    number_of: Callable[[T], str]


async def write_once(
    run: Run,
    write: Write[T],
    known: Effect | None,
    *,
    with_intent: Callable[[Work], Awaitable[None]] | None = None,
    on_unknown: Callable[[Work, Problem], Awaitable[None]] | None = None,
) -> T:
    """Return what e-conomic has for this write, making it only when it is proved that nothing was made before.

    ``with_intent`` is written before the intent, in the same commit, which it holds back by raising. ``on_unknown`` is
    written when the answer was lost.
    Raises what the call raises, ``NotYet`` while a look-up is too young to prove anything, ``OutcomeUnknown``.
    The caller records "done" in the commit that finishes the work.
    """
    if known is None or known.state == "refused":
        key = str(uuid4())
        async with run.checkpoint() as work:
            if with_intent is not None:
                await with_intent(work)
            owned = await _intend(work, run, write, key)
        if owned:
            failpoints.hit("push", write.step, "intended")
            return await _send(run, write, write.body, key, on_unknown)
        raise NotYet("another run has just begun the same write", delay_s=SETTLE_S)
    found = await looked_up(write.reference, write.look_up, known)
    if found is not None:
        return found
    if known.state == "done":
        raise _gone(write.reference)
    return await _repeat(run, write, known, on_unknown)


async def looked_up(reference: str, look_up: Callable[[], Awaitable[T | None]], known: Effect) -> T | None:
    """Look a sent write up. An answer that cannot be read or is refused proves nothing: the outcome stays unknown.

    So it does while e-conomic is away: looking up spends no attempt, else a long outage would end in a dead letter of
    which nobody knows what became of it.
    """
    try:
        return await look_up()
    except Refused as exc:
        raise outcome_unknown(f"look-up of {reference}: {exc}") from exc
    except Unavailable as exc:
        if known.state == "done":
            raise
        raise outcome_unknown(f"look-up of {reference}: {exc}") from exc


async def _intend(work: Work, run: Run, write: Write[T], key: str) -> bool:
    return await effects.intend(
        work.connection,
        agreement=run.need_connection().agreement_number,
        subject_id=write.subject_id,
        step=write.step,
        workspace_id=run.workspace_id,
        reference=write.reference,
        idempotency_key=key,
        body=write.body,
        fence=run.claim.fence,
    )


async def _repeat(
    run: Run, write: Write[T], known: Effect, on_unknown: Callable[[Work, Problem], Awaitable[None]] | None
) -> T:
    """Nothing was found. Within the key's hour the same request is safe; later a settled look-up must come first."""
    if known.age_s < SETTLE_S:
        raise NotYet("a document sent just now may not be visible yet", delay_s=SETTLE_S)
    if known.age_s < KEY_LIFE_S:
        return await _send(run, write, known.body, known.idempotency_key, on_unknown)
    key = str(uuid4())
    async with run.checkpoint() as work:
        owned = await effects.renew(
            work.connection, known, idempotency_key=key, body=write.body, fence=run.claim.fence, settle_s=SETTLE_S
        )
    if not owned:
        raise NotYet("the look-up is repeated before anything is sent again", delay_s=SETTLE_S)
    return await _send(run, write, write.body, key, on_unknown)


async def _send(
    run: Run,
    write: Write[T],
    body: bytes,
    key: str,
    on_unknown: Callable[[Work, Problem], Awaitable[None]] | None,
) -> T:
    if run.clock.monotonic() - run.begun_s > SEND_WITHIN_S:
        raise NotYet("this run was stopped for so long that its look-up proves nothing any more", delay_s=SETTLE_S)
    try:
        made = await write.send(body, key)
    except Refused as exc:
        async with run.checkpoint() as work:
            await _record(work, run, write, "refused", exc.problem)
        raise
    except OutcomeUnknown as exc:
        async with run.checkpoint() as work:
            await _record(work, run, write, "unknown", exc.problem)
            if on_unknown is not None:
                await on_unknown(work, exc.problem)
        failpoints.hit("push", write.step, "unknown")
        raise
    failpoints.hit("push", write.step, "answered")
    return made


async def _record(work: Work, run: Run, write: Write[T], state: str, problem: Problem) -> None:
    await effects.record(
        work.connection,
        agreement=run.need_connection().agreement_number,
        subject_id=write.subject_id,
        step=write.step,
        state="refused" if state == "refused" else "unknown",
        problem=problem.model_dump(mode="json"),
    )


def _gone(reference: str) -> Refused:
    return Refused(
        Problem(
            cause=Cause.DRAFT_DELETED,
            user_message="This invoice was sent to e-conomic before, and has been deleted there since.",
            remedy=f'Restore it in e-conomic (its reference is "{reference}"), or make a new invoice in Pike.',
        )
    )
