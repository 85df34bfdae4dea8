"""Claiming events in batches: what arrives while one statement is under way goes with the next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from worker.errors import StoreUnavailable
from worker.runtime.coalescing import Coalescer
from worker.runtime.lease import LEASE_S
from worker.store import admission
from worker.store.admission import Admission
from worker.store.connections import EconomicConnection
from worker.store.gates import Gate
from worker.store.inbox import ClaimResult, Received
from worker.store.pool import Database
from worker.telemetry.metrics import CLAIM_BATCH

MANY = 100
AT_ONCE = 2
"""Claims under way at most. No two can wait for each other: each takes its rows in one order (``inbox.CLAIM``)."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a claim found, and the workspace's connection and its gates."""

    result: ClaimResult
    connection: EconomicConnection | None
    gates: Mapping[int, Gate]


Claims = Coalescer[Received, Claimed]


def claiming(database: Database) -> Claims:
    """Return what claims one event per call, together with its neighbours' events. Raises ``StoreUnavailable``."""

    async def claim_many(events: Sequence[Received]) -> list[Claimed]:
        CLAIM_BATCH.observe(len(events))
        async with database.connection("claim") as connection:
            claimed = await admission.claim(connection, events, LEASE_S)
        return [_claimed(result, found) for result, found in claimed]

    return Coalescer(
        claim_many,
        key=lambda event: (event.source, event.event_id),
        limit=MANY,
        shared=(StoreUnavailable,),
        at_once=AT_ONCE,
    )


def _claimed(result: ClaimResult, found: Admission | None) -> Claimed:
    return Claimed(result, found.connection, found.gates) if found else Claimed(result, None, {})
