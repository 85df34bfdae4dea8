"""Looks after webhooks now and then: are they there and on (e-conomic switches them off after failures), and is what
they hinted at being read. Every process looks; Postgres decides who acts.
"""

from dataclasses import dataclass
from uuid import uuid4

import structlog

from events.envelope import Envelope
from events.own import HooksCheck
from worker.broker.topology import INTERNAL_EXCHANGE
from worker.clock import Clock
from worker.errors import StoreUnavailable
from worker.run import SOURCE, message_of
from worker.runtime.hook_desk import wake
from worker.runtime.relay import Relay
from worker.store import hints, hooks, outbox
from worker.store.crypto import Vault
from worker.store.outbox import OutboxMessage
from worker.store.pool import Connection, Database

log = structlog.get_logger()

LOOK_EVERY_S = 3.0
CHECK_EVERY_S = 3600.0
"""How often the hooks of a connection are looked at; a call of its own, so not with every round."""

MOST_AT_ONCE = 20


@dataclass(slots=True)
class HookWatch:
    """Begins checks and re-reads. ``public_url`` is empty where nobody can call us; then no hooks are kept."""

    database: Database
    relay: Relay
    vault: Vault
    clock: Clock
    public_url: str

    async def run(self) -> None:
        """Look again and again until cancelled."""
        while True:
            try:
                await self.look()
            except StoreUnavailable as exc:
                log.warning("hooks.later", error=str(exc))
            except Exception:  # hooks are a hint; the deliveries must go on
                log.exception("hooks.bug")
            await self.clock.sleep(LOOK_EVERY_S)

    async def look(self) -> int:
        """Begin what is due; returns how many messages that took. Raises ``StoreUnavailable``."""
        async with self.database.transaction("look after hooks") as connection:
            messages = await self._lost(connection)
            if self.public_url:
                await hooks.adopt(connection, self.vault, MOST_AT_ONCE)
                due = await hooks.take_due(connection, CHECK_EVERY_S, MOST_AT_ONCE)
                messages += [self._check(workspace_id) for workspace_id in due]
            rows = await outbox.append(connection, messages)
        self.relay.announce(rows)
        return len(rows)

    async def _lost(self, connection: Connection) -> list[OutboxMessage]:
        messages = []
        for connection_id, workspace_id in await hints.lost_readers(connection, SOURCE, MOST_AT_ONCE):
            message = wake(workspace_id, self.clock)
            await hints.set_reader(connection, connection_id, message.event_id)
            messages.append(message)
        return messages

    def _check(self, workspace_id: str) -> OutboxMessage:
        event = Envelope(
            id=str(uuid4()),
            source=SOURCE,
            type=HooksCheck.TYPE,
            time=self.clock.now(),
            workspace_id=workspace_id,
            data=HooksCheck(),
        )
        return message_of(event, INTERNAL_EXCHANGE)
