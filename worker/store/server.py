"""What the database says of itself, for the checks before a start and for ``doctor``."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from worker.store.crypto import ATTEMPT, GRANT, CannotOpen, Sealed, Vault
from worker.store.operations import GONE_AFTER_S
from worker.store.pool import Connection


@dataclass(frozen=True, slots=True)
class Server:
    """``restricted``: row-level security hides rows from our role, which must see every workspace."""

    version: str
    role: str
    restricted: bool


async def describe(connection: Connection) -> Server:
    """Return version, role and rights."""
    row = await connection.fetchrow(
        """select current_setting('server_version') as version, current_user as role,
                  row_security_active('pike.customers') as restricted"""
    )
    return Server(row["version"], row["role"], row["restricted"])


async def now(connection: Connection) -> datetime:
    """Return the database's time."""
    told: datetime = await connection.fetchval("select clock_timestamp()")
    return told


async def sealed_with(connection: Connection, vault: Vault) -> dict[str, tuple[int, str | None]]:
    """Return key id → grants that are sealed with it, and why none of them opens (``None``: they do).

    One that opens proves the key; a single row that was altered is no reason to stop everybody.
    """
    rows = await connection.fetch(
        """select id, grant_sealed, grant_key_id, true as connected from economic.connections
           where grant_sealed is not null
           union all
           select id, grant_sealed, grant_key_id, false from economic.connect_attempts where grant_sealed is not null"""
    )
    found: dict[str, tuple[int, str | None]] = {}
    for row in rows:
        count, why = found.get(row["grant_key_id"], (0, ""))
        if why is not None:
            why = _why_not(vault, Sealed(row["grant_key_id"], row["grant_sealed"]), row["id"], row["connected"])
        found[row["grant_key_id"]] = (count + 1, why)
    return found


def _why_not(vault: Vault, sealed: Sealed, row_id: UUID, connected: bool) -> str | None:
    try:
        vault.open(sealed, row_id, GRANT if connected else ATTEMPT)
    except CannotOpen as exc:
        return str(exc)
    return None


async def other_versions(connection: Connection, version: str) -> list[str]:
    """Return workers that run beside us in another version: ``host pid version``."""
    rows = await connection.fetch(
        """select host, pid, version from economic.workers
           where state <> 'stopped' and seen_at > now() - make_interval(secs => $2) and version <> $1
           order by host, pid""",
        version,
        GONE_AFTER_S,
    )
    return [f"{row['host']} {row['pid']} ({row['version']})" for row in rows]
