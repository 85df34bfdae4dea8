"""Registers of an agreement that change rarely, kept for a few minutes per process: accounts, VAT rates, terms.

Whoever changes the chart of accounts in e-conomic sees it in Pike within ``KEEP_S``; e-conomic itself always uses the
newest, and what it stored is read back.
"""

from uuid import UUID

from worker.clock import Clock
from worker.economic.endpoints import EconomicApi
from worker.handlers.lookups import Lookups
from worker.store.connections import EconomicConnection

KEEP_S = 300.0


class Registers:
    """Lookups by grant, renewed after ``KEEP_S``. Two workspaces never share them, not even on one agreement:

    one would read with the other's grant, and be held when that one is revoked.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[tuple[UUID, int], tuple[float, Lookups]] = {}

    def of(self, connection: EconomicConnection, api: EconomicApi) -> Lookups:
        """Return the registers of a connection's agreement, read through ``api`` with this version of its grant."""
        now = self._clock.monotonic()
        grant = (connection.id, connection.grant_version)
        kept = self._kept.get(grant)
        if kept is None or now - kept[0] > KEEP_S:
            self._kept = {key: value for key, value in self._kept.items() if now - value[0] <= KEEP_S}
            kept = self._kept[grant] = (now, Lookups(api, connection.base_currency))
        kept[1].api = api
        return kept[1]
