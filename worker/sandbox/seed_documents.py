"""Seeded invoices: booked ones over two and a half years with credit notes and payments, and a few drafts."""

import random
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from worker.sandbox import names
from worker.sandbox.agreement import Agreement
from worker.sandbox.amounts import due_date, line_net, line_vat, round2, sum_document, to_base
from worker.sandbox.records import ZERO, Booked, Customer, Draft, Line, Product, Recipient, SeedSize
from worker.sandbox.seed_registers import DELETED_LAYOUT, OLD_TERMS

FIRST_BOOKED_NUMBER = 10_001
_SPAN_DAYS = 900


def seed_booked(
    agreement: Agreement, size: SeedSize, source: random.Random, today: date, gone: Customer | None
) -> None:
    """Add booked invoices in date order; ``gone`` is a deleted customer that a few of them name."""
    customers = list(agreement.customers)
    if not customers or not agreement.products:
        return
    for index in range(size.invoices):
        day = today - timedelta(days=_SPAN_DAYS - _SPAN_DAYS * index // max(size.invoices, 1))
        customer = gone if gone is not None and index % 37 == 5 else source.choice(customers)
        invoice = _booked(agreement, size, source, customer, index, day)
        _pay(invoice, index, today)
        agreement.put_booked(invoice)


def _booked(
    agreement: Agreement, size: SeedSize, source: random.Random, customer: Customer, index: int, day: date
) -> Booked:
    credit = index % 16 == 15
    recipient = recipient_of(agreement, customer)
    currency = agreement.currencies[customer.currency]
    terms = OLD_TERMS if index % 29 == 3 else agreement.terms[customer.terms]
    invoice = Booked(
        FIRST_BOOKED_NUMBER + index,
        day,
        currency.code,
        currency.rate + Decimal(source.randrange(-300, 300)) / 1000 if currency.code != "DKK" else currency.rate,
        terms,
        customer.number,
        recipient,
        DELETED_LAYOUT if index % 31 == 7 else 19,
        _lines(agreement, source, size.lines_per_invoice, index, recipient, credit=credit),
        due_date=due_date(terms, day),
        order_number=index + 1 if index % 3 else None,
    )
    invoice.heading = _heading(source, index, day) if index % 3 else None
    invoice.text1 = "Tak for ordren.\r\nVenlig hilsen\tÅse" if index % 8 == 4 else None
    invoice.other = f"Rekv. {source.randrange(1000, 9999)}/æ" if index % 6 == 1 else None
    invoice.contact = customer.contact
    invoice.sales_person = customer.sales_person
    sum_document(invoice, agreement.vat_rounding)
    return invoice


def _heading(source: random.Random, index: int, day: date) -> str:
    return source.choice(names.HEADINGS).format(month=names.MONTHS[day.month % 11], number=4000 + index)


def recipient_of(agreement: Agreement, customer: Customer) -> Recipient:
    """Return the address block that e-conomic copies from a customer."""
    return Recipient(
        customer.name,
        agreement.vat_zones[customer.vat_zone],
        customer.address,
        customer.zip,
        customer.city,
        customer.country,
        ean=customer.ean,
        cvr=customer.cvr,
        attention=customer.attention,
    )


def _lines(
    agreement: Agreement, source: random.Random, count: int, index: int, recipient: Recipient, *, credit: bool
) -> list[Line]:
    products = agreement.products.view("list", lambda: list(agreement.products))
    lines = [_line(agreement, source, number, source.choice(products), recipient) for number in range(1, count + 1)]
    if index % 10 == 2 and count > 1:
        lines[1] = Line(2, 2, "Linje uden vare:\n- aftalt pr. telefon\r\n- ø, æ og å", quantity=ZERO, unit_price=ZERO)
    if index % 23 == 4:
        for line in lines:
            line.number = 1  # user-made documents repeat line numbers
    if credit:
        for line in lines:
            _negate(line, by_price=index % 32 == 31)
    return lines


def _line(agreement: Agreement, source: random.Random, number: int, product: Product, recipient: Recipient) -> Line:
    account = agreement.sales_account(product, recipient.vat_zone.number)
    quantity = Decimal(source.randrange(1, 40) if number % 3 else source.randrange(25, 1600)) / (
        1 if number % 3 else 100
    )
    discount = Decimal(source.choice(("0.00", "0.00", "0.00", "10.00", "12.50")))
    net = line_net(quantity, product.sales_price, discount)
    rate = agreement.vat_rate(account)
    return Line(
        number,
        number,
        product.name,
        product.number,
        agreement.units.get(product.unit) if product.unit else None,
        round2(quantity),
        product.sales_price,
        discount,
        product.cost_price,
        net,
        rate,
        line_vat(net, rate),
        account.number if account else 1050,
    )


def _negate(line: Line, *, by_price: bool) -> None:
    if by_price and line.unit_price is not None:
        line.unit_price = -line.unit_price
    elif line.quantity is not None:
        line.quantity = -line.quantity
    line.net, line.vat = -line.net, -line.vat


def _pay(invoice: Booked, index: int, today: date) -> None:
    if invoice.date < today - timedelta(days=60) and index % 12:
        invoice.remainder = ZERO
    elif index % 5 == 1:
        invoice.remainder = round2(invoice.gross / 2)
    elif index % 24 == 0:
        invoice.remainder = Decimal("-10.00")  # overpaid
    invoice.remainder_base = to_base(invoice.remainder, invoice.rate)


def seed_drafts(agreement: Agreement, size: SeedSize, source: random.Random, today: date) -> None:
    """Add drafts; the last one has no lines, as drafts being typed have."""
    customers = [customer for customer in agreement.customers if not customer.barred]
    for index in range(size.drafts if customers and agreement.products else 0):
        customer = source.choice(customers)
        recipient = recipient_of(agreement, customer)
        currency, terms = agreement.currencies[customer.currency], agreement.terms[customer.terms]
        day = today - timedelta(days=index % 5)
        empty = index > 0 and index == size.drafts - 1
        lines = [] if empty else _lines(agreement, source, size.lines_per_invoice, index, recipient, credit=False)
        # The day before: whatever the hour, nothing here was changed after "now".
        stamp = datetime.combine(day - timedelta(days=1), time(8 + index % 9, source.randrange(60)), UTC)
        draft = Draft(
            size.invoices + index + 1,
            day,
            currency.code,
            currency.rate,
            terms,
            customer.number,
            recipient,
            19,
            lines,
            due_date=due_date(terms, day),
            document_id=agreement.free_document_id(),
            last_updated=stamp,
        )
        draft.heading = _heading(source, index, day) if index % 2 else None
        sum_document(draft, agreement.vat_rounding)
        agreement.insert_draft(draft)
    agreement.next_draft_number = size.invoices + size.drafts + 1
