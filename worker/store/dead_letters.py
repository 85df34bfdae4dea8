"""Dead letters: events that cannot be acted on, with their raw body, cause and remedy, until a person decides."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from worker.store.pool import Connection


@dataclass(frozen=True, slots=True)
class NewLetter:
    """A dead letter to write. Source, id, type and workspace are known only as far as the event could be read."""

    lane: str
    body: bytes
    cause: str
    problem: dict[str, Any]
    received_at: datetime | None
    detail: str = ""
    source: str | None = None
    event_id: str | None = None
    type: str | None = None
    workspace_id: str | None = None
    content_type: str | None = None
    headers: dict[str, str] | None = None
    attempts: int = 0
    history: Sequence[dict[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A stored dead letter."""

    id: UUID
    source: str | None
    event_id: str | None
    type: str | None
    workspace_id: str | None
    lane: str
    body: bytes
    content_type: str | None
    headers: dict[str, str]
    cause: str
    problem: dict[str, Any]
    detail: str
    attempts: int
    history: list[dict[str, Any]]
    state: str
    received_at: datetime
    buried_at: datetime
    closed_at: datetime | None
    closed_by: str | None
    closed_reason: str | None


_COLUMNS = ", ".join(DeadLetter.__dataclass_fields__)
_PAGE = 300


async def insert(connection: Connection, letter: NewLetter) -> UUID:
    """Write a dead letter in the caller's transaction; returns its id."""
    letter_id = uuid4()
    await connection.execute(
        """insert into economic.dead_letters
             (id, source, event_id, type, workspace_id, lane, body, content_type, headers, cause, problem, detail,
              attempts, history, received_at)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, coalesce($15, now()))""",
        letter_id,
        letter.source,
        letter.event_id,
        letter.type,
        letter.workspace_id,
        letter.lane,
        letter.body,
        letter.content_type,
        letter.headers or {},
        letter.cause,
        letter.problem,
        letter.detail,
        letter.attempts,
        list(letter.history),
        letter.received_at,
    )
    return letter_id


async def search(
    connection: Connection,
    *,
    ids: Sequence[UUID] | None = None,
    cause: str | None = None,
    workspace_id: str | None = None,
    event_type: str | None = None,
    state: str | None = "open",
    event: tuple[str, str] | None = None,
    after: DeadLetter | None = None,
    limit: int = 1000,
) -> list[DeadLetter]:
    """Return dead letters that fit every given criterion, oldest first; ``event`` is (source, id)."""
    rows = await connection.fetch(
        f"""select {_COLUMNS} from economic.dead_letters
            where ($1::uuid[] is null or id = any($1)) and ($2::text is null or cause = $2)
              and ($3::text is null or workspace_id = $3) and ($4::text is null or type = $4)
              and ($5::text is null or state = $5) and ($7::timestamptz is null or (buried_at, id) > ($7, $8::uuid))
              and ($9::text is null or (source = $9 and event_id = $10::text))
            order by buried_at, id limit $6""",  # noqa: S608
        list(ids) if ids is not None else None,
        cause,
        workspace_id,
        event_type,
        state,
        limit,
        after.buried_at if after else None,
        after.id if after else None,
        *(event or (None, None)),
    )
    return [DeadLetter(**row) for row in rows]


async def search_all(connection: Connection, **criteria: Any) -> AsyncGenerator[DeadLetter, None]:
    """Yield every dead letter that fits, however many there are, a few hundred bodies in memory at a time."""
    last: DeadLetter | None = None
    while True:
        page = await search(connection, **criteria, after=last, limit=_PAGE)
        for letter in page:
            yield letter
        if len(page) < _PAGE:
            return
        last = page[-1]


async def close(connection: Connection, letter_id: UUID, state: str, by: str, reason: str | None) -> bool:
    """Mark a letter replayed or discarded; False when somebody else did so before (compare and swap)."""
    return (
        await connection.fetchval(
            """update economic.dead_letters set state = $2, closed_by = $3, closed_reason = $4, closed_at = now()
               where id = $1 and state = 'open' returning 1""",
            letter_id,
            state,
            by,
            reason,
        )
        is not None
    )
