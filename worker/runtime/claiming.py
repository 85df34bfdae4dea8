"""Claiming events in batches: what arrives while one statement is under way goes with the next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from worker.errors import StoreUnavailable
from worker.runtime.coalescing import Coalescer
from worker.runtime.lease import LEASE_S
from worker.store import admission, inbox
from worker.store.admission import Admission
from worker.store.connections import EconomicConnection
from worker.store.gates import Gate
from worker.store.inbox import ClaimResult, Received
from worker.store.pool import Database
from worker.telemetry.metrics import CLAIM_BATCH

MANY = 100


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a claim found, and the workspace's connection and its gates as they were after the claim."""

    result: ClaimResult
    connection: EconomicConnection | None
    gates: Mapping[int, Gate]


Claims = Coalescer[Received, Claimed]


def claiming(database: Database) -> Claims:
    """Return what claims one event per call, together with its neighbours' events. Raises ``StoreUnavailable``."""

    async def claim_many(events: Sequence[Received]) -> list[Claimed]:
        """Claim a batch, and read the connections it needs after that: a claim never works with an older grant.

        Two statements, each a transaction of its own: the second reads what is committed when it begins, and a claim
        that waited for somebody's reconnect must see the grant of that reconnect.
        """
        CLAIM_BATCH.observe(len(events))
        async with database.connection("claim") as connection:
            results = await inbox.claim_many(connection, events, LEASE_S)
            claimed = {event.workspace_id for event, result in zip(events, results, strict=True) if result.claim}
            found = await admission.find(connection, sorted(claimed)) if claimed else {}
        return [_claimed(result, found.get(event.workspace_id)) for event, result in zip(events, results, strict=True)]

    return Coalescer(
        claim_many, key=lambda event: (event.source, event.event_id), limit=MANY, shared=(StoreUnavailable,)
    )


def _claimed(result: ClaimResult, found: Admission | None) -> Claimed:
    return Claimed(result, found.connection, found.gates) if found else Claimed(result, None, {})
