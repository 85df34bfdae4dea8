"""Connecting in a browser, step by step: one row for each link of Pike's that was opened.

The row makes every step happen once: a link starts once, a state comes back once, a grant is confirmed once. Times are
the database's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from worker.store.crypto import Sealed
from worker.store.pool import Connection


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt. ``agreement`` is what the confirmation page shows; ``sealed`` is there from then until it is answered."""

    id: UUID
    workspace_id: str
    requested_by: str | None
    browser_hash: bytes = field(repr=False)
    stage: str
    ended_because: str | None
    sealed: Sealed | None = field(repr=False)
    agreement: Mapping[str, Any]
    expires_at: datetime
    expired: bool


_COLUMNS = """id, workspace_id, requested_by, browser_hash, stage, ended_because, grant_sealed, grant_key_id, agreement,
              expires_at, expires_at <= now() as expired"""


async def open_link(
    connection: Connection,
    *,
    workspace_id: str,
    nonce: str,
    requested_by: str | None,
    browser_hash: bytes,
    lasts_s: float,
) -> Attempt | None:
    """Begin with a link, or find what it began in the same browser; ``None`` when another browser opened it."""
    row = await connection.fetchrow(
        f"""insert into economic.connect_attempts as a
              (id, workspace_id, link_nonce, requested_by, browser_hash, state_hash, stage, expires_at)
            values ($1, $2, $3, $4, $5, '', 'consent', now() + make_interval(secs => $6))
            on conflict (link_nonce) do update set link_nonce = a.link_nonce
            where a.browser_hash = excluded.browser_hash and a.workspace_id = excluded.workspace_id
            returning {_COLUMNS}""",  # noqa: S608
        uuid4(),
        workspace_id,
        nonce,
        requested_by,
        browser_hash,
        lasts_s,
    )
    return _read(row) if row else None


async def await_consent(connection: Connection, attempt: UUID, state_hash: bytes) -> bool:
    """Note the state that is sent along; an earlier one is void. False when consent was given already."""
    return bool(
        await connection.fetchval(
            """update economic.connect_attempts set state_hash = $2
               where id = $1 and stage = 'consent' and expires_at > now() returning true""",
            attempt,
            state_hash,
        )
    )


async def find(connection: Connection, attempt: UUID) -> Attempt | None:
    """Return an attempt in whatever stage."""
    row = await connection.fetchrow(f"select {_COLUMNS} from economic.connect_attempts where id = $1", attempt)  # noqa: S608
    return _read(row) if row else None


async def take_state(connection: Connection, attempt: UUID, state_hash: bytes) -> bool:
    """Use the state up. False when it was used before, replaced, or the attempt has ended."""
    return bool(
        await connection.fetchval(
            """update economic.connect_attempts set stage = 'verifying'
               where id = $1 and state_hash = $2 and stage = 'consent' and expires_at > now() returning true""",
            attempt,
            state_hash,
        )
    )


async def give_state_back(connection: Connection, attempt: UUID) -> None:
    """e-conomic did not answer: the same address may be loaded again."""
    await connection.execute(
        "update economic.connect_attempts set stage = 'consent' where id = $1 and stage = 'verifying'", attempt
    )


async def hold_grant(connection: Connection, attempt: UUID, sealed: Sealed, agreement: Mapping[str, Any]) -> None:
    """Keep a verified grant until the person confirms."""
    await connection.execute(
        """update economic.connect_attempts
           set stage = 'confirm', grant_sealed = $2, grant_key_id = $3, agreement = $4
           where id = $1 and stage = 'verifying'""",
        attempt,
        sealed.data,
        sealed.key_id,
        dict(agreement),
    )


async def take_grant(connection: Connection, attempt: UUID) -> Sealed | None:
    """Use the held grant up, in the transaction that stores it: ``None`` when somebody was faster or it is too late."""
    row = await connection.fetchrow(
        """select grant_sealed, grant_key_id from economic.connect_attempts
           where id = $1 and stage = 'confirm' and expires_at > now() for update""",
        attempt,
    )
    if row is None:
        return None
    await connection.execute(
        """update economic.connect_attempts
           set stage = 'connected', grant_sealed = null, grant_key_id = null where id = $1""",
        attempt,
    )
    return Sealed(row["grant_key_id"], row["grant_sealed"])


async def take_import(connection: Connection, attempt: UUID) -> bool:
    """Note that the first import was asked for; False when it was before."""
    return bool(
        await connection.fetchval(
            """update economic.connect_attempts set ended_because = 'imported'
               where id = $1 and stage = 'connected' and ended_because is null returning true""",
            attempt,
        )
    )


async def end(connection: Connection, attempt: UUID, because: str) -> None:
    """End an attempt that came to nothing; its grant is forgotten."""
    await connection.execute(
        """update economic.connect_attempts
           set stage = 'ended', ended_because = $2, grant_sealed = null, grant_key_id = null
           where id = $1 and stage not in ('connected', 'ended')""",
        attempt,
        because,
    )


async def forget_expired(connection: Connection) -> int:
    """Forget grants that nobody confirmed in time, and attempts of yesterday."""
    status: str = await connection.execute(
        """with gone as (delete from economic.connect_attempts where expires_at < now() - interval '1 day')
           update economic.connect_attempts
           set stage = 'ended', ended_because = 'expired', grant_sealed = null, grant_key_id = null
           where expires_at between now() - interval '1 day' and now() and stage not in ('connected', 'ended')"""
    )
    return int(status.rsplit(" ", 1)[1])


def _read(row: Any) -> Attempt:
    sealed = Sealed(row["grant_key_id"], row["grant_sealed"]) if row["grant_sealed"] else None
    return Attempt(
        id=row["id"],
        workspace_id=row["workspace_id"],
        requested_by=row["requested_by"],
        browser_hash=row["browser_hash"],
        stage=row["stage"],
        ended_because=row["ended_because"],
        sealed=sealed,
        agreement=row["agreement"] or {},
        expires_at=row["expires_at"],
        expired=row["expired"],
    )
