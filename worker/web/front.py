"""What the pages stand on, built once by ``bootstrap``."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aiohttp import web

from worker.clock import Clock
from worker.economic.client import EconomicClient
from worker.handlers.connect_steps import Steps
from worker.runtime.hook_desk import HookDesk
from worker.store.crypto import Vault
from worker.store.outbox import OutboxRow
from worker.store.pool import Database
from worker.web.operators import Operators


@dataclass(frozen=True, slots=True)
class Front:
    """Addresses, keys and adapters of the pages. ``public_url`` is empty when pages for browsers are not set up.

    ``announce`` tells the relay of outbox rows that were committed just now.
    """

    database: Database
    clock: Clock
    client: EconomicClient
    vault: Vault
    steps: Steps
    operators: Operators
    announce: Callable[[Sequence[OutboxRow]], None]
    desk: HookDesk
    public_url: str
    consent_url: str
    app_public_token: str
    link_keys: Sequence[bytes]

    @property
    def secure(self) -> bool:
        """Whether browsers come over TLS, so that cookies may be kept to it."""
        return self.public_url.startswith("https://")

    @property
    def can_connect(self) -> bool:
        """Whether all that connecting in a browser needs is set."""
        return bool(self.public_url and self.link_keys and self.app_public_token)


FRONT = web.AppKey("front", Front)
