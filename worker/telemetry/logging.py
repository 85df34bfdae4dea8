"""structlog set-up: JSON in production, readable on a terminal, secrets removed in one place.

Log names and keys are an interface: event name first, facts as keys.
"""

import logging
import re
import sys
from collections.abc import Iterable, MutableMapping
from typing import Any

import structlog

_REDACTED = "[redacted]"
_SECRET_KEY = re.compile(r"token|secret|password|authorization|encryption_key", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]*://[^\s:/@]+:)[^\s@/]+@", re.IGNORECASE)


class Redactor:
    """Removes secrets from log records: by key name, by URL password, and by known values."""

    def __init__(self) -> None:
        self._values: set[str] = set()

    def learn(self, values: Iterable[str]) -> None:
        """Remember values that must never be printed, whatever key they stand under."""
        self._values.update(value for value in values if len(value) >= 8)

    def text(self, text: str) -> str:
        """Return the text without URL passwords and known secrets."""
        text = _URL_PASSWORD.sub(rf"\g<scheme>{_REDACTED}@", text)
        for value in self._values:
            if value in text:
                text = text.replace(value, _REDACTED)
        return text

    def __call__(self, _logger: Any, _method: str, record: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Act as a structlog processor."""
        return {key: self._clean(key, value) for key, value in record.items()}

    def _clean(self, key: str, value: Any) -> Any:
        if _SECRET_KEY.search(key) and key != "event":
            return _REDACTED
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {name: self._clean(str(name), item) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._clean("", item) for item in value]
        return value


REDACTOR = Redactor()
"""The process's redactor; settings teach it their secrets."""


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
