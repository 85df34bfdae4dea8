"""JSON text with exact decimals: the vendor writes amounts as JSON numbers that keep trailing zeros.

``json`` cannot write a Decimal as a number, so one travels as a marked string and is unwrapped afterwards.
"""

import json
import re
from decimal import Decimal
from typing import Any

_MARK = "\x01n:"
_MARKED = re.compile(rb'"\\u0001n:([-0-9.]+)"')


class NotJson(ValueError):
    """The text is no JSON document."""


def _plain(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{_MARK}{value:f}"
    raise TypeError(f"not a JSON value: {type(value).__name__}")


def dumps(value: object) -> bytes:
    """Return UTF-8 JSON; every Decimal becomes a number with exactly its own digits."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain)
    return _MARKED.sub(rb"\1", text.encode("utf-8", "replace"))


def _no_constant(name: str) -> object:
    raise NotJson(name)


def loads(text: bytes) -> Any:
    """Read JSON with every fraction as Decimal. Raises ``NotJson``."""
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError) as exc:
        raise NotJson(str(exc)[:200]) from exc
