"""Large workspaces make room for small ones, and count as large no longer than they are."""

from test_runtime_pace import StillClock

from worker.runtime.lane_turns import COMPANY_S, FLOOD_S, LARGE_S, LaneTurns
from worker.runtime.pace import Pace

LIMIT = 60


def lane(clock: StillClock) -> LaneTurns:
    return LaneTurns(LIMIT, Pace(LIMIT, clock), clock)


def most(turns: LaneTurns, workspace: str) -> int:
    return turns._most(workspace)


async def test_large_ones_share_what_there_is_beside_small_ones() -> None:
    clock = StillClock()
    turns = lane(clock)
    assert most(turns, "a") == LIMIT
    for workspace in ("a", "b"):
        turns.set_aside(workspace)
    turns.came("small")
    clock.at += FLOOD_S * 2
    assert most(turns, "a") == most(turns, "b") == LIMIT // 2
    assert most(turns, "small") == LIMIT
    clock.at += COMPANY_S * 0.9
    turns.taken("a")
    clock.at += COMPANY_S * 0.2
    assert most(turns, "a") == LIMIT, "nobody small has wanted anything for a while"


async def test_one_that_was_large_once_takes_nothing_from_others_later() -> None:
    """Nobody asks about a workspace that has calmed down; it must be forgotten all the same."""
    clock = StillClock()
    turns = lane(clock)
    for number in range(1000):
        turns.set_aside(f"once-{number}")
    clock.at += LARGE_S * 2
    turns.set_aside("a")
    turns.came("small")
    clock.at += FLOOD_S * 2
    assert most(turns, "a") == LIMIT
    assert len(turns._large) == 1
