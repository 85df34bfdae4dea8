"""Webhooks: which there are, and making, replacing and removing them. Role SuperUser only."""

from urllib.parse import quote

from pydantic import SecretStr, TypeAdapter, ValidationError

from schemas.webhook import EconomicHook, HookOut, HookType
from worker.economic.call import Call
from worker.economic.endpoints.calls import Calls
from worker.economic.listing import Listing
from worker.economic.sentences import unavailable

WEBHOOKS_API = "/webhooksapi/v1.0.0"
HOOKS = Listing(f"{WEBHOOKS_API}/webhooks", EconomicHook, lambda hook: hook.event_type, "webhooks")
_TYPES = TypeAdapter(list[HookType])


class WebhookCalls(Calls):
    """Read, make, replace and remove webhooks of the agreement."""

    async def hook_types(self) -> list[HookType]:
        """What webhooks can be called for, with the fields that are filled in."""
        call = Call("GET", "openapi", f"{WEBHOOKS_API}/EventTypes", "event types of webhooks", "webhooks")
        body = await self._transport.request(call, self._grant)
        try:
            return _TYPES.validate_json(body)
        except ValidationError:
            raise unavailable(f"{call.what}: the answer cannot be read ({len(body)} bytes)") from None

    async def hooks(self) -> list[EconomicHook]:
        """All webhooks of the agreement, whoever made them."""
        found: list[EconomicHook] = []
        async for parsed, _ in self._by_cursor(HOOKS, None):
            found += parsed.items
        return found

    async def make_hook(self, hook: HookOut) -> None:
        """Make a webhook. Raises ``Refused`` when the event type has one, ``OutcomeUnknown``: look again."""
        await self._send("POST", HOOKS.path, hook)

    async def replace_hook(self, hook: HookOut) -> None:
        """Replace a webhook of ours. Raises ``Unavailable`` when somebody changed it meanwhile, ``OutcomeUnknown``."""
        await self._send("PUT", HOOKS.path, hook)

    async def remove_hook(self, event_type: str) -> None:
        """Remove a webhook. Raises ``Refused`` (not found), ``OutcomeUnknown``."""
        await self._send("DELETE", f"{HOOKS.path}/{quote(event_type, safe='')}", None)

    async def _send(self, method: str, path: str, hook: HookOut | None) -> None:
        body = hook.model_dump_json(exclude_none=True).encode() if hook else None
        secrets = tuple(SecretStr(header.value) for header in hook.custom_headers) if hook else ()
        call = Call(method, "openapi", path, "a webhook", "webhooks", body=body, secrets=secrets)
        await self._transport.request(call, self._grant)
