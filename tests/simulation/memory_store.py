"""Postgres as the worker reaches it, in memory: ``Database`` with the same two ways in, and what can go wrong there.

The seam is the connection: everything above it (``worker.store``) is the real code.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import tests.simulation.statements_gates
import tests.simulation.statements_overflow
import tests.simulation.statements_pike  # noqa: F401  # both register their statements
from tests.simulation import statements
from tests.simulation.loop import PROCESS, Process
from tests.simulation.tables import Row, Tables, Transaction
from tests.simulation.world import World
from worker.store.pool import Connection, Database, translated

IDLE_LIMIT_S = 120.0
"""``idle_in_transaction_session_timeout`` of the worker's sessions."""


class MemoryPostgres:
    """The server: one for all processes of a run."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.tables = Tables(world.database_now, self._watch)
        self.away = False

    def _watch(self, key: Any, old: Row | None, new: Row | None) -> None:
        """Promises that hold at every commit: what is done stays done, fences only grow."""
        if key[0] != statements.INBOX or old is None:
            return
        if new is None or (old["state"] in ("done", "dead") and new["state"] != old["state"]):
            self.world.violated(f"event {key[1][1]} was {old['state']} and is {new and new['state']}")
        elif new["fence"] < old["fence"]:
            self.world.violated(f"event {key[1][1]}: fence {old['fence']} → {new['fence']}")

    def drop(self, process: Process | None) -> None:
        """Roll back what a process (or everybody) has open: its connection is gone."""
        for transaction in list(self.tables.open):
            if process is None or transaction.owner is process:
                self.break_off(transaction)

    def break_off(self, transaction: Transaction) -> None:
        transaction.broken = True
        transaction.rollback()
        holder = transaction.waits_for
        if holder is not None:
            holder.let_look_again()


class MemoryDatabase(Database):
    """One process's way to the server."""

    def __init__(self, server: MemoryPostgres) -> None:
        super().__init__("postgresql://memory/simulation")
        self._server = server

    @asynccontextmanager
    async def connection(self, what: str) -> AsyncIterator[Connection]:
        with translated(what):
            yield MemoryConnection(self._server, None)

    @asynccontextmanager
    async def transaction(self, what: str) -> AsyncIterator[Connection]:
        with translated(what):
            await self._server.world.wait("begin", 0.0005, 0.003)
            _alive(self._server)
            transaction = self._server.tables.begin()
            transaction.owner = PROCESS.get()
            try:
                yield MemoryConnection(self._server, transaction)
                await self._commit(transaction, what)
            except BaseException:
                self._server.break_off(transaction)
                raise

    async def _commit(self, transaction: Transaction, what: str) -> None:
        world = self._server.world
        await world.wait(f"before commit: {what}", 0.001, 0.01)
        if transaction.broken or world.strikes("commit fails", world.odds.store):
            raise ConnectionResetError("the server closed the connection before the commit")
        transaction.commit()
        world.trace("commit", what)
        await world.wait(f"after commit: {what}", 0.0005, 0.005)
        if world.strikes("commit unknown", world.odds.store):
            raise ConnectionResetError("the server closed the connection after the commit")


class MemoryConnection:
    """What the store's functions use of an asyncpg connection."""

    def __init__(self, server: MemoryPostgres, transaction: Transaction | None) -> None:
        self._server = server
        self._transaction = transaction

    async def fetch(self, sql: str, *args: Any) -> list[Row]:
        return await self._run(sql, args)

    async def fetchrow(self, sql: str, *args: Any) -> Row | None:
        rows = await self._run(sql, args)
        return rows[0] if rows else None

    async def fetchval(self, sql: str, *args: Any) -> Any:
        rows = await self._run(sql, args)
        return next(iter(rows[0].values())) if rows else None

    async def execute(self, sql: str, *args: Any) -> str:
        return f"DONE {len(await self._run(sql, args))}"

    async def executemany(self, sql: str, many: Sequence[Sequence[Any]]) -> None:
        for args in many:
            await self._run(sql, tuple(args))

    async def _run(self, sql: str, args: tuple[Any, ...]) -> list[Row]:
        function = statements.find(sql)
        world = self._server.world
        await world.wait(function.__name__, 0.0005, 0.004)
        _alive(self._server)
        transaction = self._transaction
        single = transaction is None
        if transaction is None:
            transaction = self._server.tables.begin()
            transaction.owner = PROCESS.get()
        if transaction.broken or (world.odds.store and world.strikes("statement fails", world.odds.store / 4)):
            self._server.break_off(transaction)
            raise ConnectionResetError("the server closed the connection")
        try:
            rows = await transaction.run(function, args)
        except BaseException:
            self._server.break_off(transaction)
            raise
        if single:
            transaction.commit()
            world.trace("statement", function.__name__)
            await world.wait(f"after {function.__name__}", 0.0002, 0.002)
        return rows


def _alive(server: MemoryPostgres) -> None:
    if server.away:
        raise ConnectionRefusedError("the server does not listen")
