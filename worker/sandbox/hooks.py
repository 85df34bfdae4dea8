"""Webhooks of an agreement: at most one per event type, whoever made it; merge fields; what happens calls them.

Source: the webhooks service's OpenAPI document, version 1.0.0 (2026), and the vendor's page about webhooks. Not
established there, and chosen here: merge fields are replaced in ``postData`` and ``url`` as ``[NAME]``, raw; a call is
tried three times; a hook is disabled after five calls in a row that failed.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass

EVENT_TYPES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "CUSTOMER_UPDATED": ("A customer was created, changed, renumbered or deleted.", ("NEWNUMBER", "OLDNUMBER")),
    "INVOICE_BOOKED": ("An invoice was booked.", ("INVOICENO",)),
    "PRODUCT_UPDATED": ("A product was created, changed, renumbered or deleted.", ("NEWNUMBER", "OLDNUMBER")),
    "PROJECT_UPDATED": ("A project was created, changed, renumbered or deleted.", ("NEWNUMBER", "OLDNUMBER")),
}
"""Name → description and merge fields."""

FAILURES_UNTIL_DISABLED = 5


@dataclass(slots=True)
class Hook:
    """One webhook. ``owner`` is the app that made it, or "ui"; the service does not show it."""

    event_type: str
    name: str
    url: str
    content_type: str
    last_updated: dt.datetime
    post_data: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    disabled: bool = False
    disabled_at: dt.datetime | None = None
    version: int = 1
    owner: str = "app"
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Ring:
    """One call to make: a hook as it was when something happened, with its fields filled in."""

    hook: Hook
    url: str
    body: str


Listener = Callable[[Ring], None]


class Hooks:
    """The hooks of one agreement and whoever carries their calls out."""

    def __init__(self, now: Callable[[], dt.datetime]) -> None:
        self._now = now
        self.by_type: dict[str, Hook] = {}
        self.listener: Listener | None = None

    def put(self, hook: Hook) -> None:
        """Insert or replace the hook of its event type."""
        known = self.by_type.get(hook.event_type)
        hook.version = known.version + 1 if known else 1
        hook.last_updated = self._now()
        if hook.disabled and not (known and known.disabled):
            hook.disabled_at = self._now()
        self.by_type[hook.event_type] = hook

    def disable(self, event_type: str) -> None:
        """Switch a hook off, as the service does after failures and a person may in the user interface."""
        hook = self.by_type[event_type]
        hook.disabled, hook.disabled_at = True, self._now()
        hook.version += 1

    def happened(self, event_type: str, **fields: object) -> None:
        """Something changed: call the hook for it, if there is one that is on."""
        hook = self.by_type.get(event_type)
        if hook is not None and not hook.disabled and self.listener is not None:
            values = {name: str(fields.get(name, "")) for name in EVENT_TYPES[event_type][1]}
            self.listener(Ring(hook, _merged(hook.url, values), _merged(hook.post_data, values)))

    def went(self, hook: Hook, *, well: bool) -> None:
        """Note how a call ended; too many bad ones in a row disable the hook."""
        hook.failures = 0 if well else hook.failures + 1
        if hook.failures >= FAILURES_UNTIL_DISABLED and self.by_type.get(hook.event_type) is hook:
            self.disable(hook.event_type)


def _merged(template: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        template = template.replace(f"[{name}]", value)
    return template
