"""Tables in memory with what the worker's guarantees rest on in Postgres: transactions, row locks, read committed.

A transaction's writes lie in its own overlay until it commits. A row that another transaction has locked makes the
statement wait and then look again at what was committed meanwhile. ``now`` is the time the transaction began.
"""

import asyncio
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import asyncpg

Row = dict[str, Any]
Key = tuple[str, Hashable]


class MustWait(Exception):
    """The statement needs a row that ``holder`` has locked."""

    def __init__(self, holder: "Transaction") -> None:
        self.holder = holder


class Tables:
    """What is committed, and who has locked what. ``watch`` sees each row before it is committed: (key, old, new)."""

    def __init__(self, now: Callable[[], Any], watch: Callable[[Key, Row | None, Row | None], None]) -> None:
        self.now = now
        self.committed: dict[str, dict[Hashable, Row]] = {}
        self.locks: dict[Key, Transaction] = {}
        self.open: list[Transaction] = []
        self._watch = watch
        self._sequences: dict[str, int] = {}

    def begin(self) -> "Transaction":
        transaction = Transaction(self)
        self.open.append(transaction)
        return transaction

    def next_number(self, sequence: str) -> int:
        """Sequences are not rolled back."""
        self._sequences[sequence] = number = self._sequences.get(sequence, 0) + 1
        return number

    def rows(self, table: str) -> list[Row]:
        """Return the committed rows."""
        return list(self.committed.get(table, {}).values())

    def apply(self, transaction: "Transaction") -> None:
        for key, row in transaction.overlay.items():
            table = self.committed.setdefault(key[0], {})
            self._watch(key, table.get(key[1]), row)
            if row is None:
                table.pop(key[1], None)
            else:
                table[key[1]] = row


class Transaction:
    """One transaction. ``ended`` is done after commit or rollback; ``broken`` says that the server dropped it."""

    __slots__ = ("_pending", "broken", "ended", "held", "now", "overlay", "owner", "snapshot", "tables", "waits_for")

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.now = tables.now()
        self.overlay: dict[Key, Row | None] = {}
        self.held: list[Key] = []
        self.ended: asyncio.Future[None] | None = None
        self.waits_for: Transaction | None = None
        self.broken = False
        self.owner: object = None
        self.snapshot: Any = None
        self._pending: dict[Key, Row | None] = {}

    def as_it_began(self, read: Callable[[], Any]) -> Any:
        """Return what ``read`` saw when the statement began, however long it has waited for a lock meanwhile."""
        if self.snapshot is None:
            self.snapshot = read()
        return self.snapshot

    def get(self, table: str, key: Hashable) -> Row | None:
        """Return a row as this transaction sees it."""
        at = (table, key)
        if at in self._pending:
            return self._pending[at]
        if at in self.overlay:
            return self.overlay[at]
        return self.tables.committed.get(table, {}).get(key)

    def rows(self, table: str) -> Iterator[tuple[Hashable, Row]]:
        """Yield key and row of a table as this transaction sees it."""
        own = {key[1]: row for layer in (self.overlay, self._pending) for key, row in layer.items() if key[0] == table}
        for key, row in self.tables.committed.get(table, {}).items():
            if key not in own:
                yield key, row
        yield from ((key, row) for key, row in own.items() if row is not None)

    def lock(self, table: str, key: Hashable) -> None:
        """Take the row's lock. Raises ``MustWait``."""
        if not self.try_lock(table, key):
            raise MustWait(self.tables.locks[table, key])

    def try_lock(self, table: str, key: Hashable) -> bool:
        """Take the row's lock unless somebody else has it (``skip locked``)."""
        holder = self.tables.locks.get((table, key))
        if holder is None:
            self.tables.locks[table, key] = self
            self.held.append((table, key))
        return holder is None or holder is self

    def put(self, table: str, key: Hashable, row: Row | None) -> None:
        """Write a row, or delete it; locks it first."""
        self.lock(table, key)
        self._pending[table, key] = row

    def change(self, table: str, key: Hashable, **values: Any) -> Row:
        """Update some columns and return the new row."""
        self.lock(table, key)
        old = self.get(table, key)
        assert old is not None
        new = {**old, **values}
        self._pending[table, key] = new
        return new

    async def run(self, statement: Callable[..., list[Row]], args: tuple[Any, ...]) -> list[Row]:
        """Execute one statement; waits for locks. Raises what Postgres raises for a deadlock."""
        self.snapshot = None
        while True:
            self._pending = {}
            try:
                result = statement(self, *args)
            except MustWait as wait:
                await self._wait(wait.holder)
                continue
            self.overlay.update(self._pending)
            self._pending = {}
            return result

    async def _wait(self, holder: "Transaction") -> None:
        other: Transaction | None = holder
        while other is not None:
            if other is self:
                raise asyncpg.DeadlockDetectedError("deadlock detected")
            other = other.waits_for
        if holder.ended is None:
            holder.ended = asyncio.get_running_loop().create_future()
        self.waits_for = holder
        try:
            await asyncio.shield(holder.ended)
        finally:
            self.waits_for = None
        if self.broken:
            raise ConnectionResetError("the server closed the connection")

    def commit(self) -> None:
        """Make the writes visible, at once and together."""
        self.tables.apply(self)
        self._end()

    def rollback(self) -> None:
        """Forget the writes."""
        self._end()

    def _end(self) -> None:
        if self not in self.tables.open:
            return
        self.tables.open.remove(self)
        for key in self.held:
            if self.tables.locks.get(key) is self:
                del self.tables.locks[key]
        self.let_look_again()

    def let_look_again(self) -> None:
        """Wake whoever waits for this transaction; those that still must wait do so anew."""
        ended, self.ended = self.ended, None
        if ended is not None and not ended.done():
            ended.set_result(None)
