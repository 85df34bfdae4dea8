"""Small values shared by both sides: amounts, currencies, references by number."""

from decimal import Decimal
from typing import Annotated

from pydantic import Field, PlainSerializer, StringConstraints, WithJsonSchema

_LIMIT = Decimal(10) ** 18
"""No amount is larger: more digits are never money and would only burn memory."""

MAX_SCALE = 30
"""Digits after the decimal point: vendors' rates have up to 17; "1E-999999999" would fill memory when written out."""


def _as_text(value: Decimal) -> str:
    return format(value, "f")


Amount = Annotated[
    Decimal,
    Field(allow_inf_nan=False, gt=-_LIMIT, lt=_LIMIT, decimal_places=MAX_SCALE),
    PlainSerializer(_as_text, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": rf"^-?[0-9]{{1,18}}(\.[0-9]{{1,{MAX_SCALE}}})?$"}),
]
"""A decimal amount, quantity, price or rate. Serialised to JSON as a string, so no reader loses an øre.

All checks are pydantic's own, in Rust: a page of a thousand invoices has tens of thousands of amounts. JSON numbers
arrive by their shortest decimal text, which is exact up to 15 digits; strings arrive exactly as written.
"""

Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
"""ISO 4217 code, upper case."""

PositiveInt = Annotated[int, Field(ge=1, le=2_147_483_647)]

ProductNumber = Annotated[str, StringConstraints(min_length=1, max_length=25, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""A product's number: a text of at most 25 characters (restapi.e-conomic.com/schema, products)."""
