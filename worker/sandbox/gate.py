"""What happens to every API call around its handler: tokens, roles, limits, media type, idempotency, error shape."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from worker.sandbox.agreement import Agreement, Role
from worker.sandbox.answers import Answer, ApiError, legacy_error, problem
from worker.sandbox.calls import Call, Router
from worker.sandbox.limits import IdempotencyStore, RateLimit

_ALLOWED: dict[str, frozenset[Role]] = {
    "customers": frozenset({"SuperUser", "Sales"}),
    "invoices": frozenset({"SuperUser", "Sales"}),
    "employees": frozenset({"SuperUser", "Sales"}),
    "products": frozenset({"SuperUser", "Sales"}),
    "webhooks": frozenset({"SuperUser"}),
    "self": frozenset({"SuperUser", "Sales"}),
    "accounts": frozenset({"SuperUser", "Bookkeeping"}),
    "accounting-years": frozenset({"SuperUser", "Bookkeeping"}),
    "currencies": frozenset({"SuperUser", "Sales", "Bookkeeping"}),
}
"""The vendor's published role table; resources it does not list are open to every role."""
_EVERY: frozenset[Role] = frozenset({"SuperUser", "Sales", "Bookkeeping", "ProjectEmployee"})


@dataclass(frozen=True, slots=True)
class Surface:
    """One of the two APIs: its routes and how it words errors."""

    name: str
    router: Router
    base: str
    legacy: bool


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came in: ``path`` still encoded, ``segments`` decoded, header names in lower case."""

    method: str
    path: str
    segments: tuple[str, ...]
    query: str
    headers: Mapping[str, str]
    body: bytes


class Gate:
    """Answers API requests. Has no I/O, so each call is atomic."""

    def __init__(
        self,
        *,
        app_secret: str,
        app_public_token: str,
        now: Callable[[], datetime],
        find: Callable[[str], Agreement | None],
        demo: Callable[[], Agreement],
    ) -> None:
        self._app_secret, self._app_public, self._now = app_secret, app_public_token, now
        self._find, self._demo = find, demo
        self._limits: dict[int, RateLimit] = {}
        self.idempotency = IdempotencyStore(now)
        self.default_limit = (10_000, 60)
        self._ids = itertools.count(1)

    def limit_of(self, agreement: Agreement) -> RateLimit:
        """Return the rate limit of an agreement's grant."""
        return self._limits.setdefault(agreement.number, RateLimit(self._now, *self.default_limit))

    def find_agreement(self, request: Request) -> Agreement | None:
        """Return the agreement that a request's tokens open, if any."""
        secret = request.headers.get("x-appsecrettoken", "")
        grant = request.headers.get("x-agreementgranttoken", "")
        if secret == grant == "demo" or "demo=true" in request.query.split("&"):  # noqa: S105 - public
            return self._demo()
        if secret != self._app_secret or not grant:
            return None
        return self._find(grant)

    def answer(self, surface: Surface, request: Request) -> Answer:
        """Answer one request, with the headers that every answer carries."""
        log_id = f"{next(self._ids):016x}-CPH"
        agreement = self.find_agreement(request)
        try:
            answer = self._authorised(surface, request, agreement)
        except ApiError as exc:
            answer = self.refusal(surface, exc, log_id)
        spent = self.limit_of(agreement).spend(answer.cost) if agreement else {"X-CallCost": str(answer.cost)}
        headers = {"X-RequestId": log_id, "X-EconomicVersion": "sandbox", **spent, **answer.headers}
        return Answer(answer.status, answer.body, answer.content_type, headers, answer.cost)

    def refusal(self, surface: Surface, error: ApiError, log_id: str) -> Answer:
        """Return an error in the surface's shape."""
        return legacy_error(error, log_id, self._now()) if surface.legacy else problem(error, log_id, self._now())

    def _authorised(self, surface: Surface, request: Request, agreement: Agreement | None) -> Answer:
        if agreement is None:
            hint = "Check the headers X-AppSecretToken and X-AgreementGrantToken."
            raise ApiError(401, "Access denied. Your access token is not valid.", "E00401", hint=hint)
        self.limit_of(agreement).check()
        route, keys = surface.router.find(request.method, request.segments)
        if agreement.role not in _ALLOWED.get(route.resource, _EVERY):
            raise ApiError(403, "Access denied. Your app role does not give access to this resource.", "E00403")
        if request.method != "GET" and agreement.read_only:
            raise ApiError(403, "The demo agreement is read only.", "E00403")
        media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if request.body and media != "application/json":
            raise ApiError(415, "The content type must be application/json.")
        call = Call(
            request.method,
            request.path,
            request.segments,
            request.query,
            request.body,
            agreement,
            surface.base,
            keys,
            self._app_public,
        )
        key = request.headers.get("idempotency-key", "")
        if not key or request.method == "GET":
            return route.handler(call)
        return self._once(surface, request, agreement, key, lambda: route.handler(call))

    def _once(
        self, surface: Surface, request: Request, agreement: Agreement, key: str, act: Callable[[], Answer]
    ) -> Answer:
        grant, url = agreement.grant_token, f"{request.method} {surface.name}/{request.path}?{request.query}"
        replayed = self.idempotency.replay(grant, key, url, request.body)
        if replayed is not None:
            return replayed
        try:
            answer = act()
        except ApiError as exc:
            answer = self.refusal(surface, exc, f"{next(self._ids):016x}-CPH")
        self.idempotency.keep(grant, key, url, request.body, answer)
        return answer
