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
from worker.economic.endpoints import EconomicApi
from worker.run import SOURCE, message_of
from worker.store import connections, inbox, outbox
from worker.store.connections import EconomicConnection
from worker.store.crypto import Vault
from worker.store.outbox import OutboxMessage
from worker.store.pool import Database

DOMESTIC = 1


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
) -> Connected:
    """Connect or reconnect. Raises ``GrantRevoked`` when e-conomic does not accept the grant, ``Unavailable``."""
    api = client.for_grant(grant, agreement_number=None)
    agreement = await api.get_self()
    defaults = await choose_defaults(api)
    failpoints.hit("connect.verified")
    async with database.transaction("connect") as connection:
        made = await connections.establish(
            connection,
            vault,
            workspace_id=workspace_id,
            agreement_number=agreement.agreement_number,
            company_name=agreement.company.name,
            base_currency=agreement.settings.base_currency,
            grant=grant,
            defaults=defaults,
            booking=booking,
        )
        waiting = await inbox.release_parked(connection, workspace_id)
        await outbox.append(
            connection, [_established(made, clock), *(_released(row, workspace_id) for row in waiting)], lease_s=0.0
        )
        failpoints.hit("connect.before_commit")
    failpoints.hit("connect.committed")
    return Connected(made, len(waiting))


async def choose_defaults(api: EconomicApi) -> dict[str, Any]:
    """Pick what a new customer or invoice needs: the first group, layout and net terms, the domestic VAT zone."""
    groups = await api.customer_groups()
    terms = await api.payment_terms()
    layouts = [layout for layout in await api.layouts() if not layout.deleted]
    zones = {zone.vat_zone_number for zone in await api.vat_zones()}
    net = [term for term in terms if term.payment_terms_type in ("net", "invoiceMonth")] or terms
    chosen: dict[str, Any] = {}
    if groups:
        chosen["customer_group"] = min(group.customer_group_number for group in groups)
    if net:
        first = min(net, key=lambda term: term.payment_terms_number)
        chosen["payment_terms"] = first.payment_terms_number
        chosen["payment_terms_type"] = first.payment_terms_type
    if layouts:
        chosen["layout"] = min(layout.layout_number for layout in layouts)
    if zones:
        chosen["vat_zone"] = DOMESTIC if DOMESTIC in zones else min(zones)
    return chosen


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
