"""The control interface under ``/_sandbox/``: what tests and demos may see and change, as JSON over HTTP.

It exists only in the sandbox and has no counterpart in e-conomic. A bad request answers 400 with ``{"error": ...}``.
"""

from collections.abc import Awaitable, Callable
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from aiohttp import web

from worker.sandbox.agreement import Agreement
from worker.sandbox.jsontext import NotJson, dumps, loads
from worker.sandbox.records import SeedSize
from worker.sandbox.world import World

Action = Callable[[World, dict[str, Any]], object]


def describe(sandbox: World) -> dict[str, Any]:
    """Return the state summary: addresses, counts and sums per agreement, faults struck, requests served."""
    return {
        "legacy_url": sandbox.legacy_url,
        "openapi_url": sandbox.openapi_url,
        "consent_url": sandbox.consent_url,
        "agreements": [describe_agreement(agreement) for agreement in sandbox.agreements],
        "faults": dict(sorted(sandbox.faults.counts.items())),
        "rules": [
            {"kind": rule.kind, "path": rule.path, "method": rule.method, "times": rule.times, "struck": rule.struck}
            for rule in sandbox.faults.rules
        ],
        "requests": len(sandbox.requests),
    }


def describe_agreement(agreement: Agreement) -> dict[str, Any]:
    """Return one agreement's counts and its booked sums per currency and year. No token."""
    return {
        "number": agreement.number,
        "company_name": agreement.company_name,
        "revoked": agreement.revoked,
        "role": agreement.role,
        "customers": len(agreement.customers),
        "contacts": len(agreement.contacts),
        "products": len(agreement.products),
        "drafts": len(agreement.drafts),
        "booked": len(agreement.booked),
        "hooks": {name: "off" if hook.disabled else "on" for name, hook in sorted(agreement.hooks.by_type.items())},
        "closed_periods": [[first.isoformat(), last.isoformat()] for first, last in agreement.closed_periods],
        "totals": [
            {
                "currency": currency,
                "year": year,
                "count": row.count,
                "net": str(row.net),
                "vat": str(row.vat),
                "gross": str(row.gross),
                "remainder": str(row.remainder),
            }
            for (currency, year), row in agreement.totals().items()
        ],
    }


def _of(sandbox: World, doc: dict[str, Any]) -> Agreement:
    return sandbox.agreement(doc.get("agreement"))


def _revoke(sandbox: World, doc: dict[str, Any]) -> None:
    _of(sandbox, doc).revoke()


def _restore(sandbox: World, doc: dict[str, Any]) -> None:
    _of(sandbox, doc).restore()


def _close_period(sandbox: World, doc: dict[str, Any]) -> None:
    _of(sandbox, doc).close_period(date.fromisoformat(doc["from"]), date.fromisoformat(doc["to"]))


def _open_periods(sandbox: World, doc: dict[str, Any]) -> None:
    _of(sandbox, doc).open_periods()


def _bar_product(sandbox: World, doc: dict[str, Any]) -> None:
    _of(sandbox, doc).bar_product(str(doc["product"]), barred=bool(doc.get("barred", True)))


def _limits(sandbox: World, doc: dict[str, Any]) -> None:
    only = _of(sandbox, doc) if "agreement" in doc else None
    sandbox.set_limits(int(doc["size"]), int(doc.get("window_s", 60)), only)


def _add_agreement(sandbox: World, doc: dict[str, Any]) -> dict[str, Any]:
    size = SeedSize(**doc.get("size", {}))
    agreement = sandbox.add_agreement(size, doc.get("number"), doc.get("seed"), doc.get("company_name"))
    return {"number": agreement.number, "company_name": agreement.company_name, "grant_token": agreement.grant_token}


def _change(sandbox: World, doc: dict[str, Any]) -> None:
    """Change one record: ``{"customer": 1, "name": ...}``, ``{"product": "1", "sales_price": ...}`` and so on."""
    agreement = _of(sandbox, doc)
    fields = {name: value for name, value in doc.items() if name not in ("agreement", "customer", "product", "invoice")}
    if "customer" in doc:
        agreement.change_customer(int(doc["customer"]), **fields)
    elif "product" in doc:
        prices = {name: Decimal(str(value)) for name, value in fields.items() if name.endswith("_price")}
        agreement.change_product(str(doc["product"]), **(fields | prices))
    elif "invoice" in doc:
        payment = fields.get("payment")
        agreement.register_payment(int(doc["invoice"]), None if payment is None else Decimal(str(payment)))
    else:
        raise ValueError("name one of customer, product, invoice")


def _renumber(sandbox: World, doc: dict[str, Any]) -> None:
    """Renumber a customer or a product: ``{"customer": 1, "to": 2}``."""
    agreement = _of(sandbox, doc)
    if "customer" in doc:
        agreement.renumber_customer(int(doc["customer"]), int(doc["to"]))
    else:
        agreement.renumber_product(str(doc["product"]), str(doc["to"]))


def _disable_hook(sandbox: World, doc: dict[str, Any]) -> None:
    _of(sandbox, doc).hooks.disable(str(doc["event_type"]))


def _switch(sandbox: World, doc: dict[str, Any]) -> None:
    """Set the agreement's role or language."""
    agreement = _of(sandbox, doc)
    if doc.get("role", agreement.role) not in ("SuperUser", "Sales", "Bookkeeping", "ProjectEmployee"):
        raise ValueError("unknown role")
    if doc.get("language", agreement.language) not in ("da", "en"):
        raise ValueError("unknown language")
    agreement.role, agreement.language = doc.get("role", agreement.role), doc.get("language", agreement.language)


def _add_fault(sandbox: World, doc: dict[str, Any]) -> None:
    if "latency_s" in doc:
        sandbox.faults.latency_s = float(doc.pop("latency_s"))
    if doc:
        options = {k: float(v) if isinstance(v, Decimal) else v for k, v in doc.items()}
        sandbox.faults.add_from(options)


def _clear_faults(sandbox: World, _doc: dict[str, Any]) -> None:
    sandbox.faults.clear()


_ACTIONS: dict[tuple[str, str], Action] = {
    ("POST", "faults"): _add_fault,
    ("DELETE", "faults"): _clear_faults,
    ("POST", "revoke"): _revoke,
    ("POST", "restore"): _restore,
    ("POST", "close-period"): _close_period,
    ("POST", "open-periods"): _open_periods,
    ("POST", "bar-product"): _bar_product,
    ("POST", "limits"): _limits,
    ("POST", "agreements"): _add_agreement,
    ("POST", "change"): _change,
    ("POST", "switch"): _switch,
    ("POST", "renumber"): _renumber,
    ("POST", "disable-hook"): _disable_hook,
}


def _object(body: bytes) -> dict[str, Any]:
    doc = loads(body) if body else {}
    if not isinstance(doc, dict):
        raise NotJson("send a JSON object")
    return doc


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(status=status, body=dumps(value), content_type="application/json")


def _handler(sandbox: World, action: Action) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(http: web.Request) -> web.Response:
        try:
            result = action(sandbox, _object(await http.read()))
        except (NotJson, ValueError, KeyError, TypeError, AttributeError, InvalidOperation) as exc:
            return _json({"error": f"{type(exc).__name__}: {exc}"}, 400)
        return _json(result if result is not None else describe(sandbox))

    return handle


def control_routes(app: web.Application, sandbox: World) -> None:
    """Add the control interface to the server."""

    async def state(_http: web.Request) -> web.Response:
        return _json(describe(sandbox))

    app.router.add_get("/_sandbox", state)
    app.router.add_get("/_sandbox/", state)
    app.router.add_get("/_sandbox/state", state)
    for (method, name), action in _ACTIONS.items():
        app.router.add_route(method, f"/_sandbox/{name}", _handler(sandbox, action))
