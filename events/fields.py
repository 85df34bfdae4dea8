"""Field types that several events share: entities, plain dates, plain JSON values and one changed field."""

import datetime as dt
import re
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, StringConstraints

from schemas.base import Strict
from schemas.kinds import Entity, ImportEntity
from schemas.values import MAX_SCALE, Amount

GROWS = Field(json_schema_extra={"x-extensible-enum": True})
"""Marks a set of values of which later versions may have more."""

AnyImportEntity = Annotated[ImportEntity, GROWS]
"""A kind of records as answers name it. Readers are told that the set grows: they leave alone what they do not know."""

AnyEntity = Annotated[Entity, GROWS]
"""Kind of one record in an answer; the set grows likewise."""

Count = Annotated[int, Field(ge=0)]

ImportId = Annotated[str, StringConstraints(min_length=1, max_length=200)]
"""Id of an import, which is the id of the event that requested it."""

Person = Annotated[str, StringConstraints(max_length=200)]
"""Who asked for it, as Pike names the person; shown, never interpreted."""

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _only_plain_date(value: object) -> object:
    """Refuse times and numbers: turning them into a date would need a time zone that nobody stated."""
    if type(value) is dt.date or (isinstance(value, str) and _DATE.fullmatch(value)):
        return value
    raise ValueError("must be a date written YYYY-MM-DD")


PlainDate = Annotated[dt.date, BeforeValidator(_only_plain_date)]
"""A calendar date, ``YYYY-MM-DD`` and nothing else: no time, no zone, so nothing can shift it."""


def _short(value: Decimal) -> Decimal:
    """Refuse "0E-999999999": pydantic takes it for a plain nought, written out it fills a gigabyte."""
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and abs(exponent) > MAX_SCALE:
        raise ValueError(f"must have at most {MAX_SCALE} decimals")
    return value


AmountIn = Annotated[Amount, AfterValidator(_short)]
"""An amount from a stranger: as ``Amount``, and bounded in its length as well as in its size."""


def plain_json(value: object) -> object:
    """Turn a value into JSON's own types: decimals and floats become decimal texts, dates and ids texts."""
    if isinstance(value, dict):
        return {str(key): plain_json(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(entry) for entry in value]
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, dt.date):
        return value.isoformat()
    return str(value) if isinstance(value, float | UUID) else value


PlainJson = Annotated[JsonValue, BeforeValidator(plain_json)]
"""Any JSON value without binary floats; amounts are decimal texts."""


class FieldChange(Strict):
    """One field of a record before and after."""

    field: str
    old: PlainJson = None
    new: PlainJson = None
