"""Money and dates of documents: line totals, VAT, due dates. Half a unit is rounded up, away from zero.

Recorded from live agreements: 3 x 153.44 less 10 % is 414.29; net 460.29 at 25 % has VAT 115.07; 9.98 has 2.50.
"""

import calendar
from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

from worker.sandbox.lookups import Terms
from worker.sandbox.records import ZERO, Booked, Draft, Line

VatRounding = Literal["line", "invoice"]
_CENT = Decimal("0.01")
_HUNDRED = Decimal(100)


def round2(value: Decimal) -> Decimal:
    """Round to two decimals, half away from zero."""
    return value.quantize(_CENT, ROUND_HALF_UP)


def line_net(quantity: Decimal, unit_price: Decimal, discount: Decimal) -> Decimal:
    """Return the line's total before VAT."""
    return round2(quantity * unit_price * (_HUNDRED - discount) / _HUNDRED)


def line_vat(net: Decimal, rate: Decimal) -> Decimal:
    """Return a line's VAT at ``rate`` percent."""
    return round2(net * rate / _HUNDRED)


def vat_total(lines: Iterable[Line], rounding: VatRounding) -> Decimal:
    """Return a document's VAT: the sum of the rounded lines, or rounded once per rate on the whole invoice.

    Which of the two the service does is not established; the sandbox has a switch.
    """
    if rounding == "line":
        return sum((line.vat for line in lines), ZERO)
    nets: dict[Decimal, Decimal] = defaultdict(lambda: ZERO)
    for line in lines:
        nets[line.vat_rate] += line.net
    return sum((line_vat(net, rate) for rate, net in nets.items()), ZERO)


def to_base(amount: Decimal, rate: Decimal) -> Decimal:
    """Convert with an exchange rate that is the base price of 100 units."""
    return round2(amount * rate / _HUNDRED)


def due_date(terms: Terms, day: date) -> date | None:
    """Return when an invoice of that day is due; None for terms of type ``dueDate``, which need a given date."""
    days = timedelta(days=terms.days or 0)
    match terms.type:
        case "dueDate":
            return None
        case "net" | "factoring":
            return day + days
        case "invoiceMonth":
            return day.replace(day=calendar.monthrange(day.year, day.month)[1]) + days
        case "invoiceWeekStartingMonday":
            return day + timedelta(days=6 - day.weekday()) + days
        case "invoiceWeekStartingSunday":
            return day + timedelta(days=(5 - day.weekday()) % 7) + days
        case _:
            return day


def sum_document(document: Booked | Draft, rounding: VatRounding) -> None:
    """Set the totals of a document from its lines; a booked one becomes wholly unpaid."""
    document.net = sum((line.net for line in document.lines), ZERO)
    document.vat = vat_total(document.lines, rounding)
    document.gross = document.net + document.vat
    document.net_base = to_base(document.net, document.rate)
    document.gross_base = to_base(document.gross, document.rate)
    if isinstance(document, Booked):
        document.remainder, document.remainder_base = document.gross, document.gross_base
    else:
        document.cost_base = sum((round2(line.cost * (line.quantity or ZERO)) for line in document.lines), ZERO)
