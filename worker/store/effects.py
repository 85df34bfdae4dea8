"""The ledger of what we did to e-conomic, by business identity: agreement, subject, step. At most one of each (B1).

Order of use: ``intend`` and commit, call, ``record`` in the commit that finishes the work. Whoever finds an intent
that is not their own must look e-conomic up before sending anything.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from worker.store.pool import Connection

Step = Literal["customer", "draft", "book"]


@dataclass(frozen=True, slots=True)
class Effect:
    """One intended or finished write to e-conomic."""

    agreement_number: int
    subject_id: UUID
    step: Step
    reference: str
    idempotency_key: str
    body: bytes
    state: Literal["intent", "done", "unknown", "refused"]
    external_number: str | None
    first_sent_at: datetime
    age_s: float


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Another agreement that a subject was sent to; ``open``: nobody knows yet what became of it there."""

    agreement_number: int
    open: bool


_COLUMNS = """agreement_number, subject_id, step, reference, idempotency_key, body, state, external_number, first_sent_at,
              extract(epoch from now() - first_sent_at)::float8 as age_s"""


async def find_all(connection: Connection, agreement: int, subject_id: UUID) -> dict[str, Effect]:
    """Return what is known of a subject, by step."""
    rows = await connection.fetch(
        f"select {_COLUMNS} from economic.effects where agreement_number = $1 and subject_id = $2",  # noqa: S608
        agreement,
        subject_id,
    )
    return {row["step"]: Effect(**row) for row in rows}


async def begun(connection: Connection, subject_id: UUID) -> bool:
    """Say whether anything was ever sent for a subject, in any agreement, that e-conomic did not plainly refuse."""
    return (
        await connection.fetchval(
            "select 1 from economic.effects where subject_id = $1 and state <> 'refused' limit 1", subject_id
        )
        is not None
    )


async def elsewhere(connection: Connection, agreement: int, subject_id: UUID) -> Elsewhere | None:
    """Return where a subject was sent to before, other than this agreement; ``None`` when nowhere.

    A workspace that was connected to another agreement meanwhile must not send the same invoice to both.
    """
    row = await connection.fetchrow(
        """select agreement_number, state <> 'done' as open from economic.effects
           where subject_id = $2 and agreement_number <> $1 and state <> 'refused'
           order by state = 'done', agreement_number limit 1""",
        agreement,
        subject_id,
    )
    return Elsewhere(**row) if row else None


async def any_open(connection: Connection, subject_id: UUID) -> bool:
    """Return whether something was sent, or about to be, of which nobody knows yet what became of it."""
    return bool(
        await connection.fetchval(
            "select exists (select 1 from economic.effects where subject_id = $1 and state in ('intent', 'unknown'))",
            subject_id,
        )
    )


async def intend(
    connection: Connection,
    *,
    agreement: int,
    subject_id: UUID,
    step: Step,
    workspace_id: str,
    reference: str,
    idempotency_key: str,
    body: bytes,
    fence: int,
) -> bool:
    """Write an intent down before the call. False when one exists that was not refused: look it up first.

    A refused one is replaced: e-conomic said no, nothing was made, and the corrected request is another one.
    An invoice that is intended in another agreement counts as well; the caller holds its row, so that two cannot pass.
    """
    row = await connection.fetchval(
        """insert into economic.effects as e
             (agreement_number, subject_id, step, workspace_id, reference, idempotency_key, body, state, fence)
           select $1::int, $2::uuid, $3::text, $4::text, $5::text, $6::text, $7::bytea, 'intent', $8::bigint
           where $3 = 'customer'
              or not exists (select 1 from economic.effects o where o.subject_id = $2 and o.step = $3
                             and o.agreement_number <> $1 and o.state <> 'refused')
           on conflict (agreement_number, subject_id, step) do update
           set reference = excluded.reference, idempotency_key = excluded.idempotency_key, body = excluded.body,
               state = 'intent', fence = excluded.fence, first_sent_at = now(), updated_at = now(),
               problem = null, external_number = null
           where e.state = 'refused' and e.workspace_id = excluded.workspace_id
           returning 1""",
        agreement,
        subject_id,
        step,
        workspace_id,
        reference,
        idempotency_key,
        body,
        fence,
    )
    return row is not None


async def renew(
    connection: Connection, effect: Effect, *, idempotency_key: str, body: bytes, fence: int, settle_s: float
) -> bool:
    """Allow one more sending after the key's hour: new key, new hour. False when it is not proved yet, or not ours.

    The first empty look-up is only noted; one at least ``settle_s`` later proves that nothing was made.
    """
    row = await connection.fetchrow(
        """update economic.effects
           set checked_at = coalesce(checked_at, now()), updated_at = now()
           where agreement_number = $1 and subject_id = $2 and step = $3 and idempotency_key = $4
             and state in ('intent', 'unknown')
           returning checked_at <= now() - make_interval(secs => $5) as settled""",
        effect.agreement_number,
        effect.subject_id,
        effect.step,
        effect.idempotency_key,
        settle_s,
    )
    if row is None or not row["settled"]:
        return False
    await connection.execute(
        """update economic.effects
           set idempotency_key = $4, body = $5, fence = $6, state = 'intent', first_sent_at = now(), checked_at = null,
               problem = null
           where agreement_number = $1 and subject_id = $2 and step = $3""",
        effect.agreement_number,
        effect.subject_id,
        effect.step,
        idempotency_key,
        body,
        fence,
    )
    return True


async def expire_key(connection: Connection, agreement: int, subject_id: UUID, step: Step) -> None:
    """Forget that the key may still be used: a repeat needs settled look-ups first, and then sends with a new one."""
    await connection.execute(
        """update economic.effects set first_sent_at = now() - interval '1 hour', updated_at = now()
           where agreement_number = $1 and subject_id = $2 and step = $3 and state in ('intent', 'unknown')""",
        agreement,
        subject_id,
        step,
    )


async def record(
    connection: Connection,
    *,
    agreement: int,
    subject_id: UUID,
    step: Step,
    state: Literal["done", "unknown", "refused"],
    external_number: str | None = None,
    problem: dict[str, Any] | None = None,
) -> None:
    """Write down how the call ended. A "done" is never taken back."""
    await connection.execute(
        """update economic.effects
           set state = $4, external_number = coalesce($5, external_number), problem = $6, updated_at = now()
           where agreement_number = $1 and subject_id = $2 and step = $3 and (state <> 'done' or $4 = 'done')""",
        agreement,
        subject_id,
        step,
        state,
        external_number,
        problem,
    )
