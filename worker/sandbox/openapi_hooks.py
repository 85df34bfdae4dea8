"""The webhooks service. Source: its OpenAPI document, version 1.0.0 (2026). Role SuperUser only.

Stricter than known nowhere; laxer in one thing: plain http is taken for this machine, so that it can be shown locally.
"""

from typing import Any
from urllib.parse import urlsplit

from worker.sandbox.answers import Answer, not_found
from worker.sandbox.calls import Call, Route, route
from worker.sandbox.filters import COMPARE, LISTS, Field, Fields
from worker.sandbox.hooks import EVENT_TYPES, Hook
from worker.sandbox.jsontext import dumps
from worker.sandbox.links import present
from worker.sandbox.openapi_lists import Cursored, list_routes, object_version
from worker.sandbox.openapi_parties import flat_body, need_version, refuse
from worker.sandbox.register import Register
from worker.sandbox.shapes import Arr, Flag, Obj, Text

WEBHOOKS_API = "webhooksapi/v1.0.0"
HOOKS: Fields = {
    "eventType": Field("event_type", "text", COMPARE | LISTS),
    "name": Field("name", "text", COMPARE),
    "isDisabled": Field("disabled", "flag", COMPARE, sortable=False),
}
_MAX_HEADERS, _MAX_HEADER_CHARS = 5, 1000
_LOCAL = ("127.0.0.1", "localhost", "::1")
_PAIR = Obj({"key": Text(200, 1), "value": Text(1000)}, required=("key", "value"))
_HOOK = Obj(
    {
        "eventType": Text(100, 1),
        "name": Text(100),
        "url": Text(1000),
        "contentType": Text(50),
        "postData": Text(4000),
        "customHeaders": Arr(_PAIR),
        "isDisabled": Flag(),
        "objectVersion": Text(100),
    },
    required=("eventType", "name", "url", "contentType"),
)


def hook_open(hook: Hook) -> dict[str, Any]:
    """Return a hook as the service shows it."""
    return present(
        {
            "eventType": hook.event_type,
            "name": hook.name,
            "url": hook.url,
            "contentType": hook.content_type,
            "postData": hook.post_data or None,
            "customHeaders": [{"key": key, "value": value} for key, value in hook.headers] or None,
            "isDisabled": hook.disabled,
            "lastDisabledDate": hook.disabled_at.strftime("%Y-%m-%dT%H:%M:%SZ") if hook.disabled_at else None,
            "lastUpdated": hook.last_updated.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "objectVersion": object_version("webhook", hook.event_type, hook.version),
        }
    )


def _hooks(call: Call) -> Cursored[Hook]:
    hooks = call.agreement.hooks
    return Cursored(
        Register(),  # few, and they change without asking: nothing is remembered
        "open",
        lambda: [hooks.by_type[name] for name in sorted(hooks.by_type)],
        lambda row: (row.event_type,),
        HOOKS,
        hook_open,
    )


def _event_types(_call: Call) -> Answer:
    shown = [
        {
            "name": name,
            "description": text,
            "mergeFields": [{"fieldName": field, "description": field.title()} for field in fields],
        }
        for name, (text, fields) in EVENT_TYPES.items()
    ]
    return Answer(200, dumps(shown))


def _known(call: Call, event_type: str) -> Hook:
    hook = call.agreement.hooks.by_type.get(event_type)
    if hook is None:
        raise not_found("ResourceNotFound")
    return hook


def _checked(call: Call) -> dict[str, Any]:
    doc = flat_body(call, _HOOK)
    if doc["eventType"] not in EVENT_TYPES:
        raise refuse("WebhookInvalidType", "The event type does not exist.", "eventType")
    url = urlsplit(doc["url"])
    if not url.hostname:
        raise refuse("WebhookInvalidUrl", "The url is not valid.", "url")
    if url.scheme != "https" and not (url.scheme == "http" and url.hostname in _LOCAL):
        raise refuse("WebhookInvalidUrlScheme", "The url must use https.", "url")
    headers = doc.get("customHeaders") or []
    if len(headers) > _MAX_HEADERS:
        raise refuse("WebhookCustomHeadersTooMany", "At most 5 custom headers are allowed.", "customHeaders")
    if len(dumps(headers)) > _MAX_HEADER_CHARS:
        raise refuse("WebhookCustomHeadersTooLong", "The custom headers are too long.", "customHeaders")
    return doc


def _hook_from(call: Call, doc: dict[str, Any]) -> Hook:
    return Hook(
        doc["eventType"],
        doc["name"],
        doc["url"],
        doc["contentType"],
        call.agreement.now(),
        post_data=doc.get("postData") or "",
        headers=tuple((pair["key"], pair["value"]) for pair in doc.get("customHeaders") or []),
        disabled=bool(doc.get("isDisabled", False)),
    )


def _post(call: Call) -> Answer:
    doc = _checked(call)
    if doc["eventType"] in call.agreement.hooks.by_type:
        text = "A webhook for this event type exists already."
        raise refuse("WebhookAlreadyExistsForEventType", text, "eventType")
    call.agreement.hooks.put(_hook_from(call, doc))
    return Answer(201, dumps({"eventType": doc["eventType"]}))


def _put(call: Call) -> Answer:
    doc = _checked(call)
    known = _known(call, doc["eventType"])
    need_version(doc, object_version("webhook", known.event_type, known.version))
    call.agreement.hooks.put(_hook_from(call, doc))
    return Answer(204)


def _delete(call: Call) -> Answer:
    del call.agreement.hooks.by_type[_known(call, call.keys[0]).event_type]
    return Answer(204)


def hook_routes() -> list[Route]:
    """Return the routes of the webhooks service."""
    at = WEBHOOKS_API
    return [
        route("GET", f"{at}/eventtypes", _event_types, "webhooks"),
        *list_routes(f"{at}/webhooks", _hooks, "webhooks"),
        route(
            "GET",
            f"{at}/webhooks/*",
            lambda call: Answer(200, dumps(hook_open(_known(call, call.keys[0])))),
            "webhooks",
        ),
        route("POST", f"{at}/webhooks", _post, "webhooks"),
        route("PUT", f"{at}/webhooks", _put, "webhooks"),
        route("DELETE", f"{at}/webhooks/*", _delete, "webhooks"),
    ]
