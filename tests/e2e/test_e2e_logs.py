"""One canonical line per delivery, whatever becomes of it: its fields, its words, and nothing secret in it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from harness import WORKSPACE, Harness
from structlog.testing import capture_logs
from support import eventually
from test_push_walk import CREATED, FAILED, SYNCED, linked

from worker.runtime.account import LINE, OUTCOMES

PAGE = Path(__file__).parents[2] / "deploy" / "logs.md"
REFRESH = "pike.refresh.requested"


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as captured:
        yield captured


async def told(lines: list[Any], event_id: str | None, outcome: str) -> dict[str, Any]:
    """The delivery's line; there is exactly one."""

    def found() -> list[Any]:
        ours = [x for x in lines if x["event"] == "delivery.done" and x.get("event_id") == event_id]
        return [x for x in ours if x["outcome"] == outcome]

    (line,) = await eventually(found, message=f"{outcome} of {event_id}")
    assert set(line) - {"event", "log_level", "exc_info"} <= set(LINE)
    return dict(line)


async def test_a_push_is_one_line_with_everything_in_it(running: Harness, lines: list[Any]) -> None:
    request = await linked(running)
    event_id = await running.publish(CREATED, {"invoice": request})
    await running.answer(event_id, SYNCED)
    line = await told(lines, event_id, "synced")
    assert (line["event_type"], line["workspace"], line["lane"]) == (CREATED, WORKSPACE, "work")
    assert (line["attempt"], line["snoozes"], line["redelivered"]) == (1, 0, False)
    assert line["api_calls"] > 3
    assert line["api_cost"] >= line["api_calls"]
    assert 0 < line["claim_ms"] <= line["duration_ms"] <= line["age_s"] * 1000 + 50
    assert re.fullmatch("[0-9a-f]{32}", line["trace_id"])
    assert len([x for x in lines if x["event"].startswith("delivery.") and x.get("event_id") == event_id]) == 1


async def test_what_goes_wrong_says_why_in_the_same_line(running: Harness, lines: list[Any]) -> None:
    request = await linked(running)
    running.agreement.bar_product(next(p.number for p in running.agreement.products if not p.barred))
    event_id = await running.publish(CREATED, {"invoice": request})
    await running.answer(event_id, FAILED)
    line = await told(lines, event_id, "dead")
    assert (line["cause"], line["log_level"]) == ("product_barred", "warning")
    assert line["error"]


async def test_a_retry_says_when_it_comes_again_and_keeps_its_trace(running: Harness, lines: list[Any]) -> None:
    running.sandbox.add_fault("status", path="/customers", status=502, times=3)
    event_id = await running.publish(REFRESH, {"entity": "customer", "external_number": "1"})
    await running.answer(event_id)
    first = await told(lines, event_id, "retry")
    assert (first["attempt"], first["cause"]) == (1, "economic_unavailable")
    assert first["next_s"] > 0
    again = await told(lines, event_id, "refreshed")
    assert (again["attempt"], again["trace_id"]) == (2, first["trace_id"])


async def test_duplicates_conflicts_and_what_cannot_be_read_have_their_line(running: Harness, lines: list[Any]) -> None:
    asked = {"entity": "customer", "external_number": str(next(iter(running.agreement.customers)).number)}
    event_id = await running.publish(REFRESH, asked)
    await running.answer(event_id)
    await running.publish(REFRESH, asked, event_id=event_id)
    await told(lines, event_id, "duplicate")
    await running.publish(REFRESH, {**asked, "external_number": "2"}, event_id=event_id)
    assert (await told(lines, event_id, "dead"))["cause"] == "conflicting_event"
    await running.publish_raw(b"\xff" * 5000, routing_key=REFRESH)
    line = await told(lines, None, "dead")
    assert (line["cause"], line["bytes"]) == ("malformed_event", 5000)


async def test_a_bug_is_an_error_with_its_traceback(
    running: Harness, lines: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.economic.endpoints.EconomicApi.get_customer", lambda *_: 1 / 0)
    event_id = await running.publish(REFRESH, {"entity": "customer", "external_number": "1"})
    first = (await eventually(lambda: [x for x in lines if x.get("event_id") == event_id]))[0]
    assert (first["log_level"], first["cause"]) == ("error", "internal_error")
    assert isinstance(first["exc_info"], ZeroDivisionError)


def test_the_page_about_logs_names_every_field_and_outcome() -> None:
    page = PAGE.read_text()
    assert dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|$", page.partition("## Outcomes")[0], re.M)) == LINE
    outcomes = dict(re.findall(r"^\| ([^|`]+|`[^|`]+`) \| ([^|]+) \|$", page.partition("## Outcomes")[2], re.M))
    outcomes = {name.strip("`"): text for name, text in outcomes.items() if name.strip("`") in OUTCOMES}
    assert outcomes == OUTCOMES
