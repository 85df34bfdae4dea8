"""One request to e-conomic: auth headers, deadline, quick retries of safe calls, limits, and errors translated.

Only GET is retried here, and only for seconds; longer waiting is the worker's ladder. A write whose answer was lost
is ``OutcomeUnknown``. Tokens go to the two configured origins only, and redirects are never followed.
"""

import asyncio
import random as random_module
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Literal, Self
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
import structlog
from pydantic import SecretStr
from yarl import URL

from worker.clock import Clock
from worker.economic import backoff
from worker.economic.limiter import Usage
from worker.economic.responses import error_for, outcome_unknown_problem, status_inside, unavailable
from worker.errors import OutcomeUnknown, Transient, Unavailable, WorkerError

if TYPE_CHECKING:
    from worker.economic.endpoints import EconomicApi

log = structlog.get_logger()

MAX_TRIES = 3
Surface = Literal["legacy", "openapi"]


class WrongOrigin(WorkerError):
    """An address lies outside the configured origins: the tokens are not sent there."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request in the making. ``what`` names it in business words; ``family`` is its label in logs."""

    method: str
    surface: Surface
    path: str
    what: str
    family: str
    query: Mapping[str, str] | None = None
    body: bytes | None = None
    idempotency_key: str | None = None

    @property
    def safe(self) -> bool:
        """Return whether the call may be repeated without asking."""
        return self.method == "GET"


def _user_agent() -> str:
    try:
        return f"pike-economic/{version('pike-economic')}"
    except PackageNotFoundError:
        return "pike-economic"


class EconomicClient:
    """The process's HTTP client. Use as a context manager, or ``start`` and ``close`` it."""

    def __init__(
        self,
        *,
        legacy_url: str,
        openapi_url: str,
        app_secret_token: SecretStr,
        clock: Clock,
        random: random_module.Random | None = None,
        request_deadline_s: float = 60.0,
        attempt_timeout_s: float = 30.0,
        max_connections: int = 64,
        max_body_bytes: int = 64 * 1024 * 1024,
    ) -> None:
        self._bases = {"legacy": legacy_url.rstrip("/"), "openapi": openapi_url.rstrip("/")}
        self._origins = {_origin(base) for base in self._bases.values()}
        self._app_secret = app_secret_token
        self.clock = clock
        self._random = random or random_module.Random()  # noqa: S311  # jitter, not secrets
        self._deadline_s = request_deadline_s
        self._attempt_timeout_s = attempt_timeout_s
        self._max_connections = max_connections
        self._max_body_bytes = max_body_bytes
        self._session: aiohttp.ClientSession | None = None
        self._agent = _user_agent()

    async def start(self) -> None:
        """Open the connection pool."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._max_connections, keepalive_timeout=30),
            timeout=aiohttp.ClientTimeout(total=self._attempt_timeout_s, sock_connect=10),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=True,
        )

    async def close(self) -> None:
        """Close the connection pool."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    def for_grant(self, grant_token: SecretStr, *, agreement_number: int | None) -> "EconomicApi":
        """Return the calls of one agreement. The token is kept secret and put on requests only."""
        from worker.economic.endpoints import EconomicApi  # the calls are built on this module

        return EconomicApi(self, grant_token, agreement_number)

    def check_origin(self, url: str) -> None:
        """Raise ``WrongOrigin`` for an address that tokens must not be sent to, such as a link in an answer."""
        if _origin(url) not in self._origins:
            raise WrongOrigin(f"refused to call {urlsplit(url).hostname}: tokens are sent to e-conomic only")

    async def request(self, call: Call, grant: SecretStr, usage: Usage) -> bytes:
        """Make the call and return the body of a successful answer; raises what ``worker.errors`` draws."""
        try:
            async with asyncio.timeout(self._deadline_s):
                return await self._tries(call, grant, usage)
        except TimeoutError as exc:
            if call.safe:
                raise unavailable(f"{call.what}: no complete answer within {self._deadline_s:g} s") from exc
            raise _lost(call, "no answer in time") from exc

    async def _tries(self, call: Call, grant: SecretStr, usage: Usage) -> bytes:
        tries = MAX_TRIES if call.safe else 1
        for attempt in range(1, tries + 1):
            if usage.pause_s:
                await self.clock.sleep(usage.pause_s)
            try:
                return await self._once(call, grant, usage)
            except Transient as exc:
                wait = backoff.honoured_s(exc.retry_after_s, attempt, self._random)
                patient = isinstance(exc, Unavailable) or exc.retry_after_s is not None
                if attempt == tries or wait is None or not patient:
                    raise
                await self.clock.sleep(wait)
        raise AssertionError("unreachable")

    async def _once(self, call: Call, grant: SecretStr, usage: Usage) -> bytes:
        started = self.clock.monotonic()
        status, headers, body = await self._exchange(call, grant)
        usage.learn(headers)
        log.debug(
            "economic.call",
            family=call.family,
            method=call.method,
            status=status,
            duration_ms=round((self.clock.monotonic() - started) * 1000, 1),
            cost=headers.get("X-CallCost"),
        )
        status = status_inside(body) or status if 200 <= status < 300 else status
        if 200 <= status < 300:
            return body
        if 300 <= status < 400:
            raise unavailable(f"{call.what}: HTTP {status} points elsewhere, which is not followed")
        error = error_for(status, headers, body, call.what)
        if isinstance(error, Unavailable) and not call.safe:
            raise _lost(call, f"HTTP {status}") from error
        raise error

    async def _exchange(self, call: Call, grant: SecretStr) -> tuple[int, Mapping[str, str], bytes]:
        url = self._bases[call.surface] + call.path
        if call.query:  # wholly encoded: the service half-applies a filter whose "&" it sees
            url += "?" + urlencode(call.query, quote_via=quote, safe="")
        self.check_origin(url)
        if self._session is None:
            raise RuntimeError("the e-conomic client is not started")
        try:
            async with self._session.request(
                call.method,
                URL(url, encoded=True),
                data=call.body,
                headers=self._headers(call, grant),
                allow_redirects=False,
            ) as response:
                return response.status, response.headers, await self._read(response, call)
        except aiohttp.ClientConnectorError as exc:
            raise unavailable(f"{call.what}: no connection to {exc.host}:{exc.port}") from exc
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            reason = type(exc).__name__
            if call.safe:
                raise unavailable(f"{call.what}: the answer was lost ({reason})") from exc
            raise _lost(call, reason) from exc

    async def _read(self, response: aiohttp.ClientResponse, call: Call) -> bytes:
        body = bytearray()
        async for chunk in response.content.iter_chunked(1 << 16):
            body += chunk
            if len(body) > self._max_body_bytes:
                raise unavailable(f"{call.what}: the answer is larger than {self._max_body_bytes} bytes")
        return bytes(body)

    def _headers(self, call: Call, grant: SecretStr) -> dict[str, str]:
        headers = {
            "X-AppSecretToken": self._app_secret.get_secret_value(),
            "X-AgreementGrantToken": grant.get_secret_value(),
            "Accept": "application/json",
            "User-Agent": self._agent,
        }
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        if call.idempotency_key is not None:
            headers["Idempotency-Key"] = call.idempotency_key
        return headers


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return parts.scheme, (parts.hostname or "").lower(), port


def _lost(call: Call, reason: str) -> OutcomeUnknown:
    return OutcomeUnknown(outcome_unknown_problem(), f"{call.what}: the answer was lost ({reason})")
