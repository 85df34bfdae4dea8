"""structlog set-up: JSON in production, readable on a terminal; secrets removed by ``redaction``, long values cut.

Log names and keys are an interface: event name first, facts as keys. What comes from outside (ids, e-conomic's texts)
may be of any length and hold any character: no line grows without bounds, and no value can pretend to be a line.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from worker.telemetry.redaction import REDACTOR

MAX_TEXT = 2_000
"""Characters of a value; more are cut, and the line says how many there were."""
MAX_TRACEBACK = 16_000
"""Characters of a traceback; its end says what happened, so it is cut in front."""
MAX_ITEMS = 50
MAX_DEPTH = 4
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROL_BUT_LINES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


def cut(_logger: Any, _method: str, record: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Bound every value of a record; a structlog processor, to be used after redaction (half a secret is one too)."""
    exception = record.get("exception")
    if isinstance(exception, str) and len(exception) > MAX_TRACEBACK:
        record["exception"] = f"[{len(exception)} characters, cut] … {exception[-MAX_TRACEBACK:]}"
    return {
        key[:100]: value if key in ("exception", "exc_info") else _cut(value, MAX_DEPTH)
        for key, value in record.items()
    }


def _cut(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth and isinstance(value, dict):
        kept = {str(key)[:100]: _cut(item, depth - 1) for key, item in list(value.items())[:MAX_ITEMS]}
        return kept | ({"…": f"{len(value)} in all"} if len(value) > MAX_ITEMS else {})
    if depth and isinstance(value, list):
        kept_items = [_cut(item, depth - 1) for item in value[:MAX_ITEMS]]
        return kept_items + ([f"… {len(value)} in all"] if len(value) > MAX_ITEMS else [])
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}… [{len(text)} characters]"


def on_one_line(_logger: Any, _method: str, record: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Write control characters as ``\\x1b``: on a terminal they could move the cursor or begin a line of their own."""

    def shown(pattern: re.Pattern[str], value: Any) -> Any:
        text = str(value) if isinstance(value, dict | list) else value
        return pattern.sub(lambda m: m[0].encode("unicode_escape").decode(), text) if isinstance(text, str) else text

    return {key: shown(_CONTROL_BUT_LINES if key == "exception" else _CONTROL, value) for key, value in record.items()}


def settle() -> None:
    """Make each logger once, at its first use: a process that works for long configures nothing anew."""
    structlog.configure(cache_logger_on_first_use=True)


def configure(*, level: str = "INFO", json: bool | None = None) -> None:
    """Send structlog and the standard library's logging to stderr in one format.

    ``json`` defaults to "not a terminal". Answers of commands go to stdout and are not mixed with logs.
    """
    as_json = not sys.stderr.isatty() if json is None else json
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        REDACTOR,
        cut,
        *(() if as_json else (on_one_line,)),
    ]
    renderer: Any = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # aiormq and aio-pika log every reconnect attempt with a traceback; the broker adapter reports them itself
    for name in ("aiormq", "aio_pika", "asyncio", "aiohttp.access"):
        logging.getLogger(name).setLevel("CRITICAL" if name.startswith("aio") else level)
