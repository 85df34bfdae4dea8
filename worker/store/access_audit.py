"""The append-only record of acts on access: who connected, disconnected, signed in, failed to, rotated keys, and when."""

from collections.abc import Mapping
from typing import Any

from worker.store.pool import Connection


async def write(
    connection: Connection,
    actor: str,
    action: str,
    *,
    workspace_id: str | None = None,
    address: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Add an entry, in the caller's transaction if there is one. ``actor`` and ``details`` never hold a token."""
    await connection.execute(
        """insert into economic.access_audit (actor, action, workspace_id, address, details)
           values ($1, $2, $3, $4, $5)""",
        actor,
        action,
        workspace_id,
        address,
        dict(details or {}),
    )
