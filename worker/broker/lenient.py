"""Reading properties that other clients wrote carelessly, without losing the connection over it.

AMQP calls short strings UTF-8 and timestamps seconds, but the broker passes on any bytes. pamqp raises on them
inside aiormq's frame reader, which hangs up; the message is redelivered and hangs up again, for us and for every
other worker, until its delivery limit takes it *and its neighbours* to the dead queue, which then cannot be read.
"""

from collections.abc import Callable
from typing import Any

from pamqp import decode

Decoder = Callable[[bytes], tuple[int, Any]]


def tolerate_foreign_properties() -> None:
    """Make pamqp's decoders total, for the whole process. Idempotent.

    Bytes that are not UTF-8 become the replacement character, an impossible time becomes none, and a header
    table that cannot be read becomes an empty one. Well-formed input decodes as before.
    """
    for table, key, fallback in (
        (decode.METHODS, "shortstr", _short_string),
        (decode.METHODS, "timestamp", _timestamp),
        (decode.METHODS, "table", _table),
        (decode.TABLE_MAPPING, b"T", _timestamp),
    ):
        decoder = table[key]  # type: ignore[index]
        if not hasattr(decoder, "falls_back"):
            table[key] = _total(decoder, fallback)  # type: ignore[index]


def _total(decoder: Decoder, fallback: Decoder) -> Decoder:
    def decode_or_fall_back(value: bytes) -> tuple[int, Any]:
        try:
            return decoder(value)
        except (ValueError, OverflowError, OSError, RecursionError):
            return fallback(value)

    decode_or_fall_back.falls_back = True  # type: ignore[attr-defined]
    return decode_or_fall_back


def _short_string(value: bytes) -> tuple[int, str]:
    length = value[0]
    return length + 1, value[1 : length + 1].decode("utf-8", "replace")


def _timestamp(_value: bytes) -> tuple[int, None]:
    return 8, None


def _table(value: bytes) -> tuple[int, dict[str, Any]]:
    return 4 + int.from_bytes(value[:4], "big"), {}
