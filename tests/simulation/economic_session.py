"""The wire between the real client and the e-conomic in memory: a session of aiohttp's shape, with everything that can
happen to a request on its way. A request that has left takes effect whatever becomes of who sent it.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
from pydantic import SecretStr

from tests.simulation.economic_fake import Answer, FakeAgreement
from tests.simulation.loop import PROCESS, Process
from tests.simulation.world import SimClock, World
from worker.economic.client import EconomicClient
from worker.economic.transport import Sessions

ATTEMPT_TIMEOUT_S = 30.0
REUSED = 0.7
"""Share of requests that find an open connection: they leave without a single ``await`` in between."""

NO_EFFECT = ("refused connection", "dropped before", "hangs before", "500 before", "503", "429", "429 bare", "html 502")
EFFECT = ("dropped after", "hangs after", "slow", "500 after", "html 200", "truncated", "cut body", "error in 200")


class FakeEconomic:
    """Every agreement of a run; finds by grant whom a request concerns."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.agreements: list[FakeAgreement] = []

    def answer(self, method: str, url: str, headers: dict[str, str], body: bytes | None) -> Answer:
        """Carry out a request now."""
        grant = headers.get("X-AgreementGrantToken", "")
        agreement = next((each for each in self.agreements if grant in each.grants), None)
        if agreement is None:
            return Answer(401, b'{"message":"Access denied.","errorCode":"E00401","httpStatusCode":401}')
        before = len(agreement.made)
        answer = agreement.answer(method, url, headers, body, self.world.loop.time())
        for what, name in agreement.made[before:]:
            self.world.trace("e-conomic made", what, name)
            self._check(agreement, what, name)
        return answer

    def _check(self, agreement: FakeAgreement, what: str, name: str) -> None:
        """The promise of all promises, at the moment it would break (B1)."""
        if agreement.made.count((what, name)) > 1:
            self.world.violated(f"{what} '{name}' was made twice in agreement {agreement.number}")


class SimClient(EconomicClient):
    """The real client on the fake wire."""

    def __init__(self, world: World, economic: FakeEconomic, process: Process) -> None:
        super().__init__(
            legacy_url="https://economic.test",
            openapi_url="https://openapi.test",
            app_secret_token=SecretStr("app"),
            clock=SimClock(world, process),
            random=world.rng,
        )
        session: Any = Session(world, economic)
        self._sessions = Sessions(session, session)


class Session:
    """What the client uses of ``aiohttp.ClientSession``."""

    def __init__(self, world: World, economic: FakeEconomic) -> None:
        self._world = world
        self._economic = economic

    def request(self, method: str, url: Any, **options: Any) -> "Exchange":
        return Exchange(self._world, self._economic, method, str(url), options)

    async def close(self) -> None:
        """Nothing to close."""


class Exchange:
    """One request and its answer."""

    def __init__(self, world: World, economic: FakeEconomic, method: str, url: str, options: Mapping[str, Any]) -> None:
        self._world, self._economic = world, economic
        self._method, self._url = method, url
        self._headers: dict[str, str] = options["headers"]
        self._body: bytes | None = options["data"]
        self._progress = options["trace_request_ctx"]
        self.status = 0
        self.headers: dict[str, str] = {}
        self.content = self
        self.content_length: int | None = None
        self._answer = b""
        self._cut = False

    async def __aenter__(self) -> "Exchange":
        world = self._world
        fault = self._fault()
        if world.rng.random() >= REUSED:
            await world.wait(f"connecting for {self._method} {self._path}", 0.001, 0.02)
        if fault == "refused connection":
            raise aiohttp.ClientConnectionError("refused")
        self._progress.set_out()
        reply: asyncio.Future[Answer | None] = world.loop.create_future()
        world.trace("request", self._method, self._path, f"[{fault}]" if fault else "")
        world.outside(world.loop.create_task, self._serve(fault, reply))
        async with asyncio.timeout(ATTEMPT_TIMEOUT_S):
            answer = await reply
        await world.wait(f"answer to {self._method} {self._path}", 0.0, 0.005)
        if answer is None:
            raise aiohttp.ServerDisconnectedError
        world.trace("answer", answer.status, self._method, self._path)
        self.status, self.headers, self._answer = answer.status, answer.headers, answer.body
        self._cut = fault == "cut body"
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def iter_chunked(self, _size: int) -> AsyncIterator[bytes]:
        if self._cut:
            raise aiohttp.ClientPayloadError("cut")
        yield self._answer

    @property
    def _path(self) -> str:
        return self._url.removeprefix("https://economic.test").partition("?")[0]

    def _fault(self) -> str | None:
        world = self._world
        if PROCESS.get() is None or not world.strikes("e-conomic", world.odds.economic):
            return None
        return world.rng.choice(NO_EFFECT + EFFECT)

    async def _serve(self, fault: str | None, reply: "asyncio.Future[Answer | None]") -> None:
        """The other side: runs in nobody's process, so a request that left is carried out."""
        world = self._world
        await asyncio.sleep(world.rng.uniform(5, 55) if fault == "slow" else world.rng.uniform(0.005, 0.15))
        answer: Answer | None = None
        if fault not in NO_EFFECT:
            answer = self._economic.answer(self._method, self._url, self._headers, self._body)
        await asyncio.sleep(world.rng.uniform(0.005, 0.1))
        if fault in ("hangs before", "hangs after") or reply.done():
            return
        reply.set_result(_spoilt(fault, answer))


_HTML = b"<html><body>Service temporarily unavailable</body></html>"


def _spoilt(fault: str | None, answer: Answer | None) -> Answer | None:  # noqa: PLR0911  # one row, one return
    """Return what arrives of an answer."""
    match fault:
        case "dropped before" | "dropped after":
            return None
        case "500 before" | "500 after":
            return Answer(500, b'{"message":"Unexpected error","errorCode":"E00500","httpStatusCode":500}')
        case "503":
            return Answer(503, b"", {"Retry-After": "3"})
        case "429":
            return Answer(429, b'{"message":"Too many requests","httpStatusCode":429}', {"Retry-After": "7"})
        case "429 bare":
            return Answer(429, b"")
        case "html 502":
            return Answer(502, _HTML)
        case "html 200":
            return Answer(200, _HTML)
        case "error in 200":
            return Answer(200, b'{"message":"Unexpected error","errorCode":"E00500","httpStatusCode":500}')
        case "truncated" if answer is not None:
            return Answer(answer.status, answer.body[: len(answer.body) // 2])
        case _:
            return answer
