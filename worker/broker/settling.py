"""Sending acknowledgements of one channel from one place, so that whoever has a verdict never waits for a socket.

Acknowledgements are never repeated: one that is lost with its channel means a redelivery, and the inbox knows it.
"""

import asyncio
from collections.abc import Iterable

import structlog
from aiormq.channel import Channel
from pamqp.commands import Basic

from worker import failpoints
from worker.broker import batch
from worker.loop import end_tasks

log = structlog.get_logger(__name__)


def combine(settled: set[int], low: int, batch: Iterable[int]) -> tuple[list[tuple[int, bool]], int]:
    """Return the fewest acknowledgements, as (tag, multiple), for the tags of ``batch``, and the new low mark.

    Tags count up from 1 per channel. Everything up to ``low`` is settled, and ``settled`` holds what is settled
    beyond it (it is updated). A multiple one must name a tag that is still open, so it names one of the batch.
    """
    tags = sorted(batch)
    settled.update(tags)
    while low + 1 in settled:
        low += 1
        settled.discard(low)
    covered = [tag for tag in tags if tag <= low]
    together = [(covered[-1], len(covered) > 1)] if covered else []
    return together + [(tag, False) for tag in tags if tag > low], low


class Settler:
    """Acknowledges and rejects deliveries of one channel, in the order given, until the channel is gone."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._acks: list[int] = []
        self._rejects: list[int] = []
        self._settled: set[int] = set()
        self._low = 0
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task = asyncio.create_task(self._run(), name="broker-settler")

    @property
    def alive(self) -> bool:
        """Whether settling can still have an effect; when not, the broker delivers again."""
        return not self._task.done() and not self._channel.is_closed

    def ack(self, delivery_tag: int) -> None:
        """Acknowledge, soon; void when the channel is gone."""
        self._acks.append(delivery_tag)
        self._stir(delivery_tag)

    def reject(self, delivery_tag: int) -> None:
        """Reject without requeue, soon: the broker dead-letters it. Void when the channel is gone."""
        self._rejects.append(delivery_tag)
        self._stir(delivery_tag)

    def _stir(self, delivery_tag: int) -> None:
        if not self.alive:
            log.debug("broker.settlement_void", delivery_tag=delivery_tag)
            return
        self._idle.clear()
        self._wake.set()

    async def flush(self, timeout_s: float) -> None:
        """Wait until everything given is handed to the connection, or the time is over."""
        waiting = asyncio.ensure_future(self._idle.wait())
        await asyncio.wait({waiting, self._task}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()

    async def stop(self) -> None:
        """End the sender; what is not yet sent is void."""
        await end_tasks(self._task)

    async def _run(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._send_pending()
                if not self._wake.is_set():
                    self._idle.set()
        except Exception as exc:
            # The channel is gone. The session notices by itself; here it only means that nothing more can be sent.
            log.debug("broker.settler_ended", reason=repr(exc))

    async def _send_pending(self) -> None:
        rejects, self._rejects = self._rejects, []
        acks, self._acks = self._acks, []
        settlements: list[Basic.Ack | Basic.Reject] = [Basic.Reject(tag, requeue=False) for tag in rejects]
        _, self._low = combine(self._settled, self._low, rejects)
        frames, self._low = combine(self._settled, self._low, acks)
        settlements += [Basic.Ack(tag, multiple=multiple) for tag, multiple in frames]
        if settlements:
            await batch.settle(self._channel, settlements)
        if acks:
            failpoints.hit("ack.sent")
