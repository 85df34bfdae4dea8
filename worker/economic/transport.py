"""One request to e-conomic: auth headers, deadline, quick retries of safe calls, budget, and errors translated.

Only GET is retried here, and only for seconds; longer waiting is the worker's ladder. A write whose answer was lost
is ``OutcomeUnknown``; one that provably never left is ``Unavailable``. Redirects are never followed.
"""

import logging
import random as random_module
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from types import SimpleNamespace
from typing import Self

import aiohttp
import structlog
from multidict import CIMultiDict
from pydantic import SecretStr
from yarl import URL

from worker import failpoints
from worker.clock import Clock
from worker.deadlines import Deadlines
from worker.economic import backoff
from worker.economic.call import Addresses, Call, Grant
from worker.economic.limiter import Limiter, LocalLimiter, read_cost, read_rate
from worker.economic.responses import error_for, status_inside
from worker.economic.sentences import outcome_unknown, unavailable
from worker.errors import RateLimited, Transient, Unavailable, WithProblem
from worker.telemetry import metrics, tracing
from worker.telemetry.redaction import scrub

log = structlog.get_logger()

MAX_TRIES = 3
_CONNECT_TIMEOUT_S = 10.0
_CHUNK = 1 << 16


class _TooLate(aiohttp.ClientError):
    """The process was stopped on the way, for longer than the whole request may take: nothing was sent."""


@dataclass(slots=True)
class _Progress:
    """How far a request got. ``sent`` is set just before its first byte leaves.

    After ``until`` nothing sets out any more: a process that was stopped in the middle of a call (a suspended machine)
    would send what others have long finished, with an idempotency key that e-conomic has forgotten.
    """

    clock: Clock
    until: float
    sent: bool = False

    def set_out(self) -> None:
        """Note that the first byte leaves now. Raises ``_TooLate``."""
        if self.clock.monotonic() > self.until:
            raise _TooLate
        self.sent = True


@dataclass(frozen=True, slots=True)
class _Failure:
    """A call that failed, and whether trying again at once may help."""

    error: WithProblem
    quick: bool


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Sessions:
    """Two sessions over one pool of connections. Only writes are traced: whether one has begun to leave decides what a
    lost answer means, and watching costs every request a twentieth of its processor time."""

    reading: aiohttp.ClientSession
    writing: aiohttp.ClientSession

    @classmethod
    def open(cls, max_connections: int, timeout: aiohttp.ClientTimeout) -> Self:
        """Open the pool."""
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(_mark_sent)
        pool = aiohttp.TCPConnector(limit=max_connections, keepalive_timeout=30)

        def session(traces: list[aiohttp.TraceConfig]) -> aiohttp.ClientSession:
            return aiohttp.ClientSession(
                connector=pool, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), trace_configs=traces
            )

        return cls(session([]), session([trace]))

    def of(self, call: Call) -> aiohttp.ClientSession:
        """Return the session for a call."""
        return self.reading if call.safe else self.writing

    async def close(self) -> None:
        """Close the pool."""
        await self.reading.close()
        await self.writing.close()


class _TooLarge(Exception):
    """The answer's body is larger than allowed."""


class Transport:
    """The process's connection pool and the life of one call. ``start`` it before use and ``close`` it after."""

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
        limiter: Limiter | None = None,
    ) -> None:
        self.addresses = Addresses(legacy_url, openapi_url)
        self.clock = clock
        self._app_secret = app_secret_token
        self._random = random or random_module.Random()  # noqa: S311  # jitter, not secrets
        self._deadline_s = request_deadline_s
        self._attempt_timeout_s = attempt_timeout_s
        self._max_connections = max_connections
        self._max_body_bytes = max_body_bytes
        self._limiter: Limiter = limiter or LocalLimiter(clock)
        self._sessions: Sessions | None = None
        self._agent = _user_agent()
        self._deadlines = Deadlines()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'started' if self._sessions else 'stopped'}>"

    async def start(self) -> None:
        """Open the connection pool."""
        if self._sessions is None:
            # the whole of a try is limited by ``_exchange``: aiohttp's own limit is a timer for every request
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=min(_CONNECT_TIMEOUT_S, self._attempt_timeout_s))
            self._sessions = Sessions.open(self._max_connections, timeout)

    async def close(self) -> None:
        """Close the connection pool."""
        sessions, self._sessions = self._sessions, None
        if sessions is not None:
            await sessions.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    async def request(self, call: Call, grant: Grant) -> bytes:
        """Make the call and return the body of a successful answer.

        Raises ``Unavailable``, ``RateLimited``, ``GrantRevoked``, ``Refused``, and ``OutcomeUnknown`` for writes. The
        deadline covers waiting, retries and the whole body.
        """
        progress = _Progress(self.clock, self.clock.monotonic() + self._deadline_s)
        try:
            with self._deadlines.limit(self._deadline_s):
                return await self._tries(call, grant, progress)
        except TimeoutError:
            reason = f"no complete answer within {self._deadline_s:g} s"
        raise _lost(call, progress, reason)

    async def _tries(self, call: Call, grant: Grant, progress: _Progress) -> bytes:
        tries = MAX_TRIES if call.safe else 1
        for attempt in range(1, tries + 1):
            wait = await self._limiter.wait_s(grant.budget, bulk=grant.bulk)
            if wait:
                await self.clock.sleep(wait)
            outcome = await self._once(call, grant, progress)
            if isinstance(outcome, bytes):
                return outcome
            pause = self._pause_s(outcome, attempt) if attempt < tries else None
            if pause is None:
                raise outcome.error
            await self.clock.sleep(pause)
        raise AssertionError("the last try returns or raises")

    def _pause_s(self, failure: _Failure, attempt: int) -> float | None:
        error = failure.error
        if not failure.quick or not isinstance(error, Transient):
            return None
        if isinstance(error, RateLimited) and error.retry_after_s is None:
            return None
        return backoff.honoured_s(error.retry_after_s, attempt, self._random)

    async def _once(self, call: Call, grant: Grant, progress: _Progress) -> bytes | _Failure:
        if not tracing.is_on():
            return (await self._measured(call, grant, progress))[0]
        with tracing.span(
            f"{call.method} {call.family}",
            "client",
            attributes={"http.request.method": call.method, "url.template": call.family, "peer.service": "e-conomic"},
        ) as span:
            outcome, status, cost = await self._measured(call, grant, progress)
            if span is not None:
                if status is not None:
                    span.set_attribute("http.response.status_code", status)
                span.set_attribute("pike_economic.cost", cost or 0)
                tracing.failed(span, outcome.error if isinstance(outcome, _Failure) else None)
        return outcome

    async def _measured(
        self, call: Call, grant: Grant, progress: _Progress
    ) -> tuple[bytes | _Failure, int | None, int | None]:
        """Return what came of the exchange, with the answer's status and cost if there was one."""
        started = self.clock.monotonic()
        answer = await self._exchange(call, grant, progress)
        duration_s = self.clock.monotonic() - started
        outcome: bytes | _Failure
        status = cost = None
        if isinstance(answer, _Answer):
            status, cost, rate = answer.status, read_cost(answer.headers), read_rate(answer.headers)
            grant.usage.learn(duration_s, cost, rate)
            if rate is not None:
                await self._limiter.learn(grant.budget, rate)
            outcome = self._judge(call, progress, answer)
        else:
            outcome = answer
        metrics.api_calls(call.family, metrics.answer_class(status)).inc()
        metrics.api_duration(call.family).observe(duration_s)
        if cost:
            metrics.API_COST.inc(cost)
        if log.is_enabled_for(logging.DEBUG):
            facts = {"error": type(answer.error).__name__} if isinstance(answer, _Failure) else {"cost": cost}
            duration_ms = round(duration_s * 1000, 1)
            log.debug(
                "economic.call", family=call.family, method=call.method, duration_ms=duration_ms, status=status, **facts
            )
        return outcome, status, cost

    def _judge(self, call: Call, progress: _Progress, answer: _Answer) -> bytes | _Failure:
        """Return the body of a success, or what the answer means."""
        status = answer.status
        if 200 <= status < 300:
            status = status_inside(answer.body) or status
            if 200 <= status < 300:
                return answer.body
        now = self.clock.now()
        error = error_for(status, answer.headers, answer.body, call.what, now=now, write=not call.safe)
        if not call.safe and isinstance(error, Unavailable) and status != 409:
            return _Failure(_lost(call, progress, str(error)), quick=False)
        return _Failure(error, quick=status >= 500 or status == 429)

    async def _exchange(self, call: Call, grant: Grant, progress: _Progress) -> _Answer | _Failure:
        url = self.addresses.url_of(call)
        if self._sessions is None:
            raise RuntimeError("the e-conomic client is not started")
        quick = True
        try:
            with self._deadlines.limit(self._attempt_timeout_s):
                async with self._sessions.of(call).request(
                    call.method,
                    URL(url, encoded=True),
                    data=call.body,
                    headers=self._headers(call, grant),
                    allow_redirects=False,
                    trace_request_ctx=progress,
                ) as response:
                    if not call.safe:
                        failpoints.hit("call.answering")
                    secrets = (self._app_secret, grant.token, *call.secrets)
                    body = scrub(await self._read(response), *secrets)
                    return _Answer(response.status, _clean(response.headers, secrets), body)
        except _TooLarge:
            reason, quick = f"the answer is larger than {self._max_body_bytes} bytes", False
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            reason = type(exc).__name__
        # made outside the handler: aiohttp's errors can hold the request's headers, and a chained one is printed
        return _Failure(_lost(call, progress, reason), quick)

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        # what is packed may be a thousand times larger than it says
        stated = response.content_length
        if stated and stated <= min(_CHUNK, self._max_body_bytes) and "Content-Encoding" not in response.headers:
            return await response.read()
        body = bytearray()
        async for chunk in response.content.iter_chunked(_CHUNK):
            body += chunk
            if len(body) > self._max_body_bytes:
                raise _TooLarge
        return bytes(body)

    def _headers(self, call: Call, grant: Grant) -> dict[str, str]:
        headers = {
            "X-AppSecretToken": self._app_secret.get_secret_value(),
            "X-AgreementGrantToken": grant.token.get_secret_value(),
            "Accept": "application/json",
            "User-Agent": self._agent,
        }
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        if call.idempotency_key is not None:
            headers["Idempotency-Key"] = call.idempotency_key
        if (traceparent := tracing.current()) is not None:
            headers[tracing.PARENT_HEADER] = traceparent
        return headers


def _lost(call: Call, progress: _Progress, reason: str) -> WithProblem:
    """Return the error for a call without an answer: a write that began to leave may have taken effect."""
    if call.safe:
        return unavailable(f"{call.what}: {reason}")
    if not progress.sent:
        return unavailable(f"{call.what}: nothing was sent ({reason})")
    return outcome_unknown(f"{call.what}: the answer was lost ({reason})")


async def _mark_sent(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
    context.trace_request_ctx.set_out()


def _user_agent() -> str:
    try:
        return f"pike-economic/{version('pike-economic')}"
    except PackageNotFoundError:
        return "pike-economic"


def _clean(headers: Mapping[str, str], secrets: Sequence[SecretStr]) -> Mapping[str, str]:
    written = "\n".join(headers.values()).encode()
    if scrub(written, *secrets) is written:
        return headers  # as a rule: nothing was echoed
    return CIMultiDict((name, scrub(value.encode(), *secrets).decode()) for name, value in headers.items())
