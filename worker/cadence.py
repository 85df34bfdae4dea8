"""When batches begin. A batch has a price of its own, at our side, at Postgres' and at RabbitMQ's, whatever is in it:
the fewer there are, the more events a second, and the longer each event waits.

Two rules settle that by the load. Batches of a kind begin ``LEAST_S`` apart at least; whoever comes after a pause does
not wait. And before one begins, whatever is ready on the event loop goes first: on a calm loop that takes microseconds,
on a busy one it brings in those that are just about to ask, and no processor time is left unused meanwhile.
"""

import asyncio
import time

LEAST_S = 0.003
ROUNDS = 40
"""Rounds of the event loop that a batch lets go first, at most."""
MOST_S = 0.006
"""And no longer than this: in a flood one round takes milliseconds."""
CALM_S = 0.0001
"""A round that took less had next to nothing to do: nobody is about to come."""


now = time.perf_counter
"""What rounds are measured with; it stands still where every run of a seed must be the same."""


class Cadence:
    """Of one kind of batch: ``await turn()`` before each."""

    def __init__(self, rounds: int = ROUNDS) -> None:
        """``rounds``: how many rounds of a busy loop go first; one where whoever is behind must not wait for more."""
        self._rounds = rounds
        self._next = float("-inf")

    async def turn(self) -> None:
        """Wait until the next batch may begin."""
        loop = asyncio.get_running_loop()
        early_s = self._next - loop.time()
        if early_s > 0:
            await asyncio.sleep(early_s)
        at = began = now()
        for _ in range(self._rounds):
            before = at
            await asyncio.sleep(0)
            at = now()
            if at - before < CALM_S or at - began > MOST_S:
                break
        self._next = loop.time() + LEAST_S
