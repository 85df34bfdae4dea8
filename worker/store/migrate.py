"""Migrations: numbered SQL files, applied in order under a lock, each in its own transaction, checksummed.

A file that was applied never changes again: a differing checksum refuses the start, and so does a database that
is newer than this version.
"""

import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import asyncpg

from worker.errors import SchemaMismatch, StoreUnavailable
from worker.store.pool import translated, where

_NAME = re.compile(r"^(\d{4})_[a-z0-9_]+\.sql$")
_LOCK = 0x50494B45  # "PIKE"; one migrating process at a time, the others wait

_BOOK = """
create table if not exists public.pike_economic_migrations (
    version    int         primary key,
    name       text        not null,
    checksum   text        not null,
    applied_at timestamptz not null default now()
)"""


@dataclass(frozen=True)
class Migration:
    """One SQL file."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def load() -> list[Migration]:
    """Read the migrations that belong to this version, in order."""
    found = []
    for entry in files("worker.store.migrations").iterdir():
        match = _NAME.match(entry.name)
        if match:
            found.append(Migration(int(match[1]), entry.name, entry.read_text(encoding="utf-8")))
    found.sort(key=lambda migration: migration.version)
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise SchemaMismatch("the migration files are not numbered 1, 2, 3 …; the installation is incomplete")
    return found


def pending(known: list[Migration], applied: dict[int, str]) -> list[Migration]:
    """Return what is still to apply. Raises ``SchemaMismatch`` when history and files differ."""
    for migration in known:
        checksum = applied.get(migration.version)
        if checksum is not None and checksum != migration.checksum:
            raise SchemaMismatch(
                f"migration {migration.name} was changed after it was applied to this database; "
                "restore the original file and put the change into a new one"
            )
    newest = len(known)
    beyond = sorted(version for version in applied if version > newest)
    if beyond:
        raise SchemaMismatch(
            f"the database is at migration {beyond[-1]}, this version knows {newest}: start a newer version of the worker"
        )
    return [migration for migration in known if migration.version not in applied]


async def migrate(dsn: str) -> list[str]:
    """Apply what is missing and return the names of the applied files.

    Safe to run from many processes at once. A failing file leaves the database as it was before that file.
    Raises ``StoreUnavailable`` or ``SchemaMismatch``.
    """
    known = load()
    connection = await _connect(dsn)
    try:
        async with translated("migration"):
            await connection.execute("set lock_timeout = '60s'")
            await connection.execute("select pg_advisory_lock($1)", _LOCK)
            await connection.execute(_BOOK)
            todo = pending(known, await _applied(connection))
            for migration in todo:
                await _apply(connection, migration)
            return [migration.name for migration in todo]
    finally:
        await connection.close(timeout=5)


async def check(dsn: str) -> list[str]:
    """Return the names of migrations that are still missing; raise ``SchemaMismatch`` when the history differs."""
    connection = await _connect(dsn)
    try:
        async with translated("migration check"):
            exists = await connection.fetchval("select to_regclass('public.pike_economic_migrations') is not null")
            applied = await _applied(connection) if exists else {}
            return [migration.name for migration in pending(load(), applied)]
    finally:
        await connection.close(timeout=5)


async def _connect(dsn: str) -> Any:
    try:
        return await asyncpg.connect(dsn, timeout=20, server_settings={"pike_economic.writer": "worker"})
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as exc:
        raise StoreUnavailable(f"cannot reach Postgres at {where(dsn)}: {exc}") from exc


async def _applied(connection: Any) -> dict[int, str]:
    rows = await connection.fetch("select version, checksum from public.pike_economic_migrations")
    return {row["version"]: row["checksum"] for row in rows}


async def _apply(connection: Any, migration: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(migration.sql)
            await connection.execute(
                "insert into public.pike_economic_migrations (version, name, checksum) values ($1, $2, $3)",
                migration.version,
                migration.name,
                migration.checksum,
            )
    except asyncpg.PostgresError as exc:
        raise SchemaMismatch(f"migration {migration.name} failed and was rolled back: {exc}") from exc
