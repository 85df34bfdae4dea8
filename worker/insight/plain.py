"""How values become JSON for people's programs, the same on the command line and over HTTP."""

from datetime import date, datetime
from decimal import Decimal


def plain(value: object) -> object:
    """Turn a value into what JSON can say: decimals as strings, times in RFC 3339."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime | date):
        return value.isoformat().replace("+00:00", "Z")
    return str(value)
