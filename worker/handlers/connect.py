"""Connecting a workspace to an agreement: verify the grant, choose defaults, seal it, release what waited (R8)."""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from pydantic import SecretStr

from events.connection import ConnectionEstablished
from events.envelope import Envelope
from worker import failpoints
from worker.broker.delivery import Lane
from worker.broker.topology import EVENTS_EXCHANGE, INTERNAL_EXCHANGE, LANE_QUEUES
from worker.clock import Clock
from worker.economic.client import EconomicClient
from worker.handlers.agreement import Verified, choose_defaults, verify
from worker.run import SOURCE, message_of
from worker.store import access_audit, connections, hooks, inbox, outbox
from worker.store.connections import Choices, EconomicConnection
from worker.store.crypto import Vault
from worker.store.outbox import OutboxMessage
from worker.store.pool import Connection, Database


@dataclass(frozen=True, slots=True)
class Connected:
    """The connection, and how many requests that had waited for it go on now."""

    connection: EconomicConnection
    released: int


async def connect(
    database: Database,
    client: EconomicClient,
    vault: Vault,
    clock: Clock,
    *,
    workspace_id: str,
    grant: SecretStr,
    booking: str | None = None,
    actor: str = "command line",
) -> Connected:
    """Connect or reconnect with a grant token at hand.

    Raises ``GrantRevoked`` when e-conomic does not accept the grant, ``Unavailable``."""
    verified = await verify(client.for_grant(grant, agreement_number=None))
    failpoints.hit("connect.verified")
    async with database.transaction("connect") as connection:
        made = await store(
            connection, vault, clock, workspace_id=workspace_id, grant=grant, verified=verified, booking=booking
        )
        await access_audit.write(connection, actor, "connected", workspace_id=workspace_id, details=_told(verified))
        failpoints.hit("connect.before_commit")
    failpoints.hit("connect.committed")
    return made


async def store(
    connection: Connection,
    vault: Vault,
    clock: Clock,
    *,
    workspace_id: str,
    grant: SecretStr,
    verified: Verified,
    booking: str | None = None,
    choices: Choices | None = None,
) -> Connected:
    """Store a verified grant in the caller's transaction, announce the connection and release what waited for it."""
    made = await connections.establish(
        connection,
        vault,
        workspace_id=workspace_id,
        agreement_number=verified.number,
        company_name=verified.company_name,
        base_currency=verified.base_currency,
        grant=grant,
        defaults=choose_defaults(verified.options),
        booking=booking,
    )
    if choices is not None:
        made = await connections.choose(connection, workspace_id, choices)
    await hooks.ensure_receiver(connection, vault, made.id)
    waiting = await inbox.release_parked(connection, workspace_id)
    await outbox.append(
        connection, [_established(made, clock), *(_released(row, workspace_id) for row in waiting)], lease_s=0.0
    )
    return Connected(made, len(waiting))


def _told(verified: Verified) -> dict[str, Any]:
    return {"agreement_number": verified.number, "company_name": verified.company_name}


def _established(made: EconomicConnection, clock: Clock) -> OutboxMessage:
    data = ConnectionEstablished(
        agreement_number=made.agreement_number, company_name=made.company_name, base_currency=made.base_currency
    )
    envelope = Envelope(
        id=str(uuid4()),
        source=SOURCE,
        type=data.TYPE,
        time=clock.now(),
        workspace_id=made.workspace_id,
        data=data,
    )
    return message_of(envelope, EVENTS_EXCHANGE)


def _released(row: Any, workspace_id: str) -> OutboxMessage:
    return OutboxMessage(
        event_id=row["event_id"],
        type=row["type"],
        workspace_id=workspace_id,
        exchange=INTERNAL_EXCHANGE,
        routing_key=LANE_QUEUES[Lane(row["lane"])],
        body=row["body"],
        content_type=row["content_type"] or "application/cloudevents+json",
        headers=row["headers"],
    )
