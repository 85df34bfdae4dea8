"""What the sandbox consists of apart from the server: agreements, gate, faults, the request log and the switches."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from worker.sandbox.agreement import Agreement, Language
from worker.sandbox.amounts import VatRounding
from worker.sandbox.answers import Answer, ApiError
from worker.sandbox.faults import FaultRule, Faults
from worker.sandbox.gate import Gate, Surface
from worker.sandbox.hook_sender import HookSender
from worker.sandbox.limits import RateLimit
from worker.sandbox.records import SeedSize
from worker.sandbox.seed import seed_agreement

_FIRST_NUMBER = 1_000_001
_COMPANIES = ("Ærø Bådebyggeri ApS", "Skagen Røgeri A/S", "Nørrebro Cykler ApS", "Ølgod Maskinfabrik A/S")
_MAX_REQUESTS = 200_000


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One API request as it went: ``grant`` is a short hash of the grant token, ``fault`` the kind that struck.

    ``status`` is None when no answer was sent; ``replayed`` says that the answer came from the idempotency store.
    """

    method: str
    path: str
    query: str
    status: int | None
    grant: str
    agreement: int | None
    idempotency_key: str | None
    fault: str | None
    replayed: bool
    at: datetime


def grant_hash(token: str) -> str:
    """Return the short hash under which the request log shows a grant token."""
    return hashlib.sha256(token.encode()).hexdigest()[:8] if token else ""


class World:
    """The sandbox without its server; ``Sandbox`` documents the arguments."""

    def __init__(
        self,
        *,
        seed: int = 1,
        size: SeedSize | None = None,
        now: Callable[[], datetime] | None = None,
        vat_rounding: VatRounding = "invoice",
        language: Language = "da",
        consent_redirect_hosts: Sequence[str] | None = None,
    ) -> None:
        self.seed = seed
        self.now = now or (lambda: datetime.now(UTC))
        self.vat_rounding: VatRounding = vat_rounding
        self.language: Language = language
        self.consent_redirect_hosts = consent_redirect_hosts
        self.app_secret_token = f"sandbox-app-secret-not-a-secret-{seed}"
        self.app_public_token = f"sandbox-app-public-{seed}"
        self.faults = Faults(seed)
        self.hook_sender = HookSender(self.faults)
        self.requests: list[RequestRecord] = []
        self.agreements: list[Agreement] = []
        self._demo: Agreement | None = None
        self._origin = ""
        self.gate = Gate(
            app_secret=self.app_secret_token,
            app_public_token=self.app_public_token,
            now=self.now,
            find=self._find_by_grant,
            demo=self._demo_agreement,
        )
        self.add_agreement(size=size)

    # --- agreements --------------------------------------------------------------------------

    def add_agreement(
        self,
        size: SeedSize | None = None,
        number: int | None = None,
        seed: int | None = None,
        company_name: str | None = None,
    ) -> Agreement:
        """Add a seeded agreement; without a number it gets the next. Raises ValueError for a number in use."""
        taken = {agreement.number for agreement in self.agreements}
        if number is None:
            number = max(taken, default=_FIRST_NUMBER - 1) + 1
        elif number in taken:
            raise ValueError(f"agreement {number} exists already")
        agreement = Agreement(
            number,
            company_name or _COMPANIES[len(taken) % len(_COMPANIES)],
            now=self.now,
            vat_rounding=self.vat_rounding,
            language=self.language,
        )
        seed_agreement(agreement, size or SeedSize(), self.seed if seed is None else seed)
        self.hook_sender.attach(number, agreement.hooks)
        self.agreements.append(agreement)
        return agreement

    def agreement(self, number: int | None = None) -> Agreement:
        """Return an agreement by number, or the first. Raises KeyError."""
        for agreement in self.agreements:
            if number is None or agreement.number == number:
                return agreement
        raise KeyError(f"no agreement {number}")

    def _find_by_grant(self, token: str) -> Agreement | None:
        return next((agreement for agreement in self.agreements if agreement.accepts(token)), None)

    def _demo_agreement(self) -> Agreement:
        if self._demo is None:
            self._demo = Agreement(1, "Demo", now=self.now, language="en", read_only=True)
            seed_agreement(self._demo, SeedSize(12, 7, 30, 4), self.seed)
        return self._demo

    # --- switches ----------------------------------------------------------------------------

    def log(self, record: RequestRecord) -> None:
        """Note a request; of very many the older half is forgotten."""
        self.requests.append(record)
        if len(self.requests) > _MAX_REQUESTS:
            del self.requests[: _MAX_REQUESTS // 2]

    def set_limits(self, size: int, window_s: int = 60, agreement: Agreement | None = None) -> None:
        """Set how many tokens a grant has per window, for one agreement or for all, and start a new window."""
        if agreement is None:
            self.gate.default_limit = (size, window_s)
        for one in [agreement] if agreement else self.agreements:
            limit: RateLimit = self.gate.limit_of(one)
            limit.size, limit.window_s = size, window_s
            limit.restart()

    def forget_idempotency(self) -> None:
        """Forget all idempotent answers, as if their hour had passed."""
        self.gate.idempotency.forget()

    def add_fault(self, kind: Any, **options: Any) -> FaultRule:
        """Add a fault rule; see ``FaultRule`` for the options. Raises ValueError."""
        return self.faults.add(kind, **options)

    # --- addresses ---------------------------------------------------------------------------

    @property
    def origin(self) -> str:
        """The server's own address, without a path. Empty before ``start``."""
        return self._origin

    @property
    def legacy_url(self) -> str:
        """Where the legacy REST service is; every ``self`` link starts with it."""
        return f"{self._origin}/legacy"

    @property
    def openapi_url(self) -> str:
        """Where the OpenAPI services are."""
        return f"{self._origin}/openapi"

    @property
    def consent_url(self) -> str:
        """Where the consent page is."""
        return f"{self._origin}/consent"

    def refusal(self, surface: Surface, error: ApiError) -> Answer:
        """Return an error in a surface's shape, for faults."""
        return self.gate.refusal(surface, error, "00000000000000ff-FLT")
