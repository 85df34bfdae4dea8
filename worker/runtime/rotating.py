"""Sealing every stored grant anew with the current key, one row at a time, while workers go on working."""

from dataclasses import dataclass

from worker.store import access_audit, keys
from worker.store.crypto import Vault
from worker.store.pool import Database


@dataclass(frozen=True, slots=True)
class Rotated:
    """``rotated`` grants were sealed anew for ``key_id``; ``kept`` had that key already."""

    key_id: str
    rotated: int
    kept: int


async def rotate_keys(database: Database, vault: Vault, actor: str = "command line") -> Rotated:
    """Seal every grant with the vault's current key. May be broken off and repeated; raises ``CannotOpen``.

    Each row is locked for its own commit only, so that a reconnect at the same time is neither lost nor delayed.
    """
    rotated = 0
    async with database.connection("list sealed grants") as connection:
        waiting = await keys.sealed_otherwise(connection, vault.current)
        kept = await keys.count_sealed(connection, vault.current)
    for place, row_id in waiting:
        async with database.transaction("rotate a grant's key") as connection:
            rotated += await keys.reseal(connection, vault, place, row_id)
    async with database.connection("note a rotation") as connection:
        await access_audit.write(
            connection, actor, "keys_rotated", details={"key_id": vault.current, "rotated": rotated}
        )
    return Rotated(vault.current, rotated, kept)
