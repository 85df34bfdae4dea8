"""The exact bytes that are sent to e-conomic: absent instead of null, amounts as JSON numbers, digit for digit."""

import datetime as dt
import json
from decimal import Decimal

from schemas.base import EconomicOut


def to_json(document: EconomicOut) -> bytes:
    """Encode a document for e-conomic. The same document always gives the same bytes: they are kept and sent again."""
    return _encode(document.model_dump(mode="python", by_alias=True, exclude_none=True)).encode()


def _encode(value: object) -> str:
    """JSON with decimals written as numbers; the standard encoder would go through binary floats."""
    match value:
        case dict():
            return "{" + ",".join(f"{json.dumps(key)}:{_encode(item)}" for key, item in value.items()) + "}"
        case list() | tuple():
            return "[" + ",".join(_encode(item) for item in value) + "]"
        case Decimal():
            return format(value, "f")
        case dt.date():
            return json.dumps(value.isoformat())
        case _:
            return json.dumps(value, ensure_ascii=False)
