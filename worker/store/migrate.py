"""Migrations: numbered SQL files, applied in order under a lock, each in its own transaction, checksummed.

A file that was applied never changes again: a differing checksum refuses the start, and so does a database that
is newer than this version. Workers go on beside it: a file waits for a lock on a table only for moments, gives its own
locks back when it does not get it, and tries again. Killed in the middle it leaves whole files behind; the next run goes on.
"""

import asyncio
import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import asyncpg

from worker.errors import SchemaMismatch, StoreUnavailable
from worker.store.pool import translated, where

_MADE = re.compile(r"^create (?:or replace )?(?:table|view)(?: if not exists)? ([a-z_]+\.[a-z_]+)", re.MULTILINE)
_GONE = re.compile(r"^drop (?:table|view)(?: if exists)? ([a-z_]+\.[a-z_]+)", re.MULTILINE)
_NAME = re.compile(r"^(\d{4})_[a-z0-9_]+\.sql$")
_LOCK = 0x50494B45  # "PIKE"; one migrating process at a time, the others wait

_SESSION = {
    "application_name": "pike-economic migrate",
    "pike_economic.writer": "worker",
    "client_connection_check_interval": "2s",  # a migrate that is killed leaves no statement of its own running on
}

_LOCK_WAIT = "300ms"
"""Who waits for a table makes everybody wait behind it. Shorter than Postgres' deadlock_timeout, so that no worker loses."""
_TRIES = 100
_PAUSE_S = 0.5
_TURN_WAIT = "60s"

_ABSENT = "select name from unnest($1::text[]) as name where to_regclass(name) is null order by name"

_AT_WORK = """
select exists (select 1 from pg_locks where locktype = 'advisory' and granted and objid = $1::int8::oid and classid = 0
               and database = (select oid from pg_database where datname = current_database()))
"""

_OLDEST_TRANSACTION = """
select format('process %s (%s), open since %s', pid, coalesce(nullif(application_name, ''), 'unnamed'),
              to_char(xact_start at time zone 'utc', 'HH24:MI:SS "UTC"'))
from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and xact_start is not null order by xact_start limit 1
"""

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
                f"migration {migration.name} was changed after it was applied to this database: start the release that "
                "applied it, or restore the original file and put the change into a new one"
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

    Safe to run from many processes at once, and beside running workers. A failing file leaves the database as it was
    before that file. Raises ``StoreUnavailable`` or ``SchemaMismatch``.
    """
    known = load()
    connection = await _connect(dsn)
    try:
        with translated("migration"):
            await _take_turn(connection)
            await connection.execute(_BOOK)
            todo = pending(known, await _applied(connection))
            for migration in todo:
                await _apply(connection, migration)
            return [migration.name for migration in todo]
    finally:
        await connection.close(timeout=5)


def relations(applied: list[Migration]) -> list[str]:
    """Return the tables and views that these migrations leave behind."""
    found: set[str] = set()
    for migration in applied:
        found |= set(_MADE.findall(migration.sql))
        found -= set(_GONE.findall(migration.sql))
    return sorted(found)


async def check(dsn: str) -> list[str]:
    """Return the names of migrations that are still missing.

    Raises ``SchemaMismatch`` when the history differs, or when tables are not there that it says were made.
    """
    connection = await _connect(dsn)
    try:
        with translated("migration check"):
            exists = await connection.fetchval("select to_regclass('public.pike_economic_migrations') is not null")
            applied = await _applied(connection) if exists else {}
            todo = pending(load(), applied)
            gone = await connection.fetch(_ABSENT, relations([each for each in load() if each not in todo]))
            if gone:
                raise SchemaMismatch(
                    f"the database says that migration {max(applied)} was applied, but {', '.join(r['name'] for r in gone)} "
                    "is not there: a restore that was broken off, or the wrong database. Restore the dump again, whole"
                )
            if todo and await connection.fetchval(_AT_WORK, _LOCK):
                raise SchemaMismatch(
                    f"pike-economic migrate is at work on this database ({len(todo)} to go, from {todo[0].name} on): "
                    "start when it has ended"
                )
            return [migration.name for migration in todo]
    finally:
        await connection.close(timeout=5)


async def _connect(dsn: str) -> Any:
    try:
        return await asyncpg.connect(dsn, timeout=20, server_settings=_SESSION)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as exc:
        raise StoreUnavailable(f"cannot reach Postgres at {where(dsn)}: {exc}") from exc


async def _applied(connection: Any) -> dict[int, str]:
    rows = await connection.fetch("select version, checksum from public.pike_economic_migrations")
    return {row["version"]: row["checksum"] for row in rows}


async def _take_turn(connection: Any) -> None:
    await connection.execute(f"set lock_timeout = '{_TURN_WAIT}'")
    try:
        await connection.execute("select pg_advisory_lock($1)", _LOCK)
    except asyncpg.LockNotAvailableError:
        raise StoreUnavailable(
            f"another pike-economic migrate has been at work on this database for more than {_TURN_WAIT}: "
            "let it end, then type pike-economic migrate again"
        ) from None


async def _apply(connection: Any, migration: Migration) -> None:
    for _ in range(_TRIES):
        try:
            return await _apply_at_once(connection, migration)
        except asyncpg.LockNotAvailableError:
            await asyncio.sleep(_PAUSE_S)
    holder = await connection.fetchval(_OLDEST_TRANSACTION)
    raise StoreUnavailable(
        f"migration {migration.name} did not get its locks and changed nothing; the oldest open transaction is of "
        f"{holder or 'nobody any more'}: end it, then type pike-economic migrate again"
    )


async def _apply_at_once(connection: Any, migration: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(f"set local lock_timeout = '{_LOCK_WAIT}'")
            await connection.execute(migration.sql)
            await connection.execute(
                "insert into public.pike_economic_migrations (version, name, checksum) values ($1, $2, $3)",
                migration.version,
                migration.name,
                migration.checksum,
            )
    except asyncpg.LockNotAvailableError:
        raise
    except asyncpg.PostgresError as exc:
        raise SchemaMismatch(f"migration {migration.name} failed and was rolled back: {exc}") from exc
