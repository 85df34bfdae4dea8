"""Amounts to the øre: rounding as e-conomic does it, and how many decimals a value really has."""

from decimal import ROUND_HALF_UP, Decimal, localcontext
from functools import lru_cache

_CENT = Decimal("0.01")
_PRECISION = 120
"""Digits to calculate with: enough for the product of any three ``Amount`` values without rounding in between."""


def round2(value: Decimal) -> Decimal:
    """Round to two decimals, half away from zero, which is what e-conomic's own totals show (2.495 → 2.50)."""
    with localcontext(prec=_PRECISION):
        return value.quantize(_CENT, rounding=ROUND_HALF_UP) + 0  # no negative zero


@lru_cache(maxsize=4096)
def tidy(value: Decimal) -> Decimal:
    """Write an amount with two decimals, or more where it has more; the value stays exactly the same.

    e-conomic writes ``1.380000`` in drafts and ``1.38`` in booked invoices.
    """
    with localcontext(prec=_PRECISION):
        cents = value.quantize(_CENT, rounding=ROUND_HALF_UP)
        if cents == value:
            return cents + 0  # no negative zero
        return value.normalize()


def tidy_or_none(value: Decimal | None) -> Decimal | None:
    """The same for a value that may be missing."""
    return None if value is None else tidy(value)


def decimals_of(value: Decimal) -> int:
    """Return how many decimals are needed to write the value exactly."""
    with localcontext(prec=_PRECISION):
        exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def exact_net(quantity: Decimal | None, unit_price: Decimal | None, discount_percent: Decimal | None) -> Decimal:
    """Return quantity x price less discount, not rounded; a missing number counts as nothing."""
    with localcontext(prec=_PRECISION):
        kept = 1 - (discount_percent or Decimal(0)) / 100
        return (quantity or Decimal(0)) * (unit_price or Decimal(0)) * kept


def line_net(quantity: Decimal | None, unit_price: Decimal | None, discount_percent: Decimal | None) -> Decimal:
    """Return a line's net amount, rounded once at the end: 3 x 153.44 less 10 % is 414.29."""
    return round2(exact_net(quantity, unit_price, discount_percent))


def total(amounts: list[Decimal]) -> Decimal:
    """Add up amounts exactly."""
    with localcontext(prec=_PRECISION):
        return tidy(sum(amounts, Decimal(0)))
