"""How values are written for people, the same on every page: times, durations, counts, money."""

from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal

NOTHING = "–"


def moment(value: datetime | None) -> str:
    """Write a time to the second, in UTC."""
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if value else NOTHING


def day(value: date | None) -> str:
    """Write a date."""
    return f"{value:%Y-%m-%d}" if value else NOTHING


def span(seconds: float | Decimal | None) -> str:
    """Write a duration in seconds as somebody would say it: "1.4 s", "12 min", "3 h", "5 days"."""
    if seconds is None:
        return NOTHING
    value = float(seconds)
    if value < 10:
        return f"{value:.1f} s" if value % 1 else f"{value:.0f} s"
    for bound, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if value < bound:
            return f"{value / unit:.0f} {name}"
    return f"{value / 86_400:.0f} days"


def count(value: float | Decimal | None) -> str:
    """Write a number with its thousands apart."""
    if value is None:
        return NOTHING
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}".removesuffix(".0")


def money(value: Decimal | None, currency: str | None = None) -> str:
    """Write an amount with two decimals and its thousands apart; the currency follows."""
    if value is None:
        return NOTHING
    amount = f"{value.quantize(Decimal('0.01'), ROUND_HALF_UP):,}"
    return f"{amount} {currency}" if currency else amount


def share(value: float | Decimal | None) -> str:
    """Write a share of one as a percentage."""
    return f"{float(value):.0%}" if value is not None else NOTHING


def plural(number: int, one: str, many: str = "") -> str:
    """Write a number with its noun: "1 event", "2,000 events"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


FILTERS = {
    "moment": moment,
    "day": day,
    "span": span,
    "count": count,
    "money": money,
    "share": share,
    "plural": plural,
}
