"""The local e-conomic: one HTTP server with both API surfaces, the consent page and a control interface.

State is in memory and deterministic from a seed. Tokens are fake by construction and say so.
"""

from types import TracebackType
from typing import Self

from aiohttp import web

from worker.sandbox.answers import Answer
from worker.sandbox.consent import consent_routes
from worker.sandbox.control import control_routes
from worker.sandbox.gate import Surface
from worker.sandbox.keys import decode_key
from worker.sandbox.legacy import legacy_router
from worker.sandbox.openapi_goods import openapi_router
from worker.sandbox.wire import read_request, send, strike
from worker.sandbox.world import RequestRecord, World, grant_hash

_MAX_BODY = 32 * 1024 * 1024


class Sandbox(World):
    """A faithful local e-conomic. Use it as an async context manager, or ``start`` and ``stop`` it.

    ``now`` replaces the clock (aware UTC). ``vat_rounding`` chooses between rounding VAT per line or per rate on the
    invoice; which one the real service does is not established. ``consent_redirect_hosts``, when given, limits the
    hosts that the consent page sends a browser to.
    """

    _runner: web.AppRunner | None = None
    _surfaces: dict[str, Surface]

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes a free one. Raises OSError when the port is taken.

        May be called again after ``stop``: the state is as it was, which is how to stage an outage.
        """
        app = web.Application(client_max_size=_MAX_BODY)
        consent_routes(app, self)
        control_routes(app, self)
        app.router.add_route("*", "/{surface:legacy|openapi}{tail:(/.*)?}", self._handle)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.2)
        await runner.setup()
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        self.hook_sender.start()
        bound = runner.addresses[0][1]
        # Links in answers name an address that can be opened, also when it listens on every one (in a container)
        shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
        self._origin = f"http://{f'[{shown}]' if ':' in shown else shown}:{bound}"
        for agreement in [*self.agreements, *([self._demo] if self._demo else [])]:
            agreement.forget_texts()  # they hold links with the address of an earlier start
        self._surfaces = {
            "legacy": Surface("legacy", legacy_router(), self.legacy_url, legacy=True),
            "openapi": Surface("openapi", openapi_router(), self.openapi_url, legacy=False),
        }

    async def stop(self) -> None:
        """Stop listening; hanging answers are cut off. May be called twice."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await self.hook_sender.stop()
            await runner.cleanup()

    async def __aenter__(self) -> Self:
        if self._runner is None:
            await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _handle(self, http: web.Request) -> web.StreamResponse:
        surface = self._surfaces[http.match_info["surface"]]
        request = await read_request(http, surface.name, decode_key if surface.legacy else None)
        agreement = self.gate.find_agreement(request)
        number = agreement.number if agreement else None
        path = f"/{surface.name}/{request.path}"
        rule = self.faults.pick(request.method, path, number)
        answer: Answer | None = await strike(self, surface, rule)
        if answer is None and (rule is None or rule.kind != "drop_before"):
            answer = self.gate.answer(surface, request)
        unsent = rule is not None and rule.kind in ("drop_before", "drop_after", "hang", "hang_after")
        self.log(
            RequestRecord(
                request.method,
                path,
                request.query,
                None if unsent or answer is None else answer.status,
                grant_hash(request.headers.get("x-agreementgranttoken", "")),
                number,
                request.headers.get("idempotency-key"),
                rule.kind if rule else None,
                answer is not None and "X-ResultFromCache" in answer.headers,
                self.now(),
            )
        )
        return await send(http, answer, rule)
