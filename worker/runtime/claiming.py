"""Claiming events in batches: what arrives while one statement is under way goes with the next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from worker.errors import StoreUnavailable
from worker.runtime.coalescing import Coalescer
from worker.runtime.lease import LEASE_S
from worker.store import connections, gates, inbox
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

        In one transaction, which is one commit, but not in one statement: each reads what is committed when it begins,
        and a claim that waited for somebody's reconnect must see the grant of that reconnect.
        """
        CLAIM_BATCH.observe(len(events))
        async with database.transaction("claim") as connection:
            results = await inbox.claim_many(connection, events, LEASE_S)
            claimed = {event.workspace_id for event, result in zip(events, results, strict=True) if result.claim}
            found = await connections.find_many(connection, sorted(claimed)) if claimed else {}
            agreements = sorted({each.agreement_number for each in found.values()})
            shut = await gates.find(connection, agreements) if agreements else {}
        return [
            Claimed(result, found.get(event.workspace_id), shut) for event, result in zip(events, results, strict=True)
        ]

    return Coalescer(
        claim_many, key=lambda event: (event.source, event.event_id), limit=MANY, shared=(StoreUnavailable,)
    )
