"""What an agreement holds, as plain data. Amounts are Decimal, times aware UTC, dates plain dates.

Customers, contacts, products and documents change in place; look-ups are frozen and shared.
"""

import datetime as dt
from dataclasses import dataclass, field
from decimal import Decimal

from worker.sandbox.lookups import Named, Terms, VatZone

ZERO = Decimal("0.00")


@dataclass(slots=True)
class Customer:
    """A customer ("debtor"). ``version`` counts changes for the OpenAPI ``objectVersion``."""

    number: int
    name: str
    currency: str
    group: int
    terms: int
    vat_zone: int
    last_updated: dt.datetime
    address: str | None = None
    zip: str | None = None
    city: str | None = None
    country: str | None = None
    email: str | None = None
    cvr: str | None = None
    p_number: str | None = None
    ean: str | None = None
    vat_number: str | None = None
    public_entry_number: str | None = None
    phone: str | None = None
    mobile_phone: str | None = None
    website: str | None = None
    credit_limit: Decimal | None = None
    barred: bool = False
    e_invoicing_disabled: bool = False
    layout: int | None = None
    sales_person: int | None = None
    attention: int | None = None
    contact: int | None = None
    version: int = 1


@dataclass(slots=True)
class Contact:
    """A customer's contact. ``number`` is global, ``ui_number`` counts per customer (legacy shows that one)."""

    number: int
    customer: int
    ui_number: int
    name: str
    last_updated: dt.datetime
    email: str | None = None
    phone: str | None = None
    notes: str | None = None
    e_invoice_id: str | None = None
    notifications: tuple[str, ...] = ()
    deleted: bool = False
    version: int = 1

    @property
    def active(self) -> bool:
        """Whether the contact can be used."""
        return not self.deleted


@dataclass(slots=True)
class Product:
    """A product; ``number`` is text chosen by the caller, prices are in base currency."""

    number: str
    name: str
    group: int
    last_updated: dt.datetime
    description: str | None = None
    sales_price: Decimal = ZERO
    cost_price: Decimal = ZERO
    recommended_price: Decimal = ZERO
    bar_code: str | None = None
    barred: bool = False
    unit: int | None = None
    version: int = 1

    @property
    def accessible(self) -> bool:
        """The opposite of barred, as the OpenAPI service puts it."""
        return not self.barred


@dataclass(slots=True)
class Line:
    """One line of a document. Without ``product`` it is text; VAT and account are what the document was made with."""

    number: int
    sort_key: int
    description: str | None = None
    product: str | None = None
    unit: Named | None = None
    quantity: Decimal | None = None
    unit_price: Decimal | None = None
    discount: Decimal = ZERO
    cost: Decimal = ZERO
    net: Decimal = ZERO
    vat_rate: Decimal = ZERO
    vat: Decimal = ZERO
    account: int | None = None


@dataclass(slots=True)
class Recipient:
    """The addressee as copied when the document was made; its zone, not the customer's, rules the VAT."""

    name: str
    vat_zone: VatZone
    address: str | None = None
    zip: str | None = None
    city: str | None = None
    country: str | None = None
    ean: str | None = None
    public_entry_number: str | None = None
    cvr: str | None = None
    mobile_phone: str | None = None
    nem_handel_type: str | None = None
    attention: int | None = None


@dataclass(slots=True)
class Delivery:
    """Where and when goods go."""

    address: str | None = None
    zip: str | None = None
    city: str | None = None
    country: str | None = None
    terms: str | None = None
    day: dt.date | None = None


@dataclass(slots=True)
class Document:
    """What draft and booked invoices share. Amounts ending in ``_base`` are in the agreement's currency."""

    number: int
    date: dt.date
    currency: str
    rate: Decimal
    terms: Terms
    customer: int
    recipient: Recipient
    layout: int
    lines: list[Line]
    due_date: dt.date | None = None
    delivery: Delivery | None = None
    delivery_location: int | None = None
    heading: str | None = None
    text1: str | None = None
    text2: str | None = None
    other: str | None = None
    contact: int | None = None
    sales_person: int | None = None
    vendor_reference: int | None = None
    project: int | None = None
    net: Decimal = ZERO
    vat: Decimal = ZERO
    gross: Decimal = ZERO
    net_base: Decimal = ZERO
    gross_base: Decimal = ZERO


@dataclass(slots=True, kw_only=True)
class Draft(Document):
    """A draft. ``document_id`` is the internal number that the OpenAPI line endpoints use."""

    document_id: int
    last_updated: dt.datetime
    cost_base: Decimal = ZERO


@dataclass(slots=True, kw_only=True)
class Booked(Document):
    """A booked invoice: immutable but for ``remainder``, the unpaid rest in its own currency."""

    order_number: int | None = None
    remainder: Decimal = ZERO
    remainder_base: Decimal = ZERO
    sent_by: str | None = None


@dataclass(frozen=True, slots=True)
class DocumentLine:
    """A line with the document it belongs to, for the reads across all invoices. ``number`` is unique per document.

    ``document_id`` is the booked number, or a draft's internal number.
    """

    document: Draft | Booked
    document_id: int
    line: Line
    number: int


@dataclass(frozen=True, slots=True)
class SeedSize:
    """How much a new agreement holds. ``drafts`` come on top of the booked ``invoices``."""

    customers: int = 40
    products: int = 25
    invoices: int = 120
    drafts: int = 6
    lines_per_invoice: int = 3
    contacts_per_customer: float = 0.6


@dataclass(slots=True)
class Totals:
    """Sums over booked invoices of one currency and year."""

    count: int = 0
    net: Decimal = field(default=ZERO)
    vat: Decimal = field(default=ZERO)
    gross: Decimal = field(default=ZERO)
    remainder: Decimal = field(default=ZERO)
