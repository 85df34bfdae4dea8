"""Everything that is written down about one event, from all tables, for the people who ask what became of it."""

import contextlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from worker.store import dead_letters
from worker.store.dead_letters import DeadLetter
from worker.store.pool import Connection

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Traces:
    """What the tables hold about one event. ``inbox`` is ``None`` for a message that could not be read."""

    source: str
    event_id: str
    inbox: dict[str, Any] | None
    letters: list[DeadLetter]
    audit: Rows
    effects: Rows
    imports: Rows
    campaigns: Rows
    operators: Rows
    outbox: Rows


# The key begins with the source, of which there are few: stepping through them spares an index of its own.
_INBOX = """
with recursive sources (name) as (
    (select source from economic.inbox order by source limit 1)
    union all
    select (select source from economic.inbox where source > sources.name order by source limit 1)
    from sources where sources.name is not null)
select source, event_id, type, workspace_id, lane, state, outcome, attempts, snoozes, body, history, lease_until,
       received_at, updated_at, finished_at
from sources join economic.inbox on source = sources.name and event_id = $1
where source not in ('malformed', 'conflict') order by received_at
"""

_AUDIT = """
select entity, min(at) as at, count(*)::int as rows, sum(jsonb_array_length(changes))::int as fields,
       (array_agg(entity_id order by id))[1:20] as ids
from economic.audit
where actor = any($1::text[]) and workspace_id = $2 group by entity, date_trunc('second', at) order by min(at) limit 200
"""

# An invoice's customer may have been made by an earlier event: only what was first sent since this one came counts.
_EFFECTS = """
select agreement_number, subject_id, step, reference, state, external_number, first_sent_at, updated_at, checked_at,
       problem
from economic.effects
where (subject_id = any($1::uuid[])
       or (step = 'customer' and first_sent_at >= $2
           and subject_id in (select customer_id from pike.invoices where id = any($1::uuid[]) and workspace_id = $3)))
  and workspace_id = $3
order by first_sent_at
"""

_IMPORTS = """
select i.id, i.state, i.mode, i.dry_run, i.entities, i.cursor ->> 'stage' as stage, i.counts, i.problem,
       i.cancel_requested, i.requested_by, i.started_at, i.updated_at, i.finished_at,
       (select count(*)::int from economic.import_rejects r where r.import_id = i.id) as rejects
from economic.imports i where i.event_id = $1 and i.workspace_id = $2 order by i.started_at
"""

_CAMPAIGNS = """
select l.replay_id, l.letter_id, l.state, l.round, l.cause, l.sent_at, l.settled_at, r.started_at, r.started_by
from economic.replay_letters l join economic.replays r on r.id = l.replay_id
where l.letter_id = any($1::uuid[]) order by r.started_at
"""

_OPERATORS = """
select at, operator, action, letter_id, replay_id, reason from economic.operator_audit
where letter_id = any($1::uuid[]) order by id
"""

# Our own encoding (events.codec) has one spelling of the attribute, so bytes can be compared.
_OUTBOX = """
select id, event_id, type, exchange, attempts, unheard, last_error, created_at, leased_until
from economic.outbox
where workspace_id = $2 and (event_id = $1 or position($3::bytea in body) > 0) order by id limit 100
"""


async def find(connection: Connection, event_id: str, source: str | None = None) -> list[Traces]:
    """Return what is known of the event with this id (or the dead letter with this id), per source, oldest first.

    Everything is found by index, but for dead letters and the outbox, which are few while all is well.
    """
    letters = await _letters(connection, event_id)
    names = {event_id} | {letter.event_id for letter in letters if letter.event_id}
    inbox: Rows = []
    for name in sorted(names):
        inbox += [dict(row) for row in await connection.fetch(_INBOX, name)]
    keys = {(row["source"], row["event_id"]): row for row in inbox}
    for letter in letters:
        keys.setdefault((letter.source or "", letter.event_id or ""), {})
    return [
        await _traces(connection, key, row or None, [x for x in letters if (x.source or "", x.event_id or "") == key])
        for key, row in keys.items()
        if source in (None, key[0])
    ]


async def _letters(connection: Connection, event_id: str) -> list[DeadLetter]:
    ids = [
        row["id"]
        for row in await connection.fetch("select id from economic.dead_letters where event_id = $1", event_id)
    ]
    with contextlib.suppress(ValueError):  # event ids may be any text
        ids.append(UUID(event_id))
    found = await dead_letters.search(connection, ids=ids, state=None)
    event = next(((x.source, x.event_id) for x in found if x.source and x.event_id and str(x.id) == event_id), None)
    return await dead_letters.search(connection, event=event, state=None) if event else found


async def _traces(
    connection: Connection, key: tuple[str, str], row: dict[str, Any] | None, letters: list[DeadLetter]
) -> Traces:
    source, event_id = key
    workspace = row["workspace_id"] if row else next((x.workspace_id for x in letters if x.workspace_id), "")
    since: datetime | None = row["received_at"] if row else None
    actors = [f"{doer}:{event_id}" for doer in ("push", "refresh", "import")]
    audit = [dict(each) for each in await connection.fetch(_AUDIT, actors, workspace)]
    subjects = {each for part in audit if part["entity"] == "invoice" for each in part["ids"]}
    subjects |= _named_in([row["body"] if row else None, *(letter.body for letter in letters)])
    letter_ids = [letter.id for letter in letters]
    about = json.dumps({"correlationid": event_id}, ensure_ascii=False, separators=(",", ":"))[1:-1].encode()

    async def fetched(sql: str, *args: object) -> Rows:
        return [dict(each) for each in await connection.fetch(sql, *args)]

    pushed = row is not None and row["type"] == "pike.invoice.created"
    return Traces(
        source=source,
        event_id=event_id,
        inbox=row,
        letters=letters,
        audit=audit,
        effects=await fetched(_EFFECTS, sorted(subjects), since, workspace) if pushed and subjects else [],
        imports=await fetched(_IMPORTS, event_id, workspace),
        campaigns=await fetched(_CAMPAIGNS, letter_ids),
        operators=await fetched(_OPERATORS, letter_ids),
        outbox=await fetched(_OUTBOX, event_id, workspace, about),
    )


def _named_in(bodies: list[bytes | None]) -> set[UUID]:
    """Return the invoices that bodies ask for; the audit names those that were changed."""
    found = set()
    for body in bodies:
        try:
            event = json.loads(body or b"null")
            data = event.get("data", event) if isinstance(event, dict) else {}
            found.add(UUID(data["invoice"]["id"]))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
    return found
