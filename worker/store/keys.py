"""Which stored grants are sealed with which key, and sealing them anew."""

from uuid import UUID

from worker.store.crypto import ATTEMPT, GRANT, Sealed, Vault
from worker.store.pool import Connection

_TABLES = {GRANT: "economic.connections", ATTEMPT: "economic.connect_attempts"}


async def sealed_otherwise(connection: Connection, key_id: str) -> list[tuple[str, UUID]]:
    """Return place and row of every grant that is sealed with another key."""
    return [
        (place, row["id"])
        for place, table in _TABLES.items()
        for row in await connection.fetch(
            f"select id from {table} where grant_key_id <> $1 order by id",  # noqa: S608
            key_id,
        )
    ]


async def count_sealed(connection: Connection, key_id: str) -> int:
    """Return how many grants are sealed with this key."""
    counts = [
        await connection.fetchval(f"select count(*) from {table} where grant_key_id = $1", key_id)  # noqa: S608
        for table in _TABLES.values()
    ]
    return sum(counts)


async def reseal(connection: Connection, vault: Vault, place: str, row_id: UUID) -> bool:
    """Seal a grant anew, in the caller's transaction; False when it is gone or has the current key by now."""
    table = _TABLES[place]
    row = await connection.fetchrow(
        f"""select grant_sealed, grant_key_id from {table}
            where id = $1 and grant_key_id <> $2 for update""",  # noqa: S608
        row_id,
        vault.current,
    )
    if row is None:
        return False
    sealed = vault.seal(vault.open(Sealed(row["grant_key_id"], row["grant_sealed"]), row_id, place), row_id, place)
    await connection.execute(
        f"update {table} set grant_sealed = $2, grant_key_id = $3 where id = $1",  # noqa: S608
        row_id,
        sealed.data,
        sealed.key_id,
    )
    return True
