"""Which event answers a request that failed, and how it is made, also from a request that could not be read."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from events.connection import DisconnectRequested
from events.envelope import EventData, Outgoing
from events.imports import ImportCancelRequested, ImportContinue, ImportFailed, ImportRequested
from events.invoice import InvoiceCreated, InvoiceSyncFailed, InvoiceUpdated
from events.product import ProductUpdated
from events.records import ChangeRefused
from events.refresh import RefreshFailed, RefreshRequested
from schemas.problem import Problem

failure_of: Mapping[type[EventData], type[Outgoing]] = MappingProxyType(
    {
        ImportRequested: ImportFailed,
        ImportContinue: ImportFailed,
        ImportCancelRequested: ChangeRefused,
        RefreshRequested: RefreshFailed,
        InvoiceCreated: InvoiceSyncFailed,
        InvoiceUpdated: ChangeRefused,
        ProductUpdated: ChangeRefused,
        DisconnectRequested: ChangeRefused,
    }
)
"""Request → the event that says it failed."""


def failed_event(request: type[EventData], event_id: str, data: EventData | None, problem: Problem) -> Outgoing | None:
    """Make the event that answers a failed request, or ``None`` when nobody waits for one.

    ``data`` is ``None`` when the request could not be read; the answer then carries what the envelope tells.
    """
    make = _MAKERS.get(request)
    return make(event_id, data, problem) if make else None


def _import_requested(event_id: str, _data: EventData | None, problem: Problem) -> Outgoing:
    return ImportFailed(import_id=event_id, problem=problem)


def _import_continue(_event_id: str, data: EventData | None, problem: Problem) -> Outgoing | None:
    # The continuation's own id is not the import's: unread, it names no import that anybody knows.
    return ImportFailed(import_id=data.import_id, problem=problem) if isinstance(data, ImportContinue) else None


def _cancel(_event_id: str, data: EventData | None, problem: Problem) -> Outgoing:
    number = data.import_id if isinstance(data, ImportCancelRequested) else None
    return ChangeRefused(entity="import", id=number, problem=problem)


def _refresh(_event_id: str, data: EventData | None, problem: Problem) -> Outgoing:
    if not isinstance(data, RefreshRequested):
        return RefreshFailed(problem=problem)
    return RefreshFailed(entity=data.entity, id=data.id, external_number=data.external_number, problem=problem)


def _invoice_created(_event_id: str, data: EventData | None, problem: Problem) -> Outgoing:
    return InvoiceSyncFailed(invoice_id=data.invoice.id if isinstance(data, InvoiceCreated) else None, problem=problem)


def _invoice_updated(_event_id: str, data: EventData | None, problem: Problem) -> Outgoing:
    if not isinstance(data, InvoiceUpdated):
        return ChangeRefused(entity="invoice", problem=problem)
    return ChangeRefused(entity="invoice", id=str(data.id), fields=tuple(data.changes), problem=problem)


def _product_updated(_event_id: str, data: EventData | None, problem: Problem) -> Outgoing:
    if not isinstance(data, ProductUpdated):
        return ChangeRefused(entity="product", problem=problem)
    return ChangeRefused(entity="product", id=str(data.id), fields=tuple(data.changes), problem=problem)


def _disconnect(_event_id: str, _data: EventData | None, problem: Problem) -> Outgoing:
    return ChangeRefused(entity="connection", problem=problem)


_Maker = Callable[[str, EventData | None, Problem], Outgoing | None]

_MAKERS: Mapping[type[EventData], _Maker] = {
    ImportRequested: _import_requested,
    ImportContinue: _import_continue,
    ImportCancelRequested: _cancel,
    RefreshRequested: _refresh,
    InvoiceCreated: _invoice_created,
    InvoiceUpdated: _invoice_updated,
    ProductUpdated: _product_updated,
    DisconnectRequested: _disconnect,
}
