"""How events end, or go on: their rows in the inbox and their answers in the outbox, all in one statement.

A group of events has one round trip for it, however many they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from worker.store.inbox import Claim
from worker.store.outbox import OWN_LEASE_S, OutboxMessage, OutboxRow, columns_of
from worker.store.pool import Connection

# An end tells by its place whether its claim was still valid. now() is when the transaction was begun, which may be a
# while ago: leases count from the clock, and nothing ends before it was received. The state as an expression: see inbox.
#
# The arrays come out of subqueries so that their lengths do not enter the plan. With them a plan for these very lengths
# always looks a little cheaper than the one for all, and Postgres makes a new one each time: as much work as the rest.
WRITE = """
with ended as (
    update economic.inbox i
    set state = case when t.outcome is null then i.state else 'done' end, outcome = coalesce(t.outcome, i.outcome),
        body = case when t.outcome is null then i.body end,
        lease_until = case when t.outcome is null then clock_timestamp() + make_interval(secs => t.lease_s) end,
        finished_at = case when t.outcome is null then i.finished_at else greatest(now(), i.received_at) end,
        updated_at = now()
    from unnest((select $1::text[]), (select $2::text[]), (select $3::bigint[]), (select $4::text[]),
                (select $5::float8[])) with ordinality
         as t(source, event_id, fence, outcome, lease_s, place)
    where i.source = t.source and i.event_id = t.event_id and i.fence = t.fence and i.state || '' = 'running'
    returning t.place
), sent as (
    insert into economic.outbox
        (event_id, type, workspace_id, exchange, routing_key, content_type, headers, body, ephemeral, leased_until)
    select t.*, clock_timestamp() + make_interval(secs => $15)
    from unnest($6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::jsonb[], $13::bytea[],
                $14::bool[]) as t
    returning id
)
select array(select place from ended) as ended, array(select id from sent order by id) as sent
"""
"""Writes ends and messages; parameters: an array per field of ``End``, ``outbox.columns_of``, the messages' lease in s."""


@dataclass(frozen=True, slots=True)
class End:
    """What becomes of an event: it is done with an outcome, or (``None``) goes on with its lease prolonged."""

    claim: Claim
    outcome: str | None
    lease_s: float


async def write(
    connection: Connection, ends: Sequence[End], messages: Sequence[OutboxMessage]
) -> tuple[list[OutboxRow], set[Claim]]:
    """Write what becomes of events, and store their messages.

    Returns the messages with their row ids, leased to this process, and the claims that are no longer valid: when there
    is one, the caller has to roll back.
    """
    row = await connection.fetchrow(
        WRITE,
        [end.claim.source for end in ends],
        [end.claim.event_id for end in ends],
        [end.claim.fence for end in ends],
        [end.outcome for end in ends],
        [end.lease_s for end in ends],
        *columns_of(messages),
        OWN_LEASE_S,
    )
    valid = set(row["ended"])
    lost = {end.claim for place, end in enumerate(ends, 1) if place not in valid}
    return [OutboxRow(row_id, message) for row_id, message in zip(row["sent"], messages, strict=True)], lost
