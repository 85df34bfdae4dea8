"""Upserts of listed records (products, customers, …): one statement per page, newer wins, and what changed comes back.

"Newer" is when the state was read from e-conomic (``as_of``), not when it is written: a slow page never overwrites
a faster refresh. Columns that are not listed here (``active`` by hand, projects, …) are never touched.

Imports write ``sparingly``: a row that is as e-conomic has it already is not written again, unless its *last synced*
is older than ``upserts.STAMP_EVERY`` (decision 0009).

Elsewhere events that write at the same time share the statement (``sharing``, decision 0013).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from itertools import chain
from operator import attrgetter
from typing import Any
from uuid import UUID

from schemas.base import Strict
from schemas.kinds import LIST_OF, Entity
from worker.store import sharing
from worker.store.pool import Connection
from worker.store.sharing import Shared
from worker.store.tables import NUMBER, Table
from worker.store.upserts import page_sql, records_sql


@dataclass(frozen=True, slots=True)
class Change:
    """One field of one record, before and after."""

    field: str
    old: Any
    new: Any

    def as_dict(self) -> dict[str, Any]:
        """As it stands in events and in the audit."""
        return {"field": self.field, "old": self.old, "new": self.new}


@dataclass(frozen=True, slots=True)
class Written:
    """What an upsert did to one record. One that newer state kept, or that was not written at all, has no result."""

    id: UUID
    external_number: str
    created: bool
    changes: tuple[Change, ...] = field(default=())

    @property
    def touched(self) -> bool:
        """True when the row is new or a field changed."""
        return self.created or bool(self.changes)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Rows that one event writes: whose they are, when they were read, their numbers, a list per column."""

    workspace_id: str
    agreement: int
    as_of: datetime
    numbers: Sequence[str]
    columns: Sequence[Sequence[Any]]

    def identities(self) -> set[tuple[str, int, str]]:
        """Return what tells the rows apart."""
        return {(self.workspace_id, self.agreement, number) for number in self.numbers}


@cache
def _shared(table: Table) -> Shared[_Batch, list[Written]]:
    """Return the upsert that events may share."""

    async def many(connection: Connection, batches: Sequence[_Batch]) -> list[list[Written]]:
        whose = {identity: place for place, batch in enumerate(batches) for identity in batch.identities()}
        rows = await connection.fetch(
            records_sql(table),
            [batch.workspace_id for batch in batches for _ in batch.numbers],
            [batch.agreement for batch in batches for _ in batch.numbers],
            [batch.as_of for batch in batches for _ in batch.numbers],
            [number for batch in batches for number in batch.numbers],
            *map(_joined, zip(*(batch.columns for batch in batches), strict=True)),
        )
        written: list[list[Written]] = [[] for _ in batches]
        for row in rows:
            written[whose[row["workspace_id"], row["agreement_number"], row["external_number"]]].append(_written(row))
        return written

    return Shared(many, lambda batch: {(table.name, *identity) for identity in batch.identities()})


@cache
def _values_of(table: Table) -> Callable[[Strict], tuple[Any, ...]]:
    """Return what reads a row's number and then its columns."""
    return attrgetter(NUMBER, *table.names)


def _joined(columns: Sequence[Sequence[Any]]) -> list[Any]:
    return list(chain.from_iterable(columns))


def _written(row: Any) -> Written:
    return Written(row["id"], row["external_number"], row["created"], changes_between(row["versions"]))


async def upsert(
    connection: Connection,
    table: Table,
    workspace_id: str,
    agreement: int,
    rows: Sequence[Strict],
    as_of: datetime,
    *,
    sparingly: bool = False,
) -> list[Written]:
    """Write a page of rows of the table's model, read from e-conomic at ``as_of``.

    Those that are left as they are do not come back.
    """
    if not rows:
        return []
    numbers, *columns = zip(*map(_values_of(table), rows), strict=True)
    if sparingly:
        found = await connection.fetch(page_sql(table), workspace_id, agreement, as_of, numbers, *columns)
        return [_written(row) for row in found]
    return await sharing.run(connection, _shared(table), _Batch(workspace_id, agreement, as_of, numbers, columns))


async def known_numbers(
    connection: Connection, table: Table, workspace_id: str, agreement: int, numbers: Sequence[str]
) -> set[str]:
    """Return those of the numbers that a linked row already has."""
    rows = await connection.fetch(
        f"""select external_number from {table.name}
            where workspace_id = $1 and agreement_number = $2 and external_number = any($3::text[])""",  # noqa: S608
        workspace_id,
        agreement,
        list(numbers),
    )
    return {row["external_number"] for row in rows}


def changes_between(versions: list[dict[str, Any]] | None) -> tuple[Change, ...]:
    """Turn ``[old, new]`` of a row into the list of fields that differ."""
    if versions is None:
        return ()
    old, new = versions
    return tuple(Change(name, old[name], new[name]) for name in new if old[name] != new[name])


async def renumber(
    connection: Connection, table: Table, workspace_id: str, agreement: int, old: str, new: str, actor: str
) -> UUID | None:
    """Let a linked row go on under another number, and audit it. ``None`` when there is nothing to move.

    A row that has the new number already stays: it was read before we heard of the renumbering.
    """
    moved: UUID | None = await connection.fetchval(
        f"""update {table.name} r set external_number = $4, updated_at = now()
            where r.workspace_id = $1 and r.agreement_number = $2 and r.external_number = $3
              and not exists (select 1 from {table.name} o where o.workspace_id = $1 and o.agreement_number = $2
                              and o.external_number = $4)
            returning r.id""",  # noqa: S608
        workspace_id,
        agreement,
        old,
        new,
    )
    if moved is not None:
        change = Change("external_number", old, new)
        await write_audit(connection, workspace_id, table.entity, actor, [Written(moved, new, False, (change,))])
    return moved


async def note_attempt(
    connection: Connection, entity: Entity, workspace_id: str, record_id: UUID, problem: dict[str, Any]
) -> None:
    """Show a failed attempt beside the record; its data and time of last success stay (R28, R29)."""
    await connection.execute(
        f"update pike.{LIST_OF[entity]} set last_attempt_at = now(), last_problem = $3 where id = $1 and workspace_id = $2",  # noqa: S608
        record_id,
        workspace_id,
        problem,
    )


async def audit_active(
    connection: Connection, workspace_id: str, entity: str, actor: str, ids: Sequence[UUID], *, active: bool
) -> None:
    """Keep that records were deactivated, or activated again (B14)."""
    if ids:
        await connection.execute(
            """insert into economic.audit (workspace_id, entity, entity_id, actor, changes)
               select $1, $2, t.id, $3, $5 from unnest($4::uuid[]) as t(id)""",
            workspace_id,
            entity,
            actor,
            list(ids),
            [Change("active", not active, active).as_dict()],
        )


async def write_audit(
    connection: Connection, workspace_id: str, entity: str, actor: str, written: Sequence[Written]
) -> None:
    """Keep before and after of every changed field (B14)."""
    changed = [record for record in written if record.changes]
    if changed:
        await connection.execute(
            """insert into economic.audit (workspace_id, entity, entity_id, actor, changes)
               select $1, $2, t.id, $3, t.changes from jsonb_to_recordset($4) as t(id uuid, changes jsonb)""",
            workspace_id,
            entity,
            actor,
            [{"id": r.id, "changes": [change.as_dict() for change in r.changes]} for r in changed],
        )
