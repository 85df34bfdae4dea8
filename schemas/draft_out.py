"""An invoice as it is sent to e-conomic: as a draft, and booked for good. Limits are the API's."""

import datetime as dt

from schemas.base import EconomicOut
from schemas.values import Amount


class DraftLineOut(EconomicOut):
    """A line to send. The API refuses more than two decimals (E04740) and zero or null numbers."""

    class Product(EconomicOut):
        """Reference by number."""

        product_number: str

    class Unit(EconomicOut):
        """Reference by number."""

        unit_number: int

    line_number: int
    description: str
    product: Product | None = None
    quantity: Amount | None = None
    unit_net_price: Amount | None = None
    discount_percentage: Amount | None = None
    unit: Unit | None = None


class DraftOut(EconomicOut):
    """Body of ``POST /invoices/drafts``: header and lines in one atomic request."""

    class Terms(EconomicOut):
        """Reference by number."""

        payment_terms_number: int

    class Customer(EconomicOut):
        """Reference by number."""

        customer_number: int

    class Layout(EconomicOut):
        """Reference by number."""

        layout_number: int

    class Recipient(EconomicOut):
        """Copy of the customer's address; its VAT zone rules the VAT of the invoice."""

        class Zone(EconomicOut):
            """Reference by number."""

            vat_zone_number: int

        name: str
        vat_zone: Zone
        address: str | None = None
        zip: str | None = None
        city: str | None = None
        country: str | None = None

    class Notes(EconomicOut):
        """Texts above the lines."""

        heading: str | None = None

    class References(EconomicOut):
        """Our marker: found again by ``references.other`` on drafts and booked invoices alike."""

        other: str

    date: dt.date
    currency: str
    payment_terms: Terms
    customer: Customer
    recipient: Recipient
    layout: Layout
    references: References
    lines: tuple[DraftLineOut, ...]
    due_date: dt.date | None = None
    notes: Notes | None = None


class BookingOut(EconomicOut):
    """Body of ``POST /invoices/booked``: turns a draft into an invoice, for good."""

    class Draft(EconomicOut):
        """Reference by number."""

        draft_invoice_number: int

    draft_invoice: Draft
