"""Telling that an invoice went on in its life: draft → booked → paid (R21)."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from events.invoice import InvoiceChanged
from schemas.invoice import InvoiceStatus, PikeInvoice
from worker.run import Work
from worker.store.records import Written


def announce_moves(work: Work, written: Sequence[Written], invoices: Iterable[PikeInvoice], as_of: datetime) -> None:
    """Emit ``economic.invoice.changed`` for each row whose status moved; ``invoices`` is what was written."""
    by_number = {invoice.external_number: invoice for invoice in invoices}
    for record in written:
        for change in record.changes:
            if change.field != "status":
                continue
            invoice = by_number[record.external_number]
            work.emit(
                InvoiceChanged(
                    invoice_id=record.id,
                    external_number=record.external_number,
                    previous_status=InvoiceStatus(change.old),
                    status=invoice.status,
                    net=invoice.net_amount,
                    vat=invoice.vat_amount,
                    gross=invoice.gross_amount,
                    remainder=invoice.remainder,
                    last_synced_at=as_of,
                )
            )
