"""Percentiles from classes, the tally between two samples, and what an operator is told first."""

from datetime import UTC, datetime
from typing import Any

import pytest

from worker.insight.attention import concerns
from worker.insight.room import percentile
from worker.runtime.tally import Tally
from worker.telemetry.metrics import WAITS

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
QUEUE = {"queue": "pike-economic.work", "exists": True, "messages": 0, "consumers": 1, "lane": "work"}


def test_percentiles_lie_inside_their_class() -> None:
    counts = [0] * (len(WAITS) + 1)
    assert percentile(counts, 0.5) is None
    counts[3] = 100  # 0.5 … 1 s
    assert percentile(counts, 0.5) == pytest.approx(0.75)
    assert percentile(counts, 0.99) == pytest.approx(0.995)
    counts[-1] = 100
    assert percentile(counts, 0.95) == WAITS[-1]


def test_a_tally_gives_what_is_new_and_takes_it_back() -> None:
    tally = Tally()
    tally.observe("work", "t", "synced", 0.1, 0.7)
    tally.observe("work", "t", "retry", 0.1, 0.7)
    tally.observe("work", "t", "duplicate", 0.1, None)
    taken = tally.take()
    assert (taken["t"].outcomes, sum(taken["t"].critical)) == ({"synced": 1, "retry": 1, "duplicate": 1}, 1)
    assert taken["t"].critical[WAITS.index(1)] == 1
    assert tally.take() == {}
    tally.observe("work", "t", "synced", 0.1, 0.7)
    tally.give_back(taken)
    assert tally.take()["t"].outcomes == {"synced": 2, "retry": 1, "duplicate": 1}
    assert tally.outcomes["synced"] == 2


def room(**changes: Any) -> dict[str, Any]:
    """A room in which all is well."""
    worker = {"host": "h", "pid": 1, "state": "running", "silent_s": 1.0, "loop_lag_s": 0.0}
    return {
        "workers": [worker], "queues": [QUEUE], "inbox": [],
        "reconciliation": {"lost": 0, "double": 0, "age_s": 60.0, "at": NOW},
        "outbox": {"count": 0, "oldest_s": None, "unheard": 0, "unheard_types": None, "last_error": None},
        "unknown_outcomes": 0, "unknown_oldest_s": None, "held_workspaces": [], "dead_letters": [], **changes,
    }  # fmt: skip


def test_when_all_is_well_nothing_is_said() -> None:
    assert concerns(room()) == []


GONE = {"host": "h", "pid": 7, "state": "gone", "silent_s": 60.0, "loop_lag_s": 0.0}


@pytest.mark.parametrize(
    ("changes", "level", "told"),
    [
        ({"workers": []}, "urgent", "No worker runs"),
        ({"workers": [GONE | {"state": "running", "loop_lag_s": 3.0}]}, "soon", "3.0 s late"),
        ({"reconciliation": {"lost": 1, "double": 0, "age_s": 1, "at": NOW}}, "urgent", "1 lost"),
        ({"reconciliation": None}, "soon", "never run"),
        ({"reconciliation": {"lost": 0, "double": 0, "age_s": 3e5, "at": NOW}}, "soon", "83 h ago"),
        ({"inbox": [{"state": "waiting", "count": 3, "oldest_s": 1000}]}, "soon", "3 events are waiting"),
        (
            {"outbox": {"count": 2, "oldest_s": 90, "unheard": 0, "unheard_types": None, "last_error": "gone"}},
            "urgent", "2 answers",
        ),
        ({"unknown_outcomes": 2, "unknown_oldest_s": 9000.0}, "soon", "what became of 2"),
        ({"dead_letters": [{"cause": "x", "count": 4}]}, "soon", "4 dead letters"),
        (
            {"held_workspaces": [{"workspace_id": "w", "because": "revoked", "waiting": 9}]},
            "soon", "Workspace w must be connected again; 9 events",
        ),
        (
            {"held_workspaces": [{"workspace_id": "w", "because": "breaker", "waiting": 9}]},
            "soon", "e-conomic does not answer for 1 workspace.",
        ),
        (
            {"queues": [{**QUEUE, "consumers": 0}]},
            "urgent", "Nobody consumes",
        ),
        (
            {"queues": [{**QUEUE, "exists": False}]},
            "urgent", "is missing",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_sentence_with_a_remedy(changes: dict[str, Any], level: str, told: str) -> None:
    (concern,) = concerns(room(**changes))
    assert concern.level == level
    assert told in concern.told
    assert concern.remedy


def test_the_urgent_comes_first() -> None:
    found = concerns(room(workers=[GONE], dead_letters=[{"cause": "x", "count": 1}]))
    assert [each.level for each in found] == ["urgent", "soon", "soon"]


def test_parked_events_wait_for_people_and_are_not_late() -> None:
    assert concerns(room(inbox=[{"state": "parked", "count": 3, "oldest_s": 1e6}])) == []
