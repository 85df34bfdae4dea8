"""What is done for each event: the table that the runtime is given. Nothing is found by scanning."""

from collections.abc import Mapping

from events.connection import DisconnectRequested
from events.imports import ImportCancelRequested, ImportContinue, ImportRequested
from events.invoice import InvoiceCreated, InvoiceUpdated
from events.own import HintsRead, HooksCheck, SyncContinue, SyncRequested
from events.product import ProductUpdated
from events.refresh import RefreshRequested
from worker.broker.delivery import Lane
from worker.clock import Clock
from worker.handlers.cancel_import import cancel_import
from worker.handlers.disconnect import disconnect
from worker.handlers.hooks import KeepHooks, ReadHints, give_up_hints
from worker.handlers.importing import continue_import, continue_sync, fail_import, start_import, start_sync
from worker.handlers.lock_guard import guard_invoice, guard_product
from worker.handlers.pushing import PushInvoice, fail_push
from worker.handlers.refresh import Refresh, fail_refresh
from worker.handlers.registers import Registers
from worker.run import Handler

IMPORT_LIMIT_S = 300.0
"""A slice ends by itself after its time; this bounds a page that hangs. Far below the broker's 30 minutes."""


def handlers(clock: Clock, hooks: KeepHooks | None = None) -> Mapping[str, Handler]:
    """Build the table: event type → what is done, for how long at most, in which lane.

    ``hooks`` knows our own address; without it no webhooks are kept.
    """
    registers = Registers(clock)
    return {
        InvoiceCreated.TYPE: Handler(PushInvoice(registers), 150.0, on_dead=fail_push),
        RefreshRequested.TYPE: Handler(Refresh(registers), 120.0, on_dead=fail_refresh),
        InvoiceUpdated.TYPE: Handler(guard_invoice, 15.0, needs="nothing"),
        ProductUpdated.TYPE: Handler(guard_product, 15.0, needs="nothing"),
        DisconnectRequested.TYPE: Handler(disconnect, 30.0, needs="connection_if_any", gated=False),
        ImportCancelRequested.TYPE: Handler(cancel_import, 15.0, needs="nothing"),
        ImportRequested.TYPE: Handler(start_import, IMPORT_LIMIT_S, lane=Lane.BULK, on_dead=fail_import),
        ImportContinue.TYPE: Handler(continue_import, IMPORT_LIMIT_S, lane=Lane.BULK, on_dead=fail_import),
        SyncRequested.TYPE: Handler(start_sync, IMPORT_LIMIT_S, Lane.BULK, "connection_if_any", on_dead=fail_import),
        SyncContinue.TYPE: Handler(continue_sync, IMPORT_LIMIT_S, Lane.BULK, "connection_if_any", on_dead=fail_import),
        HintsRead.TYPE: Handler(
            ReadHints(registers), 120.0, needs="connection_if_any", background=True, on_dead=give_up_hints
        ),
        HooksCheck.TYPE: Handler(hooks or KeepHooks(None, ""), 60.0, needs="connection_if_any", background=True),
    }
