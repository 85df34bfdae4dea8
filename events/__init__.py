"""The catalogue: every event type that this service reads, writes, or sends to itself."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from events.connection import (
    ConnectionClosed,
    ConnectionEstablished,
    ConnectionRevoked,
    DisconnectRequested,
)
from events.envelope import Envelope, EventData, Incoming, Outgoing
from events.failures import failed_event, failure_of
from events.fields import FieldChange
from events.imports import (
    AmbiguousMatch,
    DataReport,
    EntityCounts,
    ImportCancelled,
    ImportCancelRequested,
    ImportCompleted,
    ImportContinue,
    ImportFailed,
    ImportPreviewed,
    ImportProgressed,
    ImportRequested,
    ImportStarted,
    ReportRow,
)
from events.invoice import (
    CreatedCustomer,
    CreatedInvoice,
    CreatedLine,
    InvoiceChanged,
    InvoiceCreated,
    InvoiceOutcomeUnknown,
    InvoiceSynced,
    InvoiceSyncFailed,
    InvoiceUpdated,
)
from events.own import HintsRead, HooksCheck, SyncContinue, SyncRequested
from events.product import ProductUpdated
from events.records import ChangeRefused, RecordsChanged
from events.refresh import RefreshCompleted, RefreshFailed, RefreshRequested
from schemas.invoice import Adjustment

_READ: Final[tuple[type[Incoming], ...]] = (
    ImportRequested,
    ImportCancelRequested,
    RefreshRequested,
    InvoiceCreated,
    InvoiceUpdated,
    ProductUpdated,
    DisconnectRequested,
    ImportContinue,
    SyncRequested,
    SyncContinue,
    HintsRead,
    HooksCheck,
)

_WRITTEN: Final[tuple[type[Outgoing], ...]] = (
    ConnectionEstablished,
    ConnectionRevoked,
    ConnectionClosed,
    ImportStarted,
    ImportProgressed,
    ImportPreviewed,
    ImportCompleted,
    ImportFailed,
    ImportCancelled,
    RecordsChanged,
    RefreshCompleted,
    RefreshFailed,
    InvoiceSynced,
    InvoiceSyncFailed,
    InvoiceOutcomeUnknown,
    InvoiceChanged,
    ChangeRefused,
)

EVENTS: Final[Mapping[str, type[EventData]]] = MappingProxyType({event.TYPE: event for event in (*_READ, *_WRITTEN)})
"""Type → class of its body."""

INTERNAL: Final[frozenset[str]] = frozenset(
    {ImportContinue.TYPE, SyncRequested.TYPE, SyncContinue.TYPE, HintsRead.TYPE, HooksCheck.TYPE}
)
"""Types that the worker sends to itself."""

CONSUMED: Final[frozenset[str]] = frozenset(event.TYPE for event in _READ)
"""Types that the worker reads, the internal ones among them: each has exactly one handler."""

EMITTED: Final[frozenset[str]] = frozenset(event.TYPE for event in _WRITTEN)
"""Types that others may listen to."""

__all__ = [
    "CONSUMED",
    "EMITTED",
    "EVENTS",
    "INTERNAL",
    "Adjustment",
    "AmbiguousMatch",
    "ChangeRefused",
    "ConnectionClosed",
    "ConnectionEstablished",
    "ConnectionRevoked",
    "CreatedCustomer",
    "CreatedInvoice",
    "CreatedLine",
    "DataReport",
    "DisconnectRequested",
    "EntityCounts",
    "Envelope",
    "EventData",
    "FieldChange",
    "HintsRead",
    "HooksCheck",
    "ImportCancelRequested",
    "ImportCancelled",
    "ImportCompleted",
    "ImportContinue",
    "ImportFailed",
    "ImportPreviewed",
    "ImportProgressed",
    "ImportRequested",
    "ImportStarted",
    "Incoming",
    "InvoiceChanged",
    "InvoiceCreated",
    "InvoiceOutcomeUnknown",
    "InvoiceSyncFailed",
    "InvoiceSynced",
    "InvoiceUpdated",
    "Outgoing",
    "ProductUpdated",
    "RecordsChanged",
    "RefreshCompleted",
    "RefreshFailed",
    "RefreshRequested",
    "ReportRow",
    "SyncContinue",
    "SyncRequested",
    "failed_event",
    "failure_of",
]
