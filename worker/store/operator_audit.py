"""The append-only record of what operators did to dead letters: who, when, what, why."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from worker.store.pool import Connection

Action = Literal["replay", "edit", "discard", "dry-run"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. ``before`` and ``after`` are an edited event's bodies."""

    at: datetime
    operator: str
    action: Action
    letter_id: UUID
    replay_id: UUID | None
    reason: str | None
    details: dict[str, Any]
    before: bytes | None
    after: bytes | None


_COLUMNS = ", ".join(Entry.__dataclass_fields__)


async def write(
    connection: Connection,
    operator: str,
    action: Action,
    letter_ids: Sequence[UUID],
    *,
    replay_id: UUID | None = None,
    reason: str | None = None,
    details: dict[str, Any] | None = None,
    before: bytes | None = None,
    after: bytes | None = None,
) -> None:
    """Add an entry per letter, in the caller's transaction."""
    await connection.execute(
        """insert into economic.operator_audit (operator, action, letter_id, replay_id, reason, details, before, after)
           select $1, $2, id, $4, $5, $6, $7, $8 from unnest($3::uuid[]) as id""",
        operator,
        action,
        list(letter_ids),
        replay_id,
        reason,
        details or {},
        before,
        after,
    )


async def of_letter(connection: Connection, letter_id: UUID) -> list[Entry]:
    """Return everything done to a letter, oldest first."""
    rows = await connection.fetch(
        f"select {_COLUMNS} from economic.operator_audit where letter_id = $1 order by id",  # noqa: S608
        letter_id,
    )
    return [Entry(**row) for row in rows]
