"""A worker is killed at every step of every walk; a fresh one makes the same rows, one invoice and one answer of it."""

import asyncio
import re
from typing import Any

import pytest
from crash_kit import ROOT, CrashStage
from harness import WORKSPACE
from support import eventually
from test_crash_freshness import HOOK_POINTS, ROUND_POINTS
from walks import WALKS, assert_one_end, fixed

from worker import failpoints
from worker.failpoints import POINTS

_HIT = re.compile(r"failpoints\.hit\(([^)]*)\)")

CASES = [pytest.param(name, point, id=f"{name} at {point}") for name, walk in WALKS.items() for point in walk.points]


@pytest.mark.requirement("B1", "B2", "B16")
@pytest.mark.parametrize(("name", "point"), CASES)
async def test_killed_at_any_step_a_walk_ends_in_the_same_rows_and_one_answer(
    expected: dict[str, Any], stage: CrashStage, name: str, point: str
) -> None:
    walk = WALKS[name]
    await stage.connect(walk.booking)
    await walk.trouble(stage)
    request = await walk.begin(stage)
    await stage.dies(stage.start(dies_at=point, **walk.settings))
    await stage.later()
    await walk.relief(stage)
    fresh = stage.start(**walk.settings)
    await stage.harness.answer(request, *walk.ends)
    await stage.quiet()
    await stage.stops(fresh)
    assert not any((await stage.unfinished()).values())
    assert_one_end(stage, walk, request)
    assert await stage.snapshot() == expected


@pytest.mark.requirement("B16")
async def test_killed_between_publish_and_delete_the_same_event_is_sent_again_with_its_id(stage: CrashStage) -> None:
    await stage.connect("draft")
    request = await WALKS["refresh"].begin(stage)
    await stage.dies(stage.start(dies_at="relay.confirmed"))
    first = await stage.harness.answer(request, "economic.refresh.completed")
    await stage.later()
    stage.start()
    ends = lambda: stage.harness.answers(request, "economic.refresh.completed")  # noqa: E731
    await eventually(lambda: len(ends()) == 2, timeout_s=20, message="the same event again")
    assert {event.id for event in ends()} == {first.id}


@pytest.mark.requirement("B16", "R8")
@pytest.mark.parametrize("point", ["connect.verified", "connect.before_commit", "connect.committed"])
async def test_killed_while_connecting_nothing_is_half_connected(stage: CrashStage, point: str) -> None:
    command = ("connect", "--workspace", WORKSPACE, "--grant-token", "-")
    token = stage.harness.agreement.grant_token + "\n"
    await stage.dies(stage.start(*command, given=token, dies_at=point))
    connected = await stage.harness.rows("select status from economic.connections")
    if point != "connect.committed":
        assert connected == []
        assert await stage.start(*command, given=token).ended() == 0
        stage.started.clear()
    worker = stage.start()
    await eventually(lambda: any(e.type == "economic.connection.established" for e in stage.harness.heard))
    await stage.quiet()
    await stage.stops(worker)
    established = [e.id for e in stage.harness.heard if e.type == "economic.connection.established"]
    assert len(established) == 1
    assert await stage.harness.rows("select status from economic.connections") == [{"status": "active"}]


@pytest.mark.requirement("B1", "B16")
async def test_the_command_itself_dies_and_is_followed_by_another(stage: CrashStage) -> None:
    """As a supervisor starts it: ``python -m worker run``, without the test's own quick start."""
    walk = WALKS["push"]
    await stage.connect("book")
    request = await walk.begin(stage)
    dying = await stage.spawn(dies_at="push.draft.answered")
    assert await asyncio.wait_for(dying.wait(), 60) == -9
    await stage.later()
    fresh = await stage.spawn()
    await stage.harness.answer(request, *walk.ends, timeout_s=60)
    await stage.quiet()
    fresh.terminate()
    assert await asyncio.wait_for(fresh.wait(), 30) == 0
    assert_one_end(stage, walk, request)
    reference = f"Pike {fixed('invoice')}"
    agreement = stage.harness.agreement
    assert len([*agreement.find_drafts(reference), *agreement.find_booked(reference)]) == 1


def test_every_failpoint_is_passed_somewhere_and_killed_at_somewhere() -> None:
    sources = [path.read_text() for path in (ROOT / "worker").rglob("*.py")]
    in_code = {".".join(_names(hit)) for source in sources for hit in _HIT.findall(source)}
    whole = {re.sub(r"^push\.(customer|draft|book)\.", "push.write.step.", name) for name in POINTS}
    commits = {name for name in whole if name.startswith(("checkpoint.", "finish."))}  # named by what is committed
    assert {name for name in in_code if not name.endswith(".step")} == whole - commits
    assert {name.rpartition(".")[2] for name in commits} == {"before_commit", "committed"}
    killed_at = {point.partition(":")[0] for walk in WALKS.values() for point in walk.points}
    killed_at |= {"connect.verified", "connect.before_commit", "connect.committed", *HOOK_POINTS, *ROUND_POINTS}
    assert killed_at == set(POINTS)


def _names(arguments: str) -> list[str]:
    return [argument.strip().strip('"') for argument in arguments.split(",")]


def test_an_unknown_failpoint_stops_the_start() -> None:
    with pytest.raises(ValueError, match="no failpoint"):
        failpoints.arm_from({failpoints.VARIABLE: "push.nowhere"})


def test_nothing_is_armed_unless_it_is_named() -> None:
    assert failpoints.arm_from({}) is None
    failpoints.hit("no such point costs nothing while nothing is armed")


@pytest.mark.parametrize("value", ["refresh.read", "refresh.read:2"])
def test_a_point_strikes_when_it_was_passed_so_often(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[int] = []
    monkeypatch.setattr("worker.failpoints.os.kill", lambda pid, _sign: killed.append(pid))
    try:
        failpoints.arm_from({failpoints.VARIABLE: value})
        failpoints.hit("refresh", "read")
        before = len(killed)
        failpoints.hit("refresh.read")
        failpoints.hit("refresh.read")
    finally:
        failpoints.disarm()
    assert (before, len(killed)) == ((1, 1) if value == "refresh.read" else (0, 1))
