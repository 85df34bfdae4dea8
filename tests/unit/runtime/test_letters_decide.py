"""What a campaign does next, from how far it is: a table, without clock or database."""

import pytest

from worker.runtime.campaign import Next, decide
from worker.store.replays import Counts

pytestmark = pytest.mark.requirement("B4")


def counts(waiting: int, tried: int, *, done: int = 0, bad: int = 0) -> Counts:
    return Counts(waiting=waiting, pending=tried - done - bad, tried=tried, done=done, bad=bad, skipped=0)


@pytest.mark.parametrize(
    ("state", "following"),
    [
        pytest.param(counts(30, 0), Next.SEND, id="the first goes alone"),
        pytest.param(counts(29, 1), Next.WAIT, id="and is waited for"),
        pytest.param(counts(29, 1, done=1), Next.SEND, id="ten follow when it went well"),
        pytest.param(counts(29, 1, bad=1), Next.HALT, id="none when it failed"),
        pytest.param(counts(25, 5, done=1), Next.SEND, id="the ten do not wait for each other"),
        pytest.param(counts(19, 11, done=10), Next.WAIT, id="all eleven must have ended"),
        pytest.param(counts(19, 11, done=9, bad=2), Next.SEND, id="2 of 11 are 18 %"),
        pytest.param(counts(19, 11, done=8, bad=3), Next.HALT, id="3 of 11 are 27 %"),
        pytest.param(counts(27, 3, done=1, bad=2), Next.SEND, id="2 failures of a step of 11 are not too many yet"),
        pytest.param(counts(26, 4, done=1, bad=3), Next.HALT, id="3 can no longer come out well"),
        pytest.param(counts(10, 20, done=5, bad=4), Next.SEND, id="the rest does not wait"),
        pytest.param(counts(10, 20, done=5, bad=5), Next.HALT, id="but stops as well"),
        pytest.param(counts(0, 30, done=20), Next.WAIT, id="the last outcomes"),
        pytest.param(counts(0, 30, done=20, bad=10), Next.FINISH, id="nothing is left to stop"),
        pytest.param(counts(0, 0), Next.FINISH, id="all closed by others"),
        pytest.param(counts(2, 1, done=1), Next.SEND, id="a small selection"),
    ],
)
def test_next_step(state: Counts, following: Next) -> None:
    assert decide(state, 0.2) is following
