"""Invoices made in Pike on their way to e-conomic, and what e-conomic later does to them."""

from typing import Annotated, Any, ClassVar
from uuid import UUID

from pydantic import (
    AwareDatetime,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema

from events.envelope import Incoming, Outgoing
from events.fields import AmountIn, PlainDate, PlainJson
from schemas.customer import LocalCustomer
from schemas.invoice import Adjustment, InvoiceStatus, RequestedInvoice, RequestedLine
from schemas.problem import Problem
from schemas.values import Amount, Currency, PositiveInt


def _upper(value: object) -> object:
    return value.strip().upper() if isinstance(value, str) else value


_CurrencyIn = Annotated[Currency, BeforeValidator(_upper)]

MAX_LINES = 1_000
"""Lines of one invoice; far above anything real, and low enough to fit one request."""


class CreatedLine(RequestedLine):
    """A line as Pike publishes it; unknown fields are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    quantity: AmountIn
    unit_price: AmountIn
    discount_percent: AmountIn | None = None
    product_number: SkipJsonSchema[str | None] = None
    finance_account: PositiveInt | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_product_number(cls, value: Any) -> Any:
        """e-conomic's number is looked up from ``product_id``; a stated one is not to be trusted."""
        if isinstance(value, dict) and value.get("product_number") is not None:
            return {key: entry for key, entry in value.items() if key != "product_number"}
        return value


class CreatedInvoice(RequestedInvoice):
    """An invoice as Pike publishes it; unknown fields are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    issue_date: PlainDate
    due_date: PlainDate | None = None
    currency: _CurrencyIn
    project_id: Annotated[str, StringConstraints(max_length=200)] | None = None
    lines: Annotated[tuple[CreatedLine, ...], Field(min_length=1, max_length=MAX_LINES)]

    @field_validator("lines")
    @classmethod
    def _each_line_once(cls, lines: tuple[CreatedLine, ...]) -> tuple[CreatedLine, ...]:
        ids = [line.id for line in lines]
        twice = next((position for position, id_ in enumerate(ids) if id_ in ids[:position]), None)
        if twice is not None:
            raise ValueError(f"line {twice + 1} has the same id as line {ids.index(ids[twice]) + 1}")
        return lines


class CreatedCustomer(LocalCustomer):
    """A customer that Pike made just now, sent along with its first invoice; unknown fields are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
    external_number: SkipJsonSchema[str | None] = None
    currency: _CurrencyIn | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_external_number(cls, value: Any) -> Any:
        """A customer made just now has no number in e-conomic; a stated one is not to be trusted."""
        if isinstance(value, dict) and value.get("external_number") is not None:
            return {key: entry for key, entry in value.items() if key != "external_number"}
        return value


class InvoiceCreated(Incoming):
    """An invoice was made in Pike and is to become a draft in e-conomic (R3)."""

    TYPE: ClassVar[str] = "pike.invoice.created"

    invoice: CreatedInvoice
    customer: CreatedCustomer | None = None

    @model_validator(mode="after")
    def _customer_is_the_invoices(self) -> "InvoiceCreated":
        if self.customer is not None and self.customer.id != self.invoice.customer_id:
            raise ValueError('"customer.id" differs from "invoice.customer_id"')
        return self


class InvoiceUpdated(Incoming):
    """Somebody changed an invoice in Pike; refused once the invoice is e-conomic's (R31)."""

    TYPE: ClassVar[str] = "pike.invoice.updated"

    id: UUID
    changes: dict[str, PlainJson]


class InvoiceSynced(Outgoing):
    """The invoice is in e-conomic, read back and locked in Pike. Amounts are e-conomic's, in the invoice's currency."""

    TYPE: ClassVar[str] = "economic.invoice.synced"

    invoice_id: UUID
    external_number: str
    status: InvoiceStatus
    net: Amount
    vat: Amount
    gross: Amount
    last_synced_at: AwareDatetime
    adjustments: tuple[Adjustment, ...] = ()


class InvoiceSyncFailed(Outgoing):
    """The invoice is not in e-conomic and can still be edited in Pike (R22). No id: the request had none."""

    TYPE: ClassVar[str] = "economic.invoice.sync_failed"

    invoice_id: UUID | None = None
    problem: Problem


class InvoiceOutcomeUnknown(Outgoing):
    """The invoice may or may not be in e-conomic; frozen while the worker looks for it (F13)."""

    TYPE: ClassVar[str] = "economic.invoice.outcome_unknown"

    invoice_id: UUID
    problem: Problem | None = None


class InvoiceChanged(Outgoing):
    """A synced invoice moved on in e-conomic, such as draft → booked → paid. In Pike it stays one invoice (R21)."""

    TYPE: ClassVar[str] = "economic.invoice.changed"

    invoice_id: UUID
    external_number: str
    previous_status: InvoiceStatus | None = None
    status: InvoiceStatus
    net: Amount | None = None
    vat: Amount | None = None
    gross: Amount | None = None
    remainder: Amount | None = None
    last_synced_at: AwareDatetime | None = None
