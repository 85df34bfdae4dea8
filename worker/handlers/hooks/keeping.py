"""``pike-economic.hooks.check``: our webhooks in e-conomic are there, switched on and as they should be.

An agreement has one hook per event type over all apps. One that leads to us is ours; any other is somebody else's and
is left alone, whatever it says: the schedule then brings what it would have told.
"""

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import structlog
from pydantic import SecretStr

from events.envelope import Envelope
from schemas.problem import Cause
from schemas.webhook import EconomicHook, HookHeaderOut, HookOut
from worker.economic.endpoints import EconomicApi
from worker.errors import Refused, WithProblem
from worker.run import Run
from worker.store import hooks
from worker.store.crypto import Vault
from worker.store.hooks import HookState, State, address_secret

log = structlog.get_logger()

HEADER = "X-Pike-Webhook-Secret"
PATH = "/webhooks/economic"
WANTED: Mapping[str, str] = {
    "CUSTOMER_UPDATED": "event=CUSTOMER_UPDATED\nold=[OLDNUMBER]\nnew=[NEWNUMBER]",
    "INVOICE_BOOKED": "event=INVOICE_BOOKED\nnumber=[INVOICENO]",
    "PRODUCT_UPDATED": "event=PRODUCT_UPDATED\nold=[OLDNUMBER]\nnew=[NEWNUMBER]",
}
"""Event type → what is sent to us. Lines: merge fields are filled in raw, and a product number may hold quotes."""

REMOVE_LIMIT_S = 10.0
_NO_ACCESS = frozenset({Cause.ACCESS_DENIED, Cause.MODULE_MISSING})
_TAKEN = "WebhookAlreadyExistsForEventType"


class KeepHooks:
    """Handler of ``pike-economic.hooks.check``. Without a public address there is nothing to keep."""

    def __init__(self, vault: Vault | None, public_url: str) -> None:
        self._vault = vault
        self._public_url = public_url

    async def __call__(self, _event: Envelope[Any], run: Run) -> None:
        """Look, repair, and keep what was found. A lost answer is looked up at the next try."""
        connection = run.connection
        if connection is None or self._vault is None or not self._public_url:
            async with run.finish("nothing_to_keep"):
                return
        async with run.checkpoint() as work:
            secret = await hooks.secret_of(work.connection, self._vault, connection.id)
        found = await self._look(run.need_api(), connection.id, secret)
        repaired = [each.event_type for each in found if each.repaired]
        if repaired:
            log.warning("hooks.repaired", workspace=run.workspace_id, hooks=repaired)
        async with run.finish("kept") as work:
            await hooks.note(work.connection, connection.id, found)

    async def _look(self, api: EconomicApi, connection_id: UUID, secret: SecretStr) -> list[HookState]:
        try:
            there = {hook.event_type: hook for hook in await api.hooks()}
        except Refused as exc:
            if exc.problem.cause not in _NO_ACCESS:
                raise
            return [HookState(event_type, "no_access") for event_type in WANTED]
        missing = [event_type for event_type in WANTED if event_type not in there]
        offered = {each.name for each in await api.hook_types()} if missing else set()
        url = f"{self._public_url}{PATH}/{connection_id}"
        return [
            await _keep(api, _made(event_type, url, secret), there.get(event_type), secret, event_type in offered)
            for event_type in WANTED
        ]


async def _keep(
    api: EconomicApi, wanted: HookOut, there: EconomicHook | None, secret: SecretStr, offered: bool
) -> HookState:
    """See to one hook."""
    name = wanted.event_type
    if there is None:
        return HookState(name, await _make(api, wanted) if offered else "not_offered")
    if not is_ours(there, UUID(wanted.url.rpartition("/")[2])):
        return HookState(name, "taken")
    if not there.is_disabled and (_same(there, wanted) or _by_hand(there, wanted.url, secret)):
        return HookState(name, "on")
    await api.replace_hook(wanted.model_copy(update={"object_version": there.object_version}))
    return HookState(name, "on", repaired=True, disabled_at=there.last_disabled_date)


async def _make(api: EconomicApi, wanted: HookOut) -> State:
    try:
        await api.make_hook(wanted)
    except Refused as exc:
        if exc.problem.cause in _NO_ACCESS:
            return "no_access"
        economic = exc.problem.economic
        if economic is None or economic.error_code != _TAKEN:
            raise
        return "taken"  # somebody was faster
    return "on"


def _made(event_type: str, url: str, secret: SecretStr) -> HookOut:
    return HookOut(
        event_type=event_type,
        name="Pike",
        url=url,
        content_type="text/plain",
        post_data=WANTED[event_type],
        custom_headers=(HookHeaderOut(key=HEADER, value=secret.get_secret_value()),),
    )


def is_ours(hook: EconomicHook, connection_id: UUID) -> bool:
    """Return whether a hook leads to this connection, at whatever address we had when it was made."""
    try:
        path = urlsplit(hook.url).path
    except ValueError:
        return False
    ours = f"{PATH}/{connection_id}"
    return path == ours or path.startswith(f"{ours}/")


def _same(there: EconomicHook, wanted: HookOut) -> bool:
    headers = {header.key.lower(): header.value for header in there.custom_headers or ()}
    expected = {header.key.lower(): header.value for header in wanted.custom_headers}
    return (there.url, there.post_data, headers) == (wanted.url, wanted.post_data, expected)


def _by_hand(there: EconomicHook, url: str, secret: SecretStr) -> bool:
    """Return whether it was set up by hand with the address that we gave."""
    return there.url.partition("?")[0] == f"{url}/{address_secret(secret)}"


def addresses(public_url: str, connection_id: UUID, secret: SecretStr) -> dict[str, str]:
    """Return the addresses to set up by hand in e-conomic (All settings, Extensions, Web hooks), by event type."""
    base = f"{public_url}{PATH}/{connection_id}/{address_secret(secret)}"
    changed = "&old=[OLDNUMBER]&new=[NEWNUMBER]"
    return {
        "CUSTOMER_UPDATED": f"{base}?event=CUSTOMER_UPDATED{changed}",
        "INVOICE_BOOKED": f"{base}?event=INVOICE_BOOKED&number=[INVOICENO]",
        "PRODUCT_UPDATED": f"{base}?event=PRODUCT_UPDATED{changed}",
    }


async def remove_hooks(run: Run) -> None:
    """Remove our hooks from e-conomic, as far as it lets us: what is left behind is not answered any more."""
    if run.connection is None or run.api is None:
        return
    try:
        async with asyncio.timeout(REMOVE_LIMIT_S):
            for hook in await run.api.hooks():
                if is_ours(hook, run.connection.id):
                    await run.api.remove_hook(hook.event_type)
    except (WithProblem, TimeoutError) as exc:
        log.warning("hooks.left_behind", workspace=run.workspace_id, error=str(exc))
