"""An invoice over its whole life: Pike's request, e-conomic's draft and booked documents, Pike's row (R21-R27)."""

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal, Protocol
from uuid import UUID

from pydantic import Field

from schemas.base import EconomicIn, Strict
from schemas.terms import LayoutRef, PaymentTermsRef, UnitRef, VatZoneRef
from schemas.values import Amount, Currency, PositiveInt

Document = Literal["draft", "booked"]


class InvoiceStatus(StrEnum):
    """Life of an invoice row in Pike."""

    PENDING = "pending"
    DRAFT = "draft"
    BOOKED = "booked"
    PAID = "paid"
    FAILED = "failed"
    OUTCOME_UNKNOWN = "outcome_unknown"


# --- read from e-conomic -------------------------------------------------------------------------------


class ProductRef(EconomicIn):
    """Reference to a product, which may since have been deleted or barred."""

    product_number: str


class CustomerRef(EconomicIn):
    """Reference to a customer, which may since have been deleted."""

    customer_number: int


class Recipient(EconomicIn):
    """Copy of the customer at the time of the invoice; outlives the customer (R24)."""

    name: str = ""
    address: str | None = None
    zip: str | None = None
    city: str | None = None
    country: str | None = None
    cvr: str | None = None
    vat_zone: VatZoneRef | None = None


class Notes(EconomicIn):
    """Texts above the lines."""

    heading: str | None = None
    text_line1: str | None = None
    text_line2: str | None = None


class References(EconomicIn):
    """Free references; ``other`` carries our marker on invoices that Pike made."""

    other: str | None = None


class EconomicLine(EconomicIn):
    """A line of a draft or booked invoice, from a single document (legacy) or a bulk list (OpenAPI).

    ``vat_rate`` and ``vat_amount`` are stated on booked lines only; a draft line's rate follows from its
    product group and the recipient's VAT zone. ``booked_account`` is known from the bulk list only.
    A line without a product is a text line.
    """

    line_number: int = 0
    sort_key: int | None = None
    description: str | None = None
    quantity: Amount | None = None
    unit_net_price: Amount | None = None
    discount_percentage: Amount | None = None
    total_net_amount: Amount | None = None
    vat_rate: Amount | None = None
    vat_amount: Amount | None = None
    product: ProductRef | None = None
    unit: UnitRef | None = None
    booked_account: int | None = None

    @property
    def product_number(self) -> str | None:
        """The product's number; ``None`` on a text line."""
        return self.product.product_number if self.product else None


class InvoiceLine(Protocol):
    """What Pike needs of a line, whichever list it comes from."""

    @property
    def line_number(self) -> int:
        """Place by number."""

    @property
    def sort_key(self) -> int | None:
        """Place on the document."""

    @property
    def description(self) -> str | None:
        """Text."""

    @property
    def product_number(self) -> str | None:
        """Product, ``None`` on a text line."""

    @property
    def quantity(self) -> Decimal | None:
        """How many."""

    @property
    def unit_net_price(self) -> Decimal | None:
        """Price of one."""

    @property
    def discount_percentage(self) -> Decimal | None:
        """Discount in percent."""

    @property
    def total_net_amount(self) -> Decimal | None:
        """Net of the line, as stated."""

    @property
    def vat_rate(self) -> Decimal | None:
        """Rate in percent, as stated on booked lines."""

    @property
    def vat_amount(self) -> Decimal | None:
        """VAT, as stated on booked lines."""

    @property
    def booked_account(self) -> int | None:
        """Finance account that was used."""


class EconomicInvoice(EconomicIn):
    """What draft and booked documents share. Lists carry no ``lines``: ``None`` means "not read"."""

    date: dt.date
    due_date: dt.date | None = None
    currency: Currency
    exchange_rate: Amount | None = None
    net_amount: Amount
    gross_amount: Amount
    vat_amount: Amount
    rounding_amount: Amount | None = None
    net_amount_in_base_currency: Amount | None = None
    customer: CustomerRef | None = None
    recipient: Recipient = Field(default_factory=Recipient)
    notes: Notes = Field(default_factory=Notes)
    references: References = Field(default_factory=References)
    payment_terms: PaymentTermsRef | None = None
    layout: LayoutRef | None = None
    lines: tuple[EconomicLine, ...] | None = None


class EconomicDraft(EconomicInvoice):
    """``/invoices/drafts``. The number is not an invoice number and dies with the draft."""

    draft_invoice_number: PositiveInt
    last_updated: dt.datetime | None = None

    @property
    def number(self) -> int:
        """The draft's number."""
        return self.draft_invoice_number


class EconomicBooked(EconomicInvoice):
    """``/invoices/booked``. Immutable but for ``remainder``, the unpaid rest, which payments move."""

    booked_invoice_number: PositiveInt
    order_number: Annotated[int, Field(ge=0, le=2_147_483_647)] | None = None
    remainder: Amount | None = None

    @property
    def number(self) -> int:
        """The invoice number."""
        return self.booked_invoice_number


class BookedTotals(EconomicIn):
    """``/invoices/totals/booked``: e-conomic's own grand total over every booked invoice."""

    invoice_count: int | None = None
    net_amount_in_base_currency: Amount | None = None


# --- Pike's side ---------------------------------------------------------------------------------------


class PikeTaxRate(Strict):
    """A tax rate of an agreement: one row per (rate, name)."""

    name: str
    rate: Amount
    vat_code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PikeInvoiceLine:
    """A row of ``pike.invoice_lines``. References are by e-conomic's numbers; the store resolves them to ids.

    A plain dataclass: it is only ever made from what was validated, and an import makes millions.
    """

    position: int
    description: str | None = None
    product_number: str | None = None
    quantity: Amount | None = None
    unit_price: Amount | None = None
    discount_percent: Amount | None = None
    net_amount: Amount
    vat_amount: Amount | None = None
    tax_rate: PikeTaxRate | None = None
    finance_account: int | None = None


class PikeInvoice(Strict):
    """A row of ``pike.invoices`` with its lines, the columns that e-conomic rules."""

    external_number: str
    document: Document
    title: str
    status: InvoiceStatus
    customer_number: str | None = None
    issue_date: dt.date
    due_date: dt.date | None = None
    currency: str
    net_amount: Amount
    vat_amount: Amount
    gross_amount: Amount
    remainder: Amount | None = None
    is_credit_note: bool = False
    booked_number: int | None = None
    draft_number: int | None = None
    reference: str | None = None
    """``references.other`` as e-conomic holds it; tells our own pushed invoices from others."""
    recipient: Recipient | None = None
    """The address on the document; becomes the customer when e-conomic no longer has one (R24)."""
    lines: tuple[PikeInvoiceLine, ...] | None = None


class RequestedLine(Strict):
    """A line of an invoice made in Pike, its product already resolved to e-conomic's number."""

    id: UUID
    description: str
    quantity: Amount
    unit_price: Amount
    discount_percent: Amount | None = None
    product_id: UUID | None = None
    product_number: str | None = None
    finance_account: int | None = None


class RequestedInvoice(Strict):
    """An invoice made in Pike and waiting to be sent."""

    id: UUID
    title: str
    customer_id: UUID
    issue_date: dt.date
    due_date: dt.date | None = None
    currency: str
    project_id: str | None = None
    lines: tuple[RequestedLine, ...]


class Adjustment(Strict):
    """A value that e-conomic stored differently from what Pike sent (R14, B12). No line id: the whole invoice.

    Amounts are decimal texts, dates ``YYYY-MM-DD``, accounts whole numbers.
    """

    line_id: UUID | None = None
    field: str
    sent: str | int | None = None
    stored: str | int | None = None
