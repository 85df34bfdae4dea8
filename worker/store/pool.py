"""The asyncpg pool: codecs, session settings, time-outs, and driver errors translated into ours."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import Context
from decimal import Decimal
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import structlog

from worker.errors import StoreUnavailable

log = structlog.get_logger()

Connection = Any
"""An asyncpg connection inside a transaction, or acquired for one statement (asyncpg ships no types for the proxy)."""

AT_HAND = 4
"""Connections that are kept out of the pool between two uses at most."""
AT_HAND_S = 0.2
"""How long they are: under load the next use is milliseconds away."""

_UNAVAILABLE = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the driver lost the thread, as in a connection that broke in the middle of an answer
    asyncpg.PostgresConnectionError,
    asyncpg.exceptions.OperatorInterventionError,  # shutdown, crash, starting up, cancelled, idle for too long
    asyncpg.TooManyConnectionsError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,  # after a failover, until the way leads to the new primary
)


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return format(value, "f")
    return str(value)


# made once: json.dumps and json.loads make one anew for each value when they are told anything
_encode = json.JSONEncoder(default=_plain, separators=(",", ":")).encode
_decode = json.JSONDecoder(parse_float=Decimal).decode


def _dump_json(value: Any) -> str:
    return "{}" if value == {} else _encode(value)


def _load_json(text: str) -> Any:
    # nearly every event's history and headers are empty
    if text == "[]":
        return []
    return {} if text == "{}" else _decode(text)


def _lives(connection: Connection) -> bool:
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:  # the pool has taken it away already
        return False


def _is_free(connection: Connection) -> bool:
    return _lives(connection) and not connection.is_in_transaction()


def where(dsn: str) -> str:
    """Name a database address without its password, for messages."""
    parts = urlsplit(dsn)
    return f"{parts.hostname or 'localhost'}:{parts.port or 5432}{parts.path}"


def unavailable(what: str, exc: BaseException | None) -> StoreUnavailable | None:
    """Return what the driver's connection trouble is in our words; ``None`` for any other error."""
    if not isinstance(exc, _UNAVAILABLE):
        return None
    return StoreUnavailable(f"Postgres went away during {what}: {type(exc).__name__}: {exc}")


class translated:  # noqa: N801  # read like the functions of contextlib; a class because it is entered for every statement
    """Turn the driver's connection trouble into ``StoreUnavailable``; other errors pass as they are."""

    __slots__ = ("_what",)

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        """Begin to watch."""

    def __exit__(self, _kind: object, exc: BaseException | None, _trace: object) -> None:
        away = unavailable(self._what, exc)
        if away is not None:
            raise away from exc


class Database:
    """A pool of connections. Each is marked as the worker's own, which the lock triggers look for.

    The mark is a session setting: behind a pooler in transaction mode (pgbouncer) use a session-mode port.
    """

    def __init__(
        self,
        dsn: str,
        *,
        max_size: int = 10,
        command_timeout_s: float = 60.0,
        ready: int = 1,
        warm_up: Callable[[Connection], Awaitable[None]] | None = None,
    ) -> None:
        """``ready``: connections that ``connect`` opens. ``warm_up``: run on each new one before anybody gets it."""
        self._dsn = dsn
        self._max_size = max_size
        self._ready = ready
        self._warm_up = warm_up
        self._command_timeout_s = command_timeout_s
        self._pool: Any = None
        self._changed = set[int]()
        """Server processes whose sessions were borrowed to be changed."""
        self._returning = set[asyncio.Task[None]]()
        self._at_hand: list[Connection] = []
        self._tidying: asyncio.TimerHandle | None = None
        self._queueing = 0
        """How many wait for the pool."""
        self._closing = False

    async def connect(self) -> None:
        """Open the pool. Raises ``StoreUnavailable`` with the address (no password) and the reason."""
        try:
            self._pool = await asyncpg.create_pool(
                self._dsn,
                min_size=self._ready,
                max_size=self._max_size,
                command_timeout=self._command_timeout_s,
                init=self._init,
                reset=self._put_in_order,
                server_settings={
                    "application_name": "pike-economic",
                    "pike_economic.writer": "worker",
                    "timezone": "UTC",
                    "jit": "off",  # compiling a statement takes longer than any of ours runs
                    "idle_in_transaction_session_timeout": "120000",
                },
            )
        except (*_UNAVAILABLE, asyncpg.PostgresError, ValueError) as exc:
            raise StoreUnavailable(f"cannot reach Postgres at {where(self._dsn)}: {exc}") from exc

    async def _init(self, connection: Connection) -> None:
        await connection.set_type_codec("jsonb", encoder=_dump_json, decoder=_load_json, schema="pg_catalog")
        if self._warm_up is None:
            return
        try:
            await self._warm_up(connection)
        except asyncpg.PostgresError as exc:
            if isinstance(exc, _UNAVAILABLE):
                raise
            # it works, only slower at first; what a statement lacks is told better when it is run for somebody
            log.warning("store.not_warmed_up", error=str(exc))

    async def close(self) -> None:
        """Close the pool; connections still in use are given a few seconds, then dropped."""
        if self._pool is None:
            return
        self._closing = True
        self._tidy()
        try:
            await self._pool.close()
        except _UNAVAILABLE:
            self._pool.terminate()

    @property
    def at_hand(self) -> int:
        """How many connections are ready for the next use without the pool."""
        return len(self._at_hand)

    def connection(self, what: str) -> AbstractAsyncContextManager[Connection]:
        """Borrow a connection for single statements, each its own transaction."""
        return _Borrowed(self, what)

    def transaction(self, what: str) -> AbstractAsyncContextManager[Connection]:
        """Run one transaction: commit on leaving, roll back on any exception."""
        return _InTransaction(self, what)

    @asynccontextmanager
    async def session(self, what: str) -> AsyncIterator[Connection]:
        """Borrow a connection for what outlives a transaction: ``SET``, a session's lock. It ends with the borrowing."""
        with translated(what):
            connection = await self.take()
            try:
                self._changed.add(connection.get_server_pid())
                yield connection
            finally:
                await self._pool.release(connection)

    async def _put_in_order(self, connection: Connection) -> None:
        """Reset a session that was changed. For the others asyncpg's usual ``RESET ALL`` would be a round trip and a
        commit per borrowing, for nothing; a transaction that was broken off has been rolled back before this.
        """
        pid = connection.get_server_pid()
        if pid in self._changed:
            self._changed.discard(pid)
            await connection.execute(connection.get_reset_query())

    async def take(self) -> Connection:
        """Return a connection that nobody uses. For this module's own; others borrow."""
        while self._at_hand:
            connection = self._at_hand.pop()
            if _lives(connection):
                return connection
            self._give_back(connection)
        self._queueing += 1
        try:
            return await self._pool.acquire()
        finally:
            self._queueing -= 1

    def put_back(self, connection: Connection, *, intact: bool) -> None:
        """Take a connection back, as ``take`` returned it.

        The pool's way in and out is several rounds of the event loop, so that an ``intact`` one stays at hand for the
        next use. It goes to the pool when somebody waits there, when nobody wanted it for a while, and after anything
        that went wrong: the pool then finishes a statement that was broken off, and ends a transaction that is open.
        """
        wanted = self._queueing or self._closing
        if not intact or wanted or len(self._at_hand) >= AT_HAND or not _is_free(connection):
            self._give_back(connection)
            return
        self._at_hand.append(connection)
        if self._tidying is None:
            # in nobody's context: what the log says then is not about the event that happened to come first
            self._tidying = asyncio.get_running_loop().call_later(AT_HAND_S, self._tidy, context=Context())

    def _tidy(self) -> None:
        """Let the pool have what is at hand: nothing is kept for long, so that the pool's own limits of age hold."""
        if self._tidying is not None:
            self._tidying.cancel()
            self._tidying = None
        at_hand, self._at_hand = self._at_hand, []
        for connection in at_hand:
            self._give_back(connection)

    def _give_back(self, connection: Connection) -> None:
        """Let the pool have a connection back. Nobody waits for its housekeeping, three rounds of the event loop."""
        task = asyncio.create_task(self._pool.release(connection), name="pool-release")
        self._returning.add(task)
        task.add_done_callback(self._returned)

    def _returned(self, task: "asyncio.Task[None]") -> None:
        self._returning.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        # whoever had it is done with it; asyncpg has closed it and opens another when one is needed
        if unavailable("release", error) is not None:
            log.debug("pool.connection_lost", error=repr(error))
        else:
            log.error("pool.release_failed", exc_info=error)


class _Borrowed(AbstractAsyncContextManager[Connection]):
    """A connection for single statements; every event borrows some, so that it is a class and no generator."""

    __slots__ = ("_connection", "_database", "_what")

    def __init__(self, database: Database, what: str) -> None:
        self._database = database
        self._what = what

    async def __aenter__(self) -> Connection:
        with translated(self._what):
            self._connection = await self._database.take()
        return self._connection

    async def __aexit__(
        self, _kind: type[BaseException] | None, exc: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._database.put_back(self._connection, intact=exc is None)
        away = unavailable(self._what, exc)
        if away is not None:
            raise away from exc


class _InTransaction(_Borrowed):
    """A connection in one transaction."""

    __slots__ = ("_transaction",)

    async def __aenter__(self) -> Connection:
        connection = await super().__aenter__()
        try:
            self._transaction = connection.transaction()
            await self._transaction.__aenter__()
        except BaseException as error:
            await super().__aexit__(type(error), error, error.__traceback__)
            raise
        return connection

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._transaction.__aexit__(kind, exc, trace)
        except BaseException as error:
            await super().__aexit__(type(error), error, error.__traceback__)
            raise
        await super().__aexit__(kind, exc, trace)
