"""The schedule: rounds of changes every quarter of an hour, a complete sweep at night, per connection (B10).

Every process looks; Postgres decides who begins a round, so that a connection has one at a time however many processes
there are. A round is an internal event like any other: it waits at the gates and survives restarts.
"""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import structlog

from events import SyncRequested
from events.envelope import Envelope
from worker import failpoints
from worker.broker.topology import INTERNAL_EXCHANGE
from worker.clock import Clock
from worker.errors import StoreUnavailable
from worker.run import SOURCE, message_of
from worker.runtime.relay import Relay
from worker.store import outbox, schedules
from worker.store.pool import Database

log = structlog.get_logger()

LOOK_EVERY_S = 3.0
MOST_AT_ONCE = 20
"""Rounds that one look begins; the rest is left to the next, here or elsewhere."""


@dataclass(slots=True)
class Schedule:
    """Begins rounds. ``every_s``: for connections that chose nothing; 0 means that there is no schedule."""

    database: Database
    relay: Relay
    clock: Clock
    every_s: float

    async def run(self) -> None:
        """Look again and again until cancelled."""
        while True:
            try:
                if self.every_s:
                    await self.look()
            except StoreUnavailable as exc:
                log.warning("schedule.later", error=str(exc))
            except Exception:  # a round that is not begun is begun later; the deliveries must go on
                log.exception("schedule.bug")
            await self.clock.sleep(LOOK_EVERY_S)

    async def look(self) -> int:
        """Begin the rounds that are due; returns how many. Raises ``StoreUnavailable``."""
        async with self.database.transaction("schedule") as connection:
            await schedules.adopt(connection, self.every_s)
            due = await schedules.take_due(connection, SOURCE, MOST_AT_ONCE)
            if not due:
                return 0
            events = [self._event(each) for each in due]
            runs = [(each.connection_id, event.id) for each, event in zip(due, events, strict=True)]
            await schedules.begin(connection, runs, self.every_s)
            rows = await outbox.append(connection, [message_of(event, INTERNAL_EXCHANGE) for event in events])
            failpoints.hit("schedule.before_commit")
        failpoints.hit("schedule.committed")
        self.relay.announce(rows)
        log.info("schedule.begun", rounds=len(due), sweeps=sum(each.sweep for each in due))
        return len(due)

    def _event(self, due: schedules.Due) -> Envelope[Any]:
        data = SyncRequested.model_validate({"entities": due.entities, "mode": "full" if due.sweep else "changes"})
        return Envelope(
            id=str(uuid4()),
            source=SOURCE,
            type=data.TYPE,
            time=self.clock.now(),
            workspace_id=due.workspace_id,
            data=data,
        )
