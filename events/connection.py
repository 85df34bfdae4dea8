"""A workspace's connection to an e-conomic agreement: established, revoked, closed on request."""

from typing import ClassVar

from events.envelope import Incoming, Outgoing
from events.fields import Person
from schemas.problem import Problem


class DisconnectRequested(Incoming):
    """Somebody in Pike wants the connection closed. Synced rows stay, no further calls are made."""

    TYPE: ClassVar[str] = "pike.disconnect.requested"

    requested_by: Person | None = None


class ConnectionEstablished(Outgoing):
    """A grant was verified and stored; ``base_currency`` is the agreement's, the currency of product prices."""

    TYPE: ClassVar[str] = "economic.connection.established"

    agreement_number: int
    company_name: str
    base_currency: str


class ConnectionRevoked(Outgoing):
    """e-conomic no longer accepts the grant. Requests are parked until somebody reconnects."""

    TYPE: ClassVar[str] = "economic.connection.revoked"

    agreement_number: int | None = None
    problem: Problem


class ConnectionClosed(Outgoing):
    """The connection was closed by Pike. Also the answer to a request that found nothing to close."""

    TYPE: ClassVar[str] = "economic.connection.closed"

    agreement_number: int | None = None
    requested_by: str | None = None
