"""``pike-economic.hints.read``: read again what webhooks hinted at, many records in few calls, and write what differs.

The hint itself says nothing: what e-conomic answers is written, or that it has no such record any more.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from events.envelope import Envelope
from events.own import HintsRead
from schemas.kinds import LIST_OF
from schemas.problem import Problem
from worker import failpoints
from worker.entities import ENTITIES
from worker.handlers.hooks.records import Reread, read_customers, read_invoices, read_products
from worker.handlers.importing.reading import Reading
from worker.handlers.registers import Registers
from worker.run import Run, Work
from worker.store import booked, hints, imports, records
from worker.store.commits import OwnTransaction
from worker.store.hints import Kind, Pending

BATCH = 200
"""Records of a kind that one delivery reads; others go in between."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one delivery reads, by kind."""

    pending: Sequence[Pending]
    as_of: datetime
    wanted: dict[Kind, list[Pending]] = field(default_factory=dict)


class ReadHints:
    """Handler of ``pike-economic.hints.read``."""

    def __init__(self, registers: Registers) -> None:
        self._registers = registers

    async def __call__(self, event: Envelope[Any], run: Run) -> None:
        """Read a batch; what is left is for the next message to ourselves."""
        if run.connection is None or run.api is None:
            async with run.finish("not_connected") as work:
                await hints.release(work.connection, event.id)
            return
        batch = await _settled(run)
        reading = Reading(run, self._registers.of(run.connection, run.api), f"hook:{event.id}")
        reread = [
            await read(reading, batch.wanted[kind], batch.as_of)
            for kind, read in _READERS.items()
            if batch.wanted.get(kind)
        ]
        failpoints.hit("hints.read")
        run.commits = OwnTransaction(run.database)  # calls wait for the receiver's lock: it is not held for neighbours
        async with run.finish("read") as work:
            for part in reread:
                await part(work)
            await reading.tell(work, reading.recorded)
            await _go_on(work, run, batch.pending)


_READERS: Mapping[Kind, Callable[[Reading, Sequence[Pending], datetime], Awaitable[Reread]]] = {
    "product": read_products,
    "customer": read_customers,
    "invoice": read_invoices,
}


async def _settled(run: Run) -> Batch:
    """Wait in place, for about a second at most, while everything that waits is still being named."""
    until = run.clock.monotonic() + hints.LONGEST_S
    while True:
        batch = await _batch(run)
        if batch.pending or run.clock.monotonic() >= until:
            return batch
        async with run.read() as borrowed:
            if not await hints.any_left(borrowed, run.need_connection().id):
                return batch
        await run.clock.sleep(hints.SETTLED_S)


async def _batch(run: Run) -> Batch:
    """Take what waits. What Pike never wanted of this agreement, and does not have, is left out."""
    connection = run.need_connection()
    scope = (run.workspace_id, connection.agreement_number)
    as_of = run.clock.now()
    async with run.read() as borrowed:
        pending = await hints.pending(borrowed, connection.id, BATCH)
        imported = await imports.since_last(borrowed, *scope)
        batch = Batch(pending, as_of)
        for kind in _READERS:
            mine = [each for each in pending if each.hint.entity == kind]
            if mine and LIST_OF[kind] not in imported:
                known = await _known(borrowed, kind, scope, mine)
                mine = [each for each in mine if known & {each.hint.external_number, each.hint.renamed_from or ""}]
            batch.wanted[kind] = mine
    return batch


async def _known(connection: Any, kind: Kind, scope: tuple[str, int], mine: Sequence[Pending]) -> set[str]:
    numbers = [each.hint.external_number for each in mine]
    numbers += [each.hint.renamed_from for each in mine if each.hint.renamed_from]
    name = LIST_OF[kind]
    if name == "invoices":
        return {str(n) for n in await booked.known(connection, *scope, [int(number) for number in numbers])}
    return await records.known_numbers(connection, ENTITIES[name].table, *scope, numbers)


async def _go_on(work: Work, run: Run, read: Sequence[Pending]) -> None:
    """Forget what was read; hand over to the next message when something is left, else leave.

    The receiver is locked before any hint is touched, as by whoever adds hints.
    """
    connection_id = run.need_connection().id
    await hints.lock(work.connection, [connection_id])
    await hints.forget(work.connection, connection_id, read)
    left = await hints.any_left(work.connection, connection_id)
    await hints.set_reader(work.connection, connection_id, work.send_on(HintsRead()) if left else None)


async def give_up_hints(event: Envelope[Any], _problem: Problem, work: Work) -> None:
    """After a dead letter: what could not be read is left to the schedule's next round, which begins now."""
    await hints.leave_to_schedule(work.connection, event.id)


__all__ = ["ReadHints", "Reread", "give_up_hints"]
