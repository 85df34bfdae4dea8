"""Which stored grants and secrets are sealed with which key, and sealing them anew."""

from typing import NamedTuple
from uuid import UUID

from worker.store.crypto import ATTEMPT, GRANT, HOOK, CannotOpen, Sealed, Vault
from worker.store.pool import Connection


class _Place(NamedTuple):
    """A table and its columns: the row's id, what is sealed, and the id of the key."""

    table: str
    row: str
    sealed: str
    key: str


_PLACES = {
    GRANT: _Place("economic.connections", "id", "grant_sealed", "grant_key_id"),
    ATTEMPT: _Place("economic.connect_attempts", "id", "grant_sealed", "grant_key_id"),
    HOOK: _Place("economic.hook_receivers", "connection_id", "secret_sealed", "secret_key_id"),
}


async def sealed_otherwise(connection: Connection, key_id: str) -> list[tuple[str, UUID]]:
    """Return place and row of everything that is sealed with another key."""
    return [
        (name, row["id"])
        for name, place in _PLACES.items()
        for row in await connection.fetch(
            f"select {place.row} as id from {place.table} where {place.key} <> $1 order by 1",  # noqa: S608
            key_id,
        )
    ]


async def count_sealed(connection: Connection, key_id: str) -> int:
    """Return how much is sealed with this key."""
    counts = [
        await connection.fetchval(f"select count(*) from {place.table} where {place.key} = $1", key_id)  # noqa: S608
        for place in _PLACES.values()
    ]
    return sum(counts)


async def reseal(connection: Connection, vault: Vault, name: str, row_id: UUID) -> bool:
    """Seal anew, in the caller's transaction; False when it is gone or has the current key by now."""
    place = _PLACES[name]
    row = await connection.fetchrow(
        f"""select {place.sealed} as sealed, {place.key} as key_id from {place.table}
            where {place.row} = $1 and {place.key} <> $2 for update""",  # noqa: S608
        row_id,
        vault.current,
    )
    if row is None:
        return False
    sealed = vault.seal(vault.open(Sealed(row["key_id"], row["sealed"]), row_id, name), row_id, name)
    await connection.execute(
        f"update {place.table} set {place.sealed} = $2, {place.key} = $3 where {place.row} = $1",  # noqa: S608
        row_id,
        sealed.data,
        sealed.key_id,
    )
    return True


async def opened(connection: Connection, vault: Vault) -> dict[str, tuple[int, str | None]]:
    """Return key id → how much is sealed with it, and why none of it opens (``None``: it does).

    One that opens proves the key; a single row that was altered is no reason to stop everybody.
    """
    found: dict[str, tuple[int, str | None]] = {}
    for name, place in _PLACES.items():
        for row in await connection.fetch(
            f"select {place.row} as id, {place.sealed} as data, {place.key} as key_id from {place.table} "  # noqa: S608
            f"where {place.sealed} is not null"
        ):
            count, why = found.get(row["key_id"], (0, ""))
            if why is not None:
                why = _why_not(vault, Sealed(row["key_id"], row["data"]), row["id"], name)
            found[row["key_id"]] = (count + 1, why)
    return found


def _why_not(vault: Vault, sealed: Sealed, row_id: UUID, place: str) -> str | None:
    try:
        vault.open(sealed, row_id, place)
    except CannotOpen as exc:
        return str(exc)
    return None
