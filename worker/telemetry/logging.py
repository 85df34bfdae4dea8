"""structlog set-up: JSON in production, readable on a terminal; secrets are removed by ``redaction``.

Log names and keys are an interface: event name first, facts as keys.
"""

import logging
import sys
from typing import Any

import structlog

from worker.telemetry.redaction import REDACTOR


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
