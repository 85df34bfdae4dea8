"""How events end, or go on: their rows in the inbox and their answers in the outbox, all in one statement.

A group of events has one round trip for it, however many they are.
"""

from collections.abc import Sequence

from worker.store.inbox import Claim
from worker.store.outbox import OWN_LEASE_S, OutboxMessage, OutboxRow, columns_of
from worker.store.pool import Connection

# Each part tells by their places which claims were still valid. now() is when the transaction was begun, which may be a
# while ago: leases count from the clock, and nothing ends before it was received. The state as an expression: see inbox.
_WRITE = """
with finished as (
    update economic.inbox i
    set state = 'done', outcome = t.outcome, body = null, lease_until = null, updated_at = now(),
        finished_at = greatest(now(), i.received_at)
    from unnest($1::text[], $2::text[], $3::bigint[], $4::text[]) with ordinality
         as t(source, event_id, fence, outcome, place)
    where i.source = t.source and i.event_id = t.event_id and i.fence = t.fence and i.state || '' = 'running'
    returning t.place
), prolonged as (
    update economic.inbox i set lease_until = clock_timestamp() + make_interval(secs => t.lease_s), updated_at = now()
    from unnest($5::text[], $6::text[], $7::bigint[], $8::float8[]) with ordinality
         as t(source, event_id, fence, lease_s, place)
    where i.source = t.source and i.event_id = t.event_id and i.fence = t.fence and i.state || '' = 'running'
    returning t.place
), sent as (
    insert into economic.outbox
        (event_id, type, workspace_id, exchange, routing_key, content_type, headers, body, ephemeral, leased_until)
    select t.*, clock_timestamp() + make_interval(secs => $18)
    from unnest($9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::jsonb[], $16::bytea[],
                $17::bool[]) as t
    returning id
)
select array(select place from finished) as finished, array(select place from prolonged) as prolonged,
       array(select id from sent order by id) as sent
"""


async def write(
    connection: Connection,
    finished: Sequence[tuple[Claim, str]],
    prolonged: Sequence[tuple[Claim, float]],
    messages: Sequence[OutboxMessage],
) -> tuple[list[OutboxRow], set[Claim]]:
    """Mark events done, each with its outcome; prolong the leases of others, in seconds; store the messages.

    Returns the messages with their row ids, leased to this process, and the claims that are no longer valid: when there
    is one, the caller has to roll back.
    """
    row = await connection.fetchrow(
        _WRITE,
        *_columns(finished),
        *_columns(prolonged),
        *columns_of(messages),
        OWN_LEASE_S,
    )
    lost = _missing(finished, row["finished"]) | _missing(prolonged, row["prolonged"])
    return [OutboxRow(row_id, message) for row_id, message in zip(row["sent"], messages, strict=True)], lost


def _columns(ends: Sequence[tuple[Claim, object]]) -> tuple[list[str], list[str], list[int], list[object]]:
    return (
        [claim.source for claim, _ in ends],
        [claim.event_id for claim, _ in ends],
        [claim.fence for claim, _ in ends],
        [value for _, value in ends],
    )


def _missing(ends: Sequence[tuple[Claim, object]], places: Sequence[int]) -> set[Claim]:
    if len(places) == len(ends):
        return set()
    valid = set(places)
    return {claim for place, (claim, _) in enumerate(ends, 1) if place not in valid}
