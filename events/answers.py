"""Which events end a request: what a publisher waits for, and what the contract promises to every language."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from events.connection import ConnectionClosed, DisconnectRequested
from events.envelope import Incoming, Outgoing
from events.imports import (
    ImportCancelled,
    ImportCancelRequested,
    ImportCompleted,
    ImportFailed,
    ImportPreviewed,
    ImportRequested,
)
from events.invoice import InvoiceCreated, InvoiceSynced, InvoiceSyncFailed, InvoiceUpdated
from events.product import ProductUpdated
from events.records import ChangeRefused
from events.refresh import RefreshCompleted, RefreshFailed, RefreshRequested

ANSWERS: Final[Mapping[type[Incoming], tuple[type[Outgoing], ...]]] = MappingProxyType(
    {
        ImportRequested: (ImportCompleted, ImportPreviewed, ImportFailed, ImportCancelled),
        ImportCancelRequested: (ChangeRefused,),
        RefreshRequested: (RefreshCompleted, RefreshFailed),
        InvoiceCreated: (InvoiceSynced, InvoiceSyncFailed),
        InvoiceUpdated: (ChangeRefused,),
        ProductUpdated: (ChangeRefused,),
        DisconnectRequested: (ConnectionClosed, ChangeRefused),
    }
)
"""Request → the events that end it; exactly one of them comes, with the request's id as ``correlationid``.

Where ``ChangeRefused`` stands alone, silence means consent: nothing answers a change that is allowed, and a
cancelled import is answered under the id of the import.
"""
