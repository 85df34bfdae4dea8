"""Who may call us by webhook, and what became of the hooks in e-conomic."""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import SecretStr

from worker.store.crypto import HOOK, Sealed, Vault
from worker.store.pool import Connection

State = Literal["on", "taken", "not_offered", "no_access", "off"]
"""On: ours and switched on. Taken: somebody else's. The others: e-conomic knows no such event, our access does not
reach, the connection is closed."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """What a call must know to be heard for a connection; hashes only."""

    connection_id: UUID
    workspace_id: str
    header_hash: bytes = field(repr=False)
    address_hash: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class HookState:
    """A hook as it was found."""

    event_type: str
    state: State
    repaired: bool = False
    disabled_at: datetime | None = None


def fingerprint(secret: str) -> bytes:
    """Return what a secret is known by. It is random and long: a plain hash tells nothing about it."""
    return hashlib.sha256(secret.encode()).digest()


def address_secret(secret: SecretStr) -> str:
    """Return the secret of addresses that are set up by hand. Addresses end up in logs of others: it is another one,

    made from the header's, and who knows it does not know that one.
    """
    return hmac.new(secret.get_secret_value().encode(), b"address", hashlib.sha256).hexdigest()[:40]


async def ensure_receiver(connection: Connection, vault: Vault, connection_id: UUID) -> None:
    """Give a connection its secret, once; and let its hooks be looked at now."""
    secret = SecretStr(secrets.token_urlsafe(32))
    sealed = vault.seal(secret, connection_id, HOOK)
    await connection.execute(
        """insert into economic.hook_receivers (connection_id, secret_sealed, secret_key_id, header_hash, address_hash)
           values ($1, $2, $3, $4, $5) on conflict (connection_id) do update set check_at = now()""",
        connection_id,
        sealed.data,
        sealed.key_id,
        fingerprint(secret.get_secret_value()),
        fingerprint(address_secret(secret)),
    )


async def secret_of(connection: Connection, vault: Vault, connection_id: UUID) -> SecretStr:
    """Open a connection's secret, making it where there is none yet. Raises ``CannotOpen``."""
    sql = "select secret_sealed, secret_key_id from economic.hook_receivers where connection_id = $1"
    row = await connection.fetchrow(sql, connection_id)
    if row is None:
        await ensure_receiver(connection, vault, connection_id)
        row = await connection.fetchrow(sql, connection_id)
    return vault.open(Sealed(row["secret_key_id"], row["secret_sealed"]), connection_id, HOOK)


async def receivers(connection: Connection, connection_ids: Sequence[UUID]) -> dict[UUID, Receiver]:
    """Return those of the connections that can be called; closed ones cannot."""
    rows = await connection.fetch(
        """select r.connection_id, c.workspace_id, r.header_hash, r.address_hash
           from economic.hook_receivers r join economic.connections c on c.id = r.connection_id
           where r.connection_id = any($1::uuid[]) and c.status <> 'closed'""",
        list(connection_ids),
    )
    return {row["connection_id"]: Receiver(**row) for row in rows}


async def note(connection: Connection, connection_id: UUID, found: Sequence[HookState]) -> None:
    """Keep what was found."""
    await connection.execute(
        """insert into economic.hooks as h (connection_id, event_type, state, repaired, repaired_at, disabled_at)
           select $1, t.event_type, t.state, t.repaired::int, case when t.repaired then now() end, t.disabled_at
           from unnest($2::text[], $3::text[], $4::bool[], $5::timestamptz[]) as t(event_type, state, repaired, disabled_at)
           on conflict (connection_id, event_type) do update
           set state = excluded.state, checked_at = now(), repaired = h.repaired + excluded.repaired,
               repaired_at = coalesce(excluded.repaired_at, h.repaired_at),
               disabled_at = coalesce(excluded.disabled_at, h.disabled_at)""",
        connection_id,
        [each.event_type for each in found],
        [each.state for each in found],
        [each.repaired for each in found],
        [each.disabled_at for each in found],
    )


async def switched_off(connection: Connection, connection_id: UUID) -> None:
    """Note that a connection has no hooks any more."""
    await connection.execute(
        "update economic.hooks set state = 'off', checked_at = now() where connection_id = $1", connection_id
    )


async def listed(connection: Connection, connection_id: UUID) -> list[dict[str, Any]]:
    """Return what was last found of each hook of a connection."""
    rows = await connection.fetch(
        """select event_type, state, repaired, disabled_at, checked_at from economic.hooks
           where connection_id = $1 order by event_type""",
        connection_id,
    )
    return [dict(row) for row in rows]


async def look_now(connection: Connection, connection_ids: Sequence[UUID]) -> None:
    """Let the hooks of these connections be looked at as soon as a worker comes by."""
    await connection.execute(
        "update economic.hook_receivers set check_at = now() where connection_id = any($1::uuid[])",
        list(connection_ids),
    )


async def adopt(connection: Connection, vault: Vault, limit: int) -> None:
    """Give a secret to connections that have none: those of the version before."""
    rows = await connection.fetch(
        """select c.id from economic.connections c where c.status = 'active'
           and not exists (select 1 from economic.hook_receivers r where r.connection_id = c.id) limit $1""",
        limit,
    )
    for row in rows:
        await ensure_receiver(connection, vault, row["id"])


async def take_due(connection: Connection, every_s: float, limit: int) -> list[str]:
    """Return the workspaces whose hooks are to be looked at now; the next look is due in ``every_s`` seconds."""
    rows = await connection.fetch(
        """update economic.hook_receivers r set check_at = now() + make_interval(secs => $1 * (0.9 + 0.2 * random()))
           from economic.connections c
           where c.id = r.connection_id and r.connection_id in (
               select d.connection_id from economic.hook_receivers d join economic.connections e on e.id = d.connection_id
               where d.check_at <= now() and e.status = 'active'
                 and not exists (select 1 from economic.gates g
                                 where g.agreement_number in (0, e.agreement_number) and g.held_until > now())
               order by d.check_at limit $2 for update of d skip locked)
           returning c.workspace_id""",
        every_s,
        limit,
    )
    return [row["workspace_id"] for row in rows]
