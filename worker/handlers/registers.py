"""Registers of an agreement that change rarely, kept for a few minutes per process: accounts, VAT rates, terms.

Whoever changes the chart of accounts in e-conomic sees it in Pike within ``KEEP_S``; e-conomic itself always uses the
newest, and what it stored is read back.
"""

from worker.clock import Clock
from worker.economic.endpoints import EconomicApi
from worker.handlers.lookups import Lookups

KEEP_S = 300.0


class Registers:
    """Lookups by agreement, renewed after ``KEEP_S``. Never shared between agreements."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[int, tuple[float, Lookups]] = {}

    def of(self, agreement: int, api: EconomicApi) -> Lookups:
        """Return the agreement's registers, read through ``api``; the grant in use is always the current one."""
        now = self._clock.monotonic()
        kept = self._kept.get(agreement)
        if kept is None or now - kept[0] > KEEP_S:
            self._kept = {key: value for key, value in self._kept.items() if now - value[0] <= KEEP_S}
            kept = self._kept[agreement] = (now, Lookups(api))
        kept[1].api = api
        return kept[1]
