"""The table of handlers and the catalogue of events are the same list."""

from events import CONSUMED
from worker.clock import SystemClock
from worker.handlers import handlers


def test_every_event_that_is_consumed_has_one_handler_and_no_handler_waits_for_anything_else() -> None:
    assert set(handlers(SystemClock())) == CONSUMED
