"""Statements that several events may share: each asks for its own, and what is asked for together is one statement.

Whoever asks does not notice. On a connection of its own the statement runs for it alone.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from worker.store.pool import Connection

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Shared(Generic[T, R]):
    """A statement for many items at once; ``many`` returns one result per item, in order.

    Items with a common key (a row that both write) are never in one statement.
    """

    many: Callable[[Connection, Sequence[T]], Awaitable[Sequence[R]]]
    keys: Callable[[T], Collection[Hashable]]


class Joint(ABC):
    """A connection that several events use, one after the other."""

    @abstractmethod
    async def share(self, statement: Shared[Any, Any], item: Any) -> Any:
        """Run the statement for the item, together with neighbours' items if there are any."""


async def run(connection: Connection, statement: Shared[T, R], item: T) -> R:
    """Return the statement's result for one item."""
    if isinstance(connection, Joint):
        result: R = await connection.share(statement, item)
        return result
    return (await statement.many(connection, [item]))[0]


def without_common_keys(asked: Sequence[tuple[Shared[Any, Any], Any]]) -> set[int]:
    """Return which of those waiting may share one statement with the first, by their positions."""
    taken: set[Hashable] = set()
    chosen: set[int] = set()
    for position, (statement, item) in enumerate(asked):
        keys = set(statement.keys(item))
        if statement is asked[0][0] and taken.isdisjoint(keys):
            chosen.add(position)
        taken |= keys  # whoever is passed over also keeps its place before those behind it
    return chosen
