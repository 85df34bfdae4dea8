"""The guards, each broken on purpose: the simulation is only worth something if it finds what is missing."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from tests.simulation import statements
from tests.simulation.tables import Row, Transaction
from worker.handlers.pushing import ledger


async def _nothing_found(_write: Any) -> None:
    return None


def _whoever_comes(tx: Transaction, source: str, event_id: str, _fence: int) -> Row | None:
    tx.lock(statements.INBOX, (source, event_id))
    return tx.get(statements.INBOX, (source, event_id))


MUTANTS: dict[str, Callable[[], Any]] = {
    "no look-up": lambda: mock.patch.object(ledger, "_looked_up", _nothing_found),
    "no fence": lambda: mock.patch.object(statements, "_fenced", _whoever_comes),
    "key after its hour": lambda: mock.patch.object(ledger, "KEY_LIFE_S", 1e9),
    "no settling": lambda: mock.patch.object(ledger, "SETTLE_S", 0.0),
}


@contextmanager
def mutated(name: str) -> Iterator[None]:
    """Break one guard, by name, while the block runs; an empty name breaks none."""
    with ExitStack() as stack:
        if name:
            stack.enter_context(MUTANTS[name]())
        yield
