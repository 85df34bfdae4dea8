"""An invoice made in Pike on its way to e-conomic: checked here, in plain words, before anything is sent.

e-conomic computes every amount itself from the lines and ignores totals that are sent, so the totals expected here
exist only to be compared with what it stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from schemas.customer import EconomicCustomer
from schemas.draft_out import DraftLineOut, DraftOut
from schemas.invoice import RequestedInvoice, RequestedLine
from schemas.problem import Cause
from worker.mapping import money, texts
from worker.mapping.checks import Findings
from worker.mapping.push_checks import check_header, check_line, is_text_line, recipient_name

DUE_DATE_TERMS = "dueDate"
"""The one type of payment terms with which e-conomic takes a due date, and then requires it (E04042)."""


@dataclass(frozen=True, slots=True)
class InvoiceDefaults:
    """What e-conomic requires of a draft where the customer itself has nothing; chosen per connection.

    ``payment_terms_type`` belongs to ``payment_terms_number`` and is never sent.
    """

    layout_number: int
    payment_terms_number: int
    payment_terms_type: str | None = None


@dataclass(frozen=True, slots=True)
class ExpectedTotals:
    """Net per line, in the order of the lines, and in all; what e-conomic should come to."""

    lines: tuple[Decimal, ...]
    net: Decimal


def to_economic(
    invoice: RequestedInvoice, customer: EconomicCustomer, defaults: InvoiceDefaults, reference: str
) -> DraftOut:
    """Return the body that creates the draft, lines included. Raises ``Refused`` naming every line that is wrong.

    A line without a product and without an amount is a text line. No line is left out and no text is cut.
    """
    findings = Findings()
    check_header(findings, invoice, customer)
    for number, line in enumerate(invoice.lines, start=1):
        check_line(findings, number, line)
    terms_number, terms_type = _terms(customer, defaults)
    if terms_type == DUE_DATE_TERMS and invoice.due_date is None:
        findings.add(
            Cause.INVALID_DATES,
            "The customer's payment terms need a due date, and the invoice has none.",
            "Set a due date on the invoice.",
            "due_date",
        )
    findings.raise_if_any()
    title = texts.line(invoice.title)
    layout = customer.layout.layout_number if customer.layout else defaults.layout_number
    return DraftOut(
        date=invoice.issue_date,
        due_date=invoice.due_date,
        currency=invoice.currency,
        payment_terms=DraftOut.Terms(payment_terms_number=terms_number),
        customer=DraftOut.Customer(customer_number=customer.customer_number),
        recipient=_recipient(customer),
        layout=DraftOut.Layout(layout_number=layout),
        references=DraftOut.References(other=reference),
        notes=DraftOut.Notes(heading=title) if title else None,
        lines=tuple(_line(number, line) for number, line in enumerate(invoice.lines, start=1)),
    )


MARKER = "Pike "
"""How the reference of every invoice that Pike made begins."""


def reference_for(agreement_number: int, invoice_id: UUID) -> str:  # noqa: ARG001
    """Return the marker for ``references.other``: always the same for one invoice, found again by equality (B1).

    It is printed on the invoice, so it is short. The agreement is not in it: the look-up is made within one.
    """
    return f"{MARKER}{invoice_id}"


def expected_totals(lines: Sequence[RequestedLine]) -> ExpectedTotals:
    """Return what e-conomic should compute: each line rounded once, half away from zero, then added."""
    nets = [
        Decimal("0.00") if is_text_line(line) else money.line_net(line.quantity, line.unit_price, line.discount_percent)
        for line in lines
    ]
    return ExpectedTotals(tuple(nets), money.total(nets))


def _terms(customer: EconomicCustomer, defaults: InvoiceDefaults) -> tuple[int, str | None]:
    """The customer's own terms, else the connection's; e-conomic refuses a number of 0."""
    own = customer.payment_terms
    if own is not None and own.payment_terms_number > 0:
        same = own.payment_terms_number == defaults.payment_terms_number
        return own.payment_terms_number, own.payment_terms_type or (defaults.payment_terms_type if same else None)
    return defaults.payment_terms_number, defaults.payment_terms_type


def _recipient(customer: EconomicCustomer) -> DraftOut.Recipient:
    zone = customer.vat_zone
    return DraftOut.Recipient(
        name=recipient_name(customer),
        vat_zone=DraftOut.Recipient.Zone(vat_zone_number=zone.vat_zone_number if zone else 0),
        address=texts.block(customer.address),
        zip=texts.line(customer.zip),
        city=texts.line(customer.city),
        country=texts.line(customer.country),
    )


def _line(number: int, line: RequestedLine) -> DraftLineOut:
    description = texts.block(line.description) or ""
    if is_text_line(line):
        # e-conomic takes quantity and price only beside a product.
        return DraftLineOut(line_number=number, description=description)
    return DraftLineOut(
        line_number=number,
        description=description,
        product=DraftLineOut.Product(product_number=line.product_number or ""),
        quantity=money.tidy(line.quantity),
        unit_net_price=money.tidy(line.unit_price),
        discount_percentage=money.tidy(line.discount_percent) if line.discount_percent else None,
    )
