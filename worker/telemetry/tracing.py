"""Spans by OpenTelemetry, from a publisher's event to the answer to it (W3C Trace Context). Off unless switched on.

One trace per request: every try is a span under the publisher's, and links to the try before it. An event without a
trace gets one that all its deliveries agree on. While off nothing is made and OpenTelemetry is not even imported.
"""

import hashlib
from collections.abc import Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Literal

from worker.errors import SettingsError
from worker.telemetry.logging import MAX_TEXT
from worker.telemetry.redaction import REDACTOR
from worker.version import version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Link, Span, Tracer

PARENT_HEADER = "traceparent"
"""AMQP header of what we publish; read where an event itself carries no context."""
TRY_HEADER = "pike-economic-try"
"""AMQP header of a copy that comes again: the span of the try before."""

Kind = Literal["consumer", "producer", "client", "internal"]

_tracer: "Tracer | None" = None
OFF: AbstractContextManager[None] = nullcontext()
"""The span that is not made."""


def context_of(traceparent: str | None, source: str, event_id: str) -> str:
    """Return the traceparent under which an event's tries stand: its own, or one that they all agree on."""
    if traceparent:
        return traceparent
    digest = hashlib.sha256(f"{source}\x1f{event_id}".encode()).hexdigest()
    return f"00-{digest[:32]}-{digest[32:48]}-01"


def switch_on(provider: "TracerProvider") -> None:
    """Make spans from now on."""
    global _tracer  # noqa: PLW0603  # one switch per process, like the logger's
    _tracer = provider.get_tracer("pike-economic")


def is_on() -> bool:
    """Whether spans are made."""
    return _tracer is not None


def switch_off() -> None:
    """Make no more spans."""
    global _tracer  # noqa: PLW0603
    _tracer = None


def span(
    name: str,
    kind: Kind = "internal",
    *,
    parent: str | None = None,
    link: str | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> "AbstractContextManager[Span | None]":
    """Make a span for the block, under ``parent`` (a traceparent) or the one around it; ``None`` while off."""
    return OFF if _tracer is None else _spanning(_tracer, name, kind, parent, link, attributes)


def begin(name: str, kind: Kind, parent: str | None, attributes: Mapping[str, Any]) -> "Span | None":
    """Begin a span that ends elsewhere (``end``); ``None`` while off."""
    if _tracer is None:
        return None
    return _tracer.start_span(name, _context(parent), _kind(kind), dict(attributes))


def end(begun: "Span | None", error: BaseException | None = None) -> None:
    """End a span that ``begin`` made."""
    if begun is not None:
        failed(begun, error)
        begun.end()


def current() -> str | None:
    """Return the traceparent of the span around us; ``None`` while off."""
    if _tracer is None:
        return None
    from opentelemetry import trace  # late: not imported while off

    return traceparent_of(trace.get_current_span())


def traceparent_of(made: "Span | None") -> str | None:
    """Return a span's traceparent."""
    if made is None or not made.get_span_context().is_valid:
        return None
    context = made.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def failed(made: "Span", error: BaseException | str | None) -> None:
    """Mark a span as failed. The text goes through the logs' redactor; tracebacks stay in the logs."""
    if error is None:
        return
    from opentelemetry.trace import Status, StatusCode  # late: not imported while off

    made.set_status(Status(StatusCode.ERROR, REDACTOR.text(str(error))[:MAX_TEXT]))
    if isinstance(error, BaseException):
        made.set_attribute("error.type", type(error).__name__)


@contextmanager
def _spanning(
    tracer: "Tracer",
    name: str,
    kind: Kind,
    parent: str | None,
    link: str | None,
    attributes: Mapping[str, Any] | None,
) -> "Iterator[Span]":
    with tracer.start_as_current_span(
        name,
        _context(parent),
        _kind(kind),
        dict(attributes or {}),
        _links(link),
        record_exception=False,  # a traceback may hold what the redactor has not seen
        set_status_on_exception=False,
    ) as made:
        try:
            yield made
        except BaseException as exc:
            failed(made, exc)
            raise


def _context(traceparent: str | None) -> "Context | None":
    if traceparent is None:
        return None
    from opentelemetry import trace  # late: not imported while off

    return trace.set_span_in_context(trace.NonRecordingSpan(_parsed(traceparent)))


def _links(traceparent: str | None) -> "list[Link]":
    from opentelemetry import trace  # late: not imported while off

    return [trace.Link(_parsed(traceparent))] if traceparent else []


def _parsed(traceparent: str) -> Any:
    from opentelemetry import trace  # late: not imported while off

    _, trace_id, span_id, flags = traceparent.split("-")
    return trace.SpanContext(
        int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=trace.TraceFlags(int(flags, 16))
    )


def _kind(kind: Kind) -> Any:
    from opentelemetry.trace import SpanKind  # late: not imported while off

    return SpanKind[kind.upper()]


def export_to(url: str) -> "TracerProvider":
    """Switch on and send spans to an OTLP collector. Raises ``SettingsError`` without the extra ``tracing``.

    Sampling is OpenTelemetry's own (``OTEL_TRACES_SAMPLER``); by default what the publisher samples.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise SettingsError(
            "PIKE_ECONOMIC_TRACING_URL needs the extra: pip install 'pike-economic[tracing]', or leave it empty"
        ) from None
    provider = TracerProvider(resource=Resource.create({"service.name": "pike-economic", "service.version": version()}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url)))
    switch_on(provider)
    return provider
