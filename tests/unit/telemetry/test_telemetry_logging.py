"""What log lines look like whatever is put into them: no secret, no length without bounds, no line that is none."""

import io
import json
import sys
from typing import Any

import pytest
import structlog

from worker.telemetry import logging as ours
from worker.telemetry.logging import MAX_ITEMS, MAX_TEXT, MAX_TRACEBACK, configure
from worker.telemetry.redaction import REDACTOR


class _Stream(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Any:
    stream = _Stream(terminal=getattr(request, "param", False))
    monkeypatch.setattr(sys, "stderr", stream)
    root = ours.logging.getLogger()
    kept = root.handlers[:], root.level
    configure(level="INFO")
    yield stream
    structlog.reset_defaults()
    root.handlers[:], root.level = kept


def test_production_writes_one_json_object_a_line(written: io.StringIO) -> None:
    structlog.get_logger().info("delivery.done", outcome="synced", attempt=1)
    ours.logging.getLogger("aiohttp").warning("odd %s", "thing")
    first, second = (json.loads(line) for line in written.getvalue().splitlines())
    assert (first["event"], first["outcome"], first["attempt"], first["level"]) == (
        "delivery.done",
        "synced",
        1,
        "info",
    )
    assert first["timestamp"].endswith("Z")
    assert second["event"] == "odd thing"


@pytest.mark.parametrize("written", [True], indirect=True)
def test_a_terminal_gets_a_line_for_people(written: io.StringIO) -> None:
    structlog.get_logger().warning("delivery.done", outcome="retry")
    (line,) = written.getvalue().splitlines()
    assert "delivery.done" in line
    assert "retry" in line
    assert not line.startswith("{")


def test_values_of_hostile_size_are_cut_and_the_line_says_so(written: io.StringIO) -> None:
    structlog.get_logger().info(
        "delivery.done", error="x" * 1_000_000, many=list(range(10_000)), wide={str(n): n for n in range(10_000)},
        deep=[[[[[["bottom" * 1000]]]]]],
    )  # fmt: skip
    line = json.loads(written.getvalue())
    assert line["error"].startswith("x" * MAX_TEXT)
    assert line["error"].endswith("[1000000 characters]")
    assert line["many"][MAX_ITEMS:] == ["… 10000 in all"]
    assert (len(line["wide"]), line["wide"]["…"]) == (MAX_ITEMS + 1, "10000 in all")
    assert len(written.getvalue()) < 10_000


def test_a_long_traceback_keeps_its_end(written: io.StringIO) -> None:
    try:
        raise ValueError("first " + "y" * 100_000 + " last words")
    except ValueError:
        structlog.get_logger().exception("delivery.done")
    line = json.loads(written.getvalue())
    assert line["exception"].endswith("last words")
    assert len(line["exception"]) < MAX_TRACEBACK + 100


def test_a_secret_is_gone_before_a_value_is_cut(written: io.StringIO) -> None:
    secret = "grant-token-0123456789abcdef"
    REDACTOR.learn([secret])
    structlog.get_logger().info("x", error="a" * (MAX_TEXT - 10) + secret, under={"deep": [f"<{secret}>"]})
    assert secret[:8] not in written.getvalue()


@pytest.mark.parametrize("written", [True], indirect=True)
def test_on_a_terminal_no_value_can_pretend_to_be_a_line(written: io.StringIO) -> None:
    structlog.get_logger().info(
        "delivery.done", workspace="ws\n2026-11-23 [info] all is well", error="\x1b[2J\u2028gone", rows=["a\nb"]
    )
    (line,) = written.getvalue().splitlines()
    assert "2026-11-23 [info] all is well" in line
    assert "\x1b[2J" not in line
