"""Where webhook calls come in: who calls is checked, what they hint at is committed, then they are answered.

Calls of the same moment share one commit. A call costs e-conomic nothing: one event per connection reads everything
that was hinted at, and while it waits further calls only add to it.
"""

import asyncio
import hmac
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from events.envelope import Envelope
from events.own import HintsRead
from worker import failpoints
from worker.broker.topology import INTERNAL_EXCHANGE
from worker.clock import Clock
from worker.errors import StoreUnavailable
from worker.run import SOURCE, message_of
from worker.runtime.coalescing import Coalescer
from worker.store import hints, hooks, outbox
from worker.store.hints import SETTLED_S, Hint
from worker.store.hooks import Receiver, fingerprint
from worker.store.outbox import OutboxMessage, OutboxRow
from worker.store.pool import Database

KNOWN_S = 5.0
"""How long it is remembered who may call for a connection, and that nobody may."""

_MOST_KNOWN = 10_000
_AT_ONCE = 256
_NOBODY = b"\0" * 32


@dataclass(frozen=True, slots=True)
class _Call:
    number: int
    receiver: Receiver
    hints: Sequence[Hint]


@dataclass(slots=True)
class HookDesk:
    """Takes calls for one worker. ``announce`` hears of messages once they are committed."""

    database: Database
    clock: Clock
    announce: Callable[[Sequence[OutboxRow]], None]
    _known: dict[UUID, tuple[float, Receiver | None]] = field(default_factory=dict)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    _find: Coalescer[UUID, Receiver | None] = field(init=False)
    _keep: Coalescer[_Call, None] = field(init=False)

    def __post_init__(self) -> None:
        away = (StoreUnavailable,)
        self._find = Coalescer(self._find_many, lambda connection_id: connection_id, _AT_ONCE, away)
        self._keep = Coalescer(self._keep_many, lambda call: call.number, _AT_ONCE, away)

    async def recognise(self, connection_id: UUID | None, secret: str, *, by_address: bool) -> Receiver | None:
        """Return for whom a call is, or ``None`` for a connection or a secret that nobody has; they look the same.

        Raises ``StoreUnavailable``.
        """
        receiver = await self._receiver(connection_id) if connection_id is not None else None
        expected = _NOBODY if receiver is None else receiver.address_hash if by_address else receiver.header_hash
        return receiver if hmac.compare_digest(fingerprint(secret), expected) else None

    async def keep(self, receiver: Receiver, found: Sequence[Hint]) -> None:
        """Commit what a call hints at. Raises ``StoreUnavailable``; then the caller has to come again."""
        await self._keep(_Call(next(self._numbers), receiver, found))

    async def _receiver(self, connection_id: UUID) -> Receiver | None:
        now = self.clock.monotonic()
        known = self._known.get(connection_id)
        if known is not None and known[0] > now:
            return known[1]
        receiver = await self._find(connection_id)
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[connection_id] = (now + KNOWN_S, receiver)
        return receiver

    async def _find_many(self, ids: Sequence[UUID]) -> list[Receiver | None]:
        async with self.database.connection("hook receivers") as connection:
            found = await hooks.receivers(connection, ids)
        return [found.get(connection_id) for connection_id in ids]

    async def _keep_many(self, calls: Sequence[_Call]) -> list[None]:
        receivers = {call.receiver.connection_id: call.receiver for call in calls}
        async with self.database.transaction("keep hints") as connection:
            reading = await hints.lock(connection, list(receivers))
            await hints.add(
                connection,
                [(c.receiver.connection_id, h) for c in calls if c.receiver.connection_id in reading for h in c.hints],
            )
            await hints.relieve(connection, list(receivers))
            messages = []
            for connection_id, reader in reading.items():
                if reader is None:
                    message = wake(receivers[connection_id].workspace_id, self.clock)
                    await hints.set_reader(connection, connection_id, message.event_id)
                    messages.append(message)
            rows = await outbox.append(connection, messages)
            failpoints.hit("hook.before_commit")
        failpoints.hit("hook.committed")
        if rows:  # should this process end before, the rows' lease does too, and another publishes them
            asyncio.get_running_loop().call_later(SETTLED_S, self.announce, rows)
        return [None] * len(calls)


def wake(workspace_id: str, clock: Clock) -> OutboxMessage:
    """Return the message that makes somebody read the hints of a workspace's connection."""
    event = Envelope(
        id=str(uuid4()),
        source=SOURCE,
        type=HintsRead.TYPE,
        time=clock.now(),
        workspace_id=workspace_id,
        data=HintsRead(),
    )
    return message_of(event, INTERNAL_EXCHANGE)
