"""What is looked at before an invoice is sent: lengths, dates, decimals, products, the customer's state.

The limits are the API's (published JSON schema of invoices.drafts, restapi.e-conomic.com/schema).
"""

import re
from decimal import Decimal

from schemas.customer import EconomicCustomer
from schemas.invoice import RequestedInvoice, RequestedLine
from schemas.problem import Cause
from worker.mapping import money, texts
from worker.mapping.checks import Findings

TITLE_LIMIT = 250
DESCRIPTION_LIMIT = 2500
PRODUCT_NUMBER_LIMIT = 25

_RECIPIENT_LIMITS = {"name": 250, "address": 250, "zip": 50, "city": 250, "country": 50}
_CURRENCY = re.compile(r"[A-Z]{3}")


def is_text_line(line: RequestedLine) -> bool:
    """Say whether a line is sent as text only: no product and no amount."""
    return line.product_id is None and line.product_number is None and not line.quantity * line.unit_price


def recipient_name(customer: EconomicCustomer) -> str:
    """Return the name for the invoice; e-conomic requires one."""
    return texts.line(customer.name) or f"Customer {customer.customer_number}"


def check_header(findings: Findings, invoice: RequestedInvoice, customer: EconomicCustomer) -> None:
    """Note what is wrong with the invoice itself and its customer."""
    findings.check_length(texts.line(invoice.title), TITLE_LIMIT, "The invoice's title", "title")
    if not invoice.lines:
        findings.add(Cause.LINE_INCOMPLETE, "The invoice has no lines.", "Add a line.", "lines")
    if not _CURRENCY.fullmatch(invoice.currency):
        findings.add(
            Cause.CURRENCY_UNUSABLE,
            "The invoice's currency is not a code of three letters.",
            'Choose a currency such as "DKK".',
            "currency",
        )
    if invoice.due_date is not None and invoice.due_date < invoice.issue_date:
        findings.add(
            Cause.INVALID_DATES,
            f"The due date {invoice.due_date} is before the invoice's date {invoice.issue_date}.",
            "Correct one of the two dates.",
            "due_date",
        )
    _check_customer(findings, customer)


def _check_customer(findings: Findings, customer: EconomicCustomer) -> None:
    who = f"Customer {customer.customer_number} ({recipient_name(customer)[:80]})"
    if customer.barred:
        findings.add(
            Cause.CUSTOMER_BARRED,
            f"{who} is barred in e-conomic.",
            "Open the customer in e-conomic, or choose another customer for the invoice.",
            "customer_id",
        )
    if customer.vat_zone is None or customer.vat_zone.vat_zone_number < 1:
        findings.add(
            Cause.VAT_ZONE_UNUSABLE,
            f"{who} has no VAT zone in e-conomic, so its VAT cannot be computed.",
            "Set the customer's VAT zone in e-conomic and send the invoice again.",
            "customer_id",
        )
    values = {
        "name": recipient_name(customer),
        "address": texts.block(customer.address),
        "zip": texts.line(customer.zip),
        "city": texts.line(customer.city),
        "country": texts.line(customer.country),
    }
    for name, limit in _RECIPIENT_LIMITS.items():
        findings.check_length(values[name], limit, f"On an invoice, the {name} of {who}", f"customer.{name}")


def check_line(findings: Findings, number: int, line: RequestedLine) -> None:
    """Note what is wrong with line ``number``, counted from 1."""
    path = f"lines[{number - 1}]"
    description = texts.block(line.description)
    findings.check_length(description, DESCRIPTION_LIMIT, f"Line {number}: the description", f"{path}.description")
    if description is None:
        findings.add(
            Cause.LINE_INCOMPLETE,
            f"Line {number} has no description.",
            "Write a description, or remove the line.",
            f"{path}.description",
        )
    _check_product(findings, number, line)
    _check_decimals(findings, number, line)
    if line.discount_percent is not None and not 0 <= line.discount_percent <= 100:
        findings.add(
            Cause.INVALID_AMOUNTS,
            f"Line {number} has a discount of {line.discount_percent:f} %.",
            "Set a discount between 0 and 100 %.",
            f"{path}.discount_percent",
        )


def _check_product(findings: Findings, number: int, line: RequestedLine) -> None:
    path = f"lines[{number - 1}]"
    findings.check_length(
        line.product_number, PRODUCT_NUMBER_LIMIT, f"Line {number}: the product number", f"{path}.product_id"
    )
    if line.product_number is not None or is_text_line(line):
        return
    if line.product_id is None:
        findings.add(
            Cause.LINE_INCOMPLETE,
            f"Line {number} has an amount but no product; e-conomic takes amounts only with a product.",
            "Choose a product for the line, or remove its amount to send it as text.",
            f"{path}.product_id",
        )
    else:
        findings.add(
            Cause.PRODUCT_NOT_LINKED,
            f"Line {number} has a product that is not in e-conomic.",
            "Choose a product that came from e-conomic, or create it there and import products.",
            f"{path}.product_id",
        )


def _check_decimals(findings: Findings, number: int, line: RequestedLine) -> None:
    """Note numbers of more than two decimals, with the effect that rounding would have (F8)."""
    if is_text_line(line):
        return
    labels = {"quantity": "quantity", "unit_price": "unit price", "discount_percent": "discount"}
    values: dict[str, Decimal | None] = {name: getattr(line, name) for name in labels}
    long = {name: value for name, value in values.items() if value is not None and money.decimals_of(value) > 2}
    if not long:
        return
    rounded = {name: None if value is None else money.round2(value) for name, value in values.items()}
    before = money.line_net(line.quantity, line.unit_price, line.discount_percent)
    after = money.line_net(rounded["quantity"], rounded["unit_price"], rounded["discount_percent"])
    for name, value in long.items():
        findings.add(
            Cause.TOO_MANY_DECIMALS,
            f"Line {number}: the {labels[name]} {value.normalize():f} has {money.decimals_of(value)} decimals; "
            f"e-conomic takes 2. Rounded, the line comes to {after} instead of {before}.",
            "Write the number with two decimals.",
            f"lines[{number - 1}].{name}",
        )
