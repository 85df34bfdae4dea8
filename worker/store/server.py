"""What the database says of itself, for the checks before a start and for ``doctor``."""

from dataclasses import dataclass
from datetime import datetime

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
