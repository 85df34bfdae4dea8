"""Draft and booked invoices from e-conomic to Pike (R21-R27). Every line stays a line, every øre stays where it is."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from schemas.invoice import (
    EconomicBooked,
    EconomicDraft,
    EconomicInvoice,
    InvoiceLine,
    InvoiceStatus,
    PikeInvoice,
    PikeInvoiceLine,
    PikeTaxRate,
    Recipient,
)
from worker.mapping import money, texts
from worker.mapping.tax_rules import TaxRules, tax_rate

_TaxAndAccount = tuple[PikeTaxRate | None, int | None]


def draft_to_pike(draft: EconomicDraft, rates: TaxRules) -> PikeInvoice:
    """Return Pike's invoice of a draft. Its lines' rates follow from product group and the recipient's VAT zone."""
    zone = draft.recipient.vat_zone.vat_zone_number if draft.recipient.vat_zone else None

    def rule(line: InvoiceLine) -> _TaxAndAccount:
        number = line.product_number
        stated = line.booked_account
        return rates.tax_rate_for(number, zone), stated or rates.finance_account_for(number, zone)

    return _common(draft, draft.number, rule).model_copy(
        update={"document": "draft", "status": InvoiceStatus.DRAFT, "draft_number": draft.number}
    )


def booked_to_pike(booked: EconomicBooked, tax_codes: Mapping[int, str] | None = None) -> PikeInvoice:
    """Return Pike's invoice of a booked one. ``tax_codes``: account → VAT code, as ``TaxRules.codes_by_account``."""
    codes = tax_codes or {}

    def stated(line: InvoiceLine) -> _TaxAndAccount:
        account = line.booked_account
        code = codes.get(account) if account is not None else None
        return (None if line.vat_rate is None else tax_rate(line.vat_rate, code)), account

    return _common(booked, booked.number, stated).model_copy(
        update={
            "document": "booked",
            "status": _booked_status(booked),
            "booked_number": booked.number,
            "remainder": money.tidy_or_none(booked.remainder),
        }
    )


def title_of(invoice: EconomicInvoice, number: int) -> str:
    """Return the heading, else the first line of the first text, else ``Invoice <number>`` (R23)."""
    return texts.line(invoice.notes.heading) or texts.first_line(invoice.notes.text_line1) or f"Invoice {number}"


def in_order(lines: Sequence[InvoiceLine]) -> list[InvoiceLine]:
    """Return the lines as the document shows them. Numbers may repeat; then the given order decides."""
    return sorted(lines, key=lambda line: line.line_number if line.sort_key is None else line.sort_key)


def _booked_status(booked: EconomicBooked) -> InvoiceStatus:
    """Paid when nothing remains, credit notes included; an invoice over nothing has nothing to pay."""
    unpaid = booked.remainder if booked.gross_amount else Decimal(0)
    return InvoiceStatus.PAID if unpaid is not None and unpaid == 0 else InvoiceStatus.BOOKED


def _common(invoice: EconomicInvoice, number: int, tax: Callable[[InvoiceLine], _TaxAndAccount]) -> PikeInvoice:
    lines = None
    if invoice.lines is not None:
        lines = tuple(_line(position, line, tax) for position, line in enumerate(in_order(invoice.lines), start=1))
    return PikeInvoice(
        external_number=str(number),
        document="draft",
        title=title_of(invoice, number),
        status=InvoiceStatus.DRAFT,
        customer_number=str(invoice.customer.customer_number) if invoice.customer else None,
        issue_date=invoice.date,
        due_date=invoice.due_date,
        currency=invoice.currency,
        net_amount=money.tidy(invoice.net_amount),
        vat_amount=money.tidy(invoice.vat_amount),
        gross_amount=money.tidy(invoice.gross_amount),
        is_credit_note=(invoice.gross_amount or invoice.net_amount) < 0,
        reference=texts.line(invoice.references.other),
        recipient=_recipient(invoice.recipient),
        lines=lines,
    )


def _line(position: int, line: InvoiceLine, tax: Callable[[InvoiceLine], _TaxAndAccount]) -> PikeInvoiceLine:
    rate, account = tax(line)
    stated = line.total_net_amount
    return PikeInvoiceLine(
        position=position,
        description=texts.block(line.description),
        product_number=line.product_number,
        quantity=money.tidy_or_none(line.quantity),
        unit_price=money.tidy_or_none(line.unit_net_price),
        discount_percent=money.tidy_or_none(line.discount_percentage),
        net_amount=money.tidy(stated) if stated is not None else money.line_net(*_factors(line)),
        vat_amount=money.tidy_or_none(line.vat_amount),
        tax_rate=rate,
        finance_account=account,
    )


def _factors(line: InvoiceLine) -> tuple[Decimal | None, Decimal | None, Decimal | None]:
    return line.quantity, line.unit_net_price, line.discount_percentage


def _recipient(recipient: Recipient) -> Recipient:
    """The same address with clean texts: it becomes a customer when e-conomic no longer has one (R24)."""
    return recipient.model_copy(
        update={
            "name": texts.line(recipient.name) or "",
            "address": texts.block(recipient.address),
            "zip": texts.line(recipient.zip),
            "city": texts.line(recipient.city),
            "country": texts.line(recipient.country),
            "cvr": texts.line(recipient.cvr),
        }
    )
