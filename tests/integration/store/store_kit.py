"""Rows to write in store tests."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from schemas.customer import PikeCustomer
from schemas.invoice import InvoiceStatus, PikeInvoice, PikeInvoiceLine, PikeTaxRate
from schemas.product import PikeProduct
from worker.store import endings
from worker.store.endings import End
from worker.store.inbox import Claim, fence_lost
from worker.store.pool import Connection

WS = "ws"
AGREEMENT = 77
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=1)


async def finish(connection: Connection, claim: Claim, outcome: str) -> None:
    """Mark one event done, as a group of one. Raises ``FenceLost``."""
    _, lost = await endings.write(connection, [End(claim, outcome, 0.0)], [])
    if lost:
        raise fence_lost(claim)


def product(number: str, **fields: Any) -> PikeProduct:
    return PikeProduct(
        **{"external_number": number, "sku": number, "name": f"Vare {number}", "price": "10.00", **fields}
    )


def customer(number: str, **fields: Any) -> PikeCustomer:
    return PikeCustomer(**{"external_number": number, "name": f"Kunde {number}", **fields})


def line(position: int, net: str, **fields: Any) -> PikeInvoiceLine:
    rate = PikeTaxRate(name="25 %", rate=Decimal(25), vat_code="U25")
    return PikeInvoiceLine(**{"position": position, "net_amount": Decimal(net), "tax_rate": rate, **fields})


def invoice(number: int, *, draft: bool = False, **fields: Any) -> PikeInvoice:
    values = {
        "external_number": str(number),
        "document": "draft" if draft else "booked",
        "status": InvoiceStatus.DRAFT if draft else InvoiceStatus.BOOKED,
        "draft_number" if draft else "booked_number": number,
        "title": f"Faktura {number}",
        "issue_date": date(2026, 11, 1),
        "currency": "DKK",
        "net_amount": "100.00",
        "vat_amount": "25.00",
        "gross_amount": "125.00",
        "lines": (line(1, "60.00"), line(2, "40.00")),
    }
    return PikeInvoice(**{**values, **fields})
