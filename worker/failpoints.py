"""Named places at which a crash test ends the process: one per step of every walk. Off, a point is one look at a dict.

Armed through the environment, ``PIKE_ECONOMIC_FAILPOINT=push.draft.answered`` (or ``import.page_committed:3`` for the
third time the process comes by), the process kills itself there without any tidying up. Never set it in production.
"""

import os
import signal
from collections.abc import Callable, Mapping
from types import MappingProxyType

VARIABLE = "PIKE_ECONOMIC_FAILPOINT"

POINTS: Mapping[str, str] = MappingProxyType(
    {
        "delivery.received": "every event: the message is here, nothing is written",
        "delivery.claimed": "every event: the claim is committed, the handler has not begun",
        "checkpoint.before_commit": "every checkpoint: all statements have run, the commit has not",
        "checkpoint.committed": "every checkpoint: committed, its answers are not announced yet",
        "finish.before_commit": "every event: rows, answers and done are written, the commit is missing",
        "finish.committed": "every event: committed, nothing is published, nothing is acknowledged",
        "ack.decided": "every event: the verdict is there, the acknowledgement has not left",
        "ack.sent": "every event: the acknowledgement has been handed to the connection",
        "retry.recorded": "failed try: put back in the inbox, no copy on the wait ladder yet",
        "retry.copied": "failed try: the copy is confirmed, the original is not acknowledged",
        "dead.before_commit": "dead letter: letter and answer are written, the commit is missing",
        "dead.committed": "dead letter: committed, nothing is published, nothing is acknowledged",
        "park.before_commit": "revoked grant: parked and announced, the commit is missing",
        "park.committed": "revoked grant: parked, nothing is published, nothing is acknowledged",
        "overflow.kept": "flood: the message is written to the overflow, and not acknowledged",
        "overflow.done": "flood: a message from the overflow is worked on, and its row still there",
        "push.loaded": "push: read from Postgres, e-conomic not asked yet",
        "push.customer.intended": "push: the intent to create the customer is committed, the call has not begun",
        "push.customer.answered": "push: e-conomic has made the customer, nothing is written down",
        "push.draft.intended": "push: the intent to make the draft is committed, the call has not begun",
        "push.draft.answered": "push: e-conomic has made the draft, nothing is written down",
        "push.book.intended": "booking: the intent to book is committed, the call has not begun",
        "push.book.answered": "booking: e-conomic has booked, nothing is written down",
        "push.draft.unknown": "push: the answer was lost, and that is committed",
        "push.book.unknown": "booking: the answer was lost, and that is committed",
        "call.answering": "a write to e-conomic has taken effect, its answer is on the way",
        "import.begun": "import: its row and the started event are committed",
        "import.page_read": "import: a page is read and mapped, nothing of it is written",
        "import.page_committed": "import: a page and the cursor are committed",
        "import.closing": "import: all pages are in, vanished records are not looked for yet",
        "refresh.read": "refresh: the record is read, nothing is written",
        "schedule.before_commit": "schedule: rounds and their events are written, the commit is missing",
        "schedule.committed": "schedule: committed, nothing is published",
        "hook.before_commit": "webhook: the hint is written, the commit is missing, nobody was answered",
        "hook.committed": "webhook: the hint is committed, e-conomic was not answered, nothing is published",
        "hints.read": "webhook: the records are read, nothing is written",
        "connect.verified": "connect: the grant is verified, nothing is written",
        "connect.before_commit": "connect: sealed grant and event are written, the commit is missing",
        "connect.committed": "connect: committed, the person has not been told",
        "relay.taken": "outbox: rows are there to publish, none is published",
        "relay.confirmed": "outbox: published and confirmed, not deleted",
        "relay.deleted": "outbox: published and deleted",
    }
)
"""Name → the step of the walk it stands for. A name outside this table is a mistake and raises."""

_armed: dict[str, Callable[[], None]] = {}


def hit(*name: str) -> None:
    """Come by a point; ``name`` is joined by dots, and only when something is armed."""
    if _armed:
        hook = _armed.get(_known(".".join(name)))
        if hook is not None:
            hook()


def arm(name: str, hook: Callable[[], None]) -> None:
    """Call ``hook`` whenever the point is passed. Raises ``ValueError`` for an unknown name."""
    _armed[_known(name)] = hook


def disarm() -> None:
    """Make every point do nothing again."""
    _armed.clear()


def arm_from(environment: Mapping[str, str]) -> str | None:
    """Arm what the environment names and return it; ``None`` when it names nothing. Raises ``ValueError``."""
    value = environment.get(VARIABLE)
    if not value:
        return None
    name, _, count = value.partition(":")
    arm(name, _killer(int(count or 1)))
    return value


def _killer(passes: int) -> Callable[[], None]:
    left = passes

    def kill() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return kill


def _known(name: str) -> str:
    if name not in POINTS:
        raise ValueError(f"{name!r} is no failpoint; known: {', '.join(POINTS)}")
    return name
