"""What the tests of webhooks share: a worker that e-conomic can call, and calls made by hand."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp
from harness import Harness
from support import eventually

from worker.handlers.hooks.keeping import HEADER, WANTED, addresses
from worker.store import connections, hooks

ALL_ON = dict.fromkeys(WANTED, "on")


@dataclass
class Called:
    """A running, connected worker and the address at which e-conomic calls it."""

    running: Harness
    address: str
    _session: aiohttp.ClientSession = field(init=False)

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._session.close()

    async def connection_id(self) -> str:
        """The id in the address."""
        return str(await self.running.value("select id from economic.connections"))

    async def secret(self) -> str:
        """The secret that e-conomic was given."""
        hook = self.running.agreement.hooks.by_type["CUSTOMER_UPDATED"]
        return dict(hook.headers)[HEADER]

    async def by_hand(self) -> Mapping[str, str]:
        """The addresses to set up by hand."""
        dispatcher = self.running.worker.dispatcher
        async with dispatcher.database.connection("test") as connection:
            found = (await connections.find_all(connection))[0]
            secret = await hooks.secret_of(connection, dispatcher.vault, found.id)
        return addresses(self.address, found.id, secret)

    def post(self, path: str, body: bytes = b"", **options: Any) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Call, as e-conomic would."""
        url = path if path.startswith("http") else self.address + path
        return self._session.post(url, data=body, **options)

    async def call(self, body: str | bytes, *, secret: str | None = None, connection: str | None = None) -> int:
        """Call with the right secret and connection unless others are named; returns the status."""
        raw = body.encode() if isinstance(body, str) else body
        headers = {HEADER: await self.secret() if secret is None else secret, "Content-Type": "text/plain"}
        path = f"/webhooks/economic/{connection or await self.connection_id()}"
        async with self.post(path, raw, headers=headers) as answer:
            await answer.read()
            return answer.status

    async def hooks_are(self, **wanted: str) -> None:
        """Wait until the hooks were found so."""

        async def found() -> bool:
            rows = await self.running.rows("select event_type, state from economic.hooks")
            return {row["event_type"]: row["state"] for row in rows} == {**ALL_ON, **wanted}

        await eventually(found, timeout_s=20, message=f"hooks are {wanted or 'on'}")

    async def all_read(self) -> None:
        """Wait until nothing that was hinted at is left, and nobody reads."""
        sql = """select not exists (select 1 from economic.hints)
                 and not exists (select 1 from economic.hook_receivers where reading_id is not null)"""
        await eventually(lambda: self.running.value(sql), timeout_s=20, message="every hint is read")

    async def check_hooks(self) -> None:
        """Let the hooks be looked at again, and wait for the end of it."""
        before = await self.checks()
        await self.running.rows("update economic.hook_receivers set check_at = now()")
        await self.running.worker.watch.look()

        async def checked() -> bool:
            return await self.checks() > before

        await eventually(checked, message="the hooks are looked at")

    async def checks(self) -> int:
        """How often hooks were looked at."""
        sql = "select count(*) from economic.inbox where type = 'pike-economic.hooks.check' and state = 'done'"
        return int(await self.running.value(sql))


def customer(number: int | str, old: int | str | None = None) -> str:
    """A call about a customer, as e-conomic makes it."""
    return f"event=CUSTOMER_UPDATED\nold={number if old is None else old}\nnew={number}"
