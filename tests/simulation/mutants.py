"""The guards, each broken on purpose: the simulation is only worth something if it finds what is missing.

Some guards have another behind them, and only both together let something through:
a key used after its hour does harm where the look-up in front of it is no longer true, that is in a process that was
stopped in between.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

from tests.simulation import statements
from tests.simulation.run import Result, simulate
from tests.simulation.scenario import one_invoice
from tests.simulation.tables import Row, Transaction
from worker.economic import transport
from worker.handlers.pushing import handler, ledger


@dataclass(frozen=True)
class Mutant:
    """What is broken, and what it takes to show it."""

    breaks: tuple[Callable[[], AbstractContextManager[Any]], ...]
    ambush: str = ""
    """Where a process must be stopped for over an hour to show it; chance comes there once in thousands of runs."""

    def run(self, seed: int) -> Result:
        """Run a seed, on the stage that shows it."""
        if self.ambush:
            return simulate(seed, scenario=one_invoice(), ambush={self.ambush: STOPPED_S})
        return simulate(seed)

    def first_seed(self, limit: int) -> int | None:
        """Return the first seed up to the limit whose run breaks a promise."""
        return next((seed for seed in range(1, limit + 1) if self.run(seed).violations), None)


async def _nothing_found(_reference: str, _look_up: Any, _known: Any) -> None:
    return None


def _whoever_comes(tx: Transaction, source: str, event_id: str, _fence: int) -> Row | None:
    tx.lock(statements.INBOX, (source, event_id))
    return tx.get(statements.INBOX, (source, event_id))


def _set(where: object, name: str, value: object) -> Callable[[], AbstractContextManager[Any]]:
    return lambda: mock.patch.object(where, name, value)


def _leave(progress: Any) -> None:
    progress.sent = True


@contextmanager
def _no_look_up() -> Iterator[None]:
    with _set(ledger, "looked_up", _nothing_found)(), _set(handler, "looked_up", _nothing_found)():
        yield


STOPPED_S = 4000.0
"""Longer than e-conomic remembers a key."""

MUTANTS: dict[str, Mutant] = {
    "no look-up": Mutant((_no_look_up,)),
    "no fence": Mutant((_set(statements, "_fenced", _whoever_comes),)),
    "key after its hour": Mutant((_set(ledger, "KEY_LIFE_S", 1e9), _no_look_up)),
    "stopped before the call": Mutant(
        (_set(ledger, "SEND_WITHIN_S", 1e9),),
        ambush="after commit: group commit",
    ),
    "stopped on the way": Mutant(
        (_set(transport._Progress, "set_out", _leave),),
        ambush="connecting for POST /invoices/drafts",
    ),
}


@contextmanager
def mutated(name: str) -> Iterator[None]:
    """Break one guard, by name, while the block runs; an empty name breaks none."""
    with ExitStack() as stack:
        for breaks in MUTANTS[name].breaks if name else ():
            stack.enter_context(breaks())
        yield
