"""One trace per request, from Pike's event through calls, commits and answers; links over tries; nothing while off."""

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import web
from e2e_kit import Launch, SmallPages
from harness import PIKE, WORKSPACE, Harness
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from support import eventually
from test_push_walk import CREATED, FAILED, SYNCED, linked

from worker.economic.transport import Transport
from worker.errors import SettingsError
from worker.sandbox import Sandbox
from worker.telemetry import tracing

REFRESH = "pike.refresh.requested"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.switch_on(provider)
    yield exporter
    tracing.switch_off()
    provider.shutdown()


def of(spans: InMemorySpanExporter, trace_id: str) -> list[ReadableSpan]:
    return [span for span in spans.get_finished_spans() if f"{span.context.trace_id:032x}" == trace_id]


def tries(spans: InMemorySpanExporter, event_id: str) -> list[ReadableSpan]:
    named = [s for s in spans.get_finished_spans() if (s.attributes or {}).get("messaging.message.id") == event_id]
    return [span for span in named if span.kind is SpanKind.CONSUMER]


async def publish_traced(running: Harness, event_type: str, data: dict[str, Any], event_id: str) -> None:
    body = {
        "specversion": "1.0", "id": event_id, "source": PIKE, "type": event_type, "workspaceid": WORKSPACE,
        "data": data, "traceparent": f"00-{TRACE}-{PARENT}-01",
    }  # fmt: skip
    await running.publish_raw(json.dumps(body).encode(), routing_key=event_type, message_id=event_id)


async def test_a_request_is_one_trace_from_event_to_answer(
    running: Harness, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[dict[str, str]] = []
    headers = Transport._headers

    def seen(self: Transport, *args: Any) -> dict[str, str]:
        sent.append(headers(self, *args))
        return sent[-1]

    monkeypatch.setattr(Transport, "_headers", seen)
    request = await linked(running)
    await publish_traced(running, CREATED, {"invoice": request}, "traced-1")
    answer = await running.answer("traced-1", SYNCED)
    await eventually(lambda: f"send {SYNCED}" in {span.name for span in of(spans, TRACE)} and tries(spans, "traced-1"))
    ours = of(spans, TRACE)
    names = {span.name for span in ours}
    assert {f"process {CREATED}", "claim", "checkpoint", "finish", f"send {SYNCED}"} <= names
    (process,) = [span for span in ours if span.name == f"process {CREATED}"]
    assert process.kind is SpanKind.CONSUMER
    assert f"{process.parent.span_id:016x}" == PARENT
    assert process.attributes["pike_economic.outcome"] == "synced"
    own = process.context.span_id
    inside = [s for s in ours if s.kind is SpanKind.CLIENT or s.name in ("claim", "finish", "checkpoint")]
    assert {span.parent.span_id for span in inside} == {own}
    calls = [span for span in inside if span.kind is SpanKind.CLIENT]
    assert any(span.name.startswith("POST") and span.attributes["http.response.status_code"] == 201 for span in calls)
    assert {h["traceparent"] for h in sent} >= {f"00-{TRACE}-{s.context.span_id:016x}-01" for s in calls}
    (finish,) = [span for span in ours if span.name == "finish"]
    assert answer.traceparent == f"00-{TRACE}-{finish.context.span_id:016x}-01"
    (send,) = [span for span in ours if span.name == f"send {SYNCED}"]
    assert (send.kind, send.parent.span_id) == (SpanKind.PRODUCER, finish.context.span_id)


async def test_tries_share_a_trace_and_each_links_to_the_one_before(
    running: Harness, sandbox: Sandbox, spans: InMemorySpanExporter
) -> None:
    sandbox.add_fault("status", path="/customers", status=502, times=3)
    event_id = await running.publish(REFRESH, {"entity": "customer", "external_number": "1"})
    await running.answer(event_id)
    first, second = await eventually(lambda: len(found := tries(spans, event_id)) == 2 and found)
    assert first.context.trace_id == second.context.trace_id
    assert [link.context.span_id for link in second.links] == [first.context.span_id]
    assert not first.links
    assert first.status.status_code is StatusCode.ERROR
    assert first.attributes["pike_economic.outcome"] == "retry"
    assert (first.attributes["pike_economic.attempt"], second.attributes["pike_economic.attempt"]) == (1, 2)


async def test_a_replay_links_to_the_try_that_died(running: Harness, spans: InMemorySpanExporter) -> None:
    from worker.runtime.replay import replay
    from worker.store import dead_letters

    request = await linked(running)
    product = next(p for p in running.agreement.products if not p.barred)
    running.agreement.bar_product(product.number)
    event_id = await running.publish(CREATED, {"invoice": request})
    await running.answer(event_id, FAILED)
    running.agreement.bar_product(product.number, barred=False)
    database = running.worker.dispatcher.database
    async with database.connection("test") as connection:
        (letter,) = await dead_letters.search(connection)
    await replay(database, letter.id, "test")
    await running.answer(event_id, SYNCED)
    died, again = await eventually(lambda: len(found := tries(spans, event_id)) == 2 and found)
    assert [link.context.span_id for link in again.links] == [died.context.span_id]
    assert again.context.trace_id == died.context.trace_id


async def test_an_import_in_slices_is_one_trace(
    launch: Launch, small_pages: SmallPages, spans: InMemorySpanExporter
) -> None:
    small_pages(3)
    async with launch(import_slice_s="0.001") as running:
        await running.connect()
        done = await running.import_all("products")
        started = await eventually(lambda: tries(spans, str(done.correlation_id)))
        whole = await eventually(lambda: len(found := of(spans, f"{started[0].context.trace_id:032x}")) > 5 and found)
    slices = [span for span in whole if span.kind is SpanKind.CONSUMER]
    assert len(slices) > 2


async def test_no_secret_and_no_traceback_is_in_a_span(
    running: Harness, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "hunter2-hunter2-hunter2"
    tracing.REDACTOR.learn([secret])

    async def breaks(*_: Any) -> None:
        raise ValueError(f"with {secret}")

    monkeypatch.setattr("worker.economic.endpoints.EconomicApi.get_customer", breaks)
    event_id = await running.publish(REFRESH, {"entity": "customer", "external_number": "1"})
    (span, *_) = await eventually(lambda: tries(spans, event_id))
    shown = span.to_json()
    assert "internal_error" in shown
    assert secret not in shown
    assert not span.events
    grant = running.agreement.grant_token
    assert not [s for s in spans.get_finished_spans() if grant in s.to_json()]


async def test_without_tracing_answers_carry_pikes_context_along(running: Harness) -> None:
    await publish_traced(running, REFRESH, {"entity": "customer", "external_number": "1"}, "traced-2")
    answer = await running.answer("traced-2")
    assert answer.traceparent == f"00-{TRACE}-{PARENT}-01"


async def test_spans_reach_a_collector_over_otlp_before_the_process_ends(launch: Launch) -> None:
    received = bytearray()

    async def collect(request: web.Request) -> web.Response:
        received.extend(await request.read())
        return web.Response()

    app = web.Application()
    app.router.add_post("/v1/traces", collect)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with launch(tracing_url=f"http://127.0.0.1:{runner.addresses[0][1]}/v1/traces") as running:
            await running.connect()
            await running.refresh("product", external_number="none")
        assert tracing.current() is None
    finally:
        await runner.cleanup()
    sent = gzip.decompress(received) if received[:2] == b"\x1f\x8b" else bytes(received)
    assert f"process {REFRESH}".encode() in sent
    assert b"pike-economic" in sent


async def test_tracing_without_its_extra_stops_the_start_with_a_sentence(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(SettingsError, match=r"pike-economic\[tracing\]"):
        async with launch(tracing_url="http://127.0.0.1:1/v1/traces"):
            pass


def test_while_off_opentelemetry_is_not_even_imported() -> None:
    code = "import sys, worker.bootstrap; sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert tracing.span("x") is tracing.span("y")
