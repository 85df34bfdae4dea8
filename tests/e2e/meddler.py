"""A go-between in front of the local e-conomic that lies on purpose: broken records, false totals.

It knows nothing of the worker and nothing of the sandbox but its address.
"""

import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Self

import aiohttp
from aiohttp import web

Change = Callable[[dict[str, Any], str], None]


class Meddler:
    """Forwards everything; ``on`` and ``edit`` change JSON answers, ``before`` acts on the books first."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._changes: list[tuple[re.Pattern[str], Change]] = []
        self._befores: list[tuple[re.Pattern[str], Callable[[str], None]]] = []
        self.url = ""

    def on(self, path: str, change: Change) -> None:
        """Let ``change(document, query)`` edit the answer of every path that the pattern fits."""
        self._changes.append((re.compile(path), change))

    def before(self, path: str, act: Callable[[str], None]) -> None:
        """Call ``act(query)`` before such a request is passed on."""
        self._befores.append((re.compile(path), act))

    def edit(self, path: str, key: str, number: object, **fields: Any) -> None:
        """Overwrite fields of one record in lists and on its own, found by the value of its key."""

        def change(document: dict[str, Any], _query: str) -> None:
            for record in document.get("collection", [document]):
                if record.get(key) == number:
                    record.update(fields)

        self.on(path, change)

    def clear(self) -> None:
        """Tell the truth again."""
        self._changes.clear()
        self._befores.clear()

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        app = web.Application(client_max_size=32 * 1024 * 1024)
        app.router.add_route("*", "/{tail:.*}", self._forward)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._runner.cleanup()
        await self._session.close()

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        for pattern, act in self._befores:
            if pattern.search(path):
                act(query)
        kept = {
            name: value for name, value in request.headers.items() if name.lower() not in ("host", "content-length")
        }
        address = aiohttp.client.URL(f"{self._upstream}{path}{'?' + query if query else ''}", encoded=True)
        async with self._session.request(
            request.method, address, data=await request.read(), headers=kept, allow_redirects=False
        ) as answer:
            body = self._changed(path, query, answer.status, await answer.read())
            return web.Response(
                status=answer.status, body=body, headers={"Content-Type": answer.headers["Content-Type"]}
            )

    def _changed(self, path: str, query: str, status: int, body: bytes) -> bytes:
        changes = [change for pattern, change in self._changes if pattern.search(path)]
        if status != 200 or not changes:
            return body
        document = json.loads(body, parse_float=Decimal)
        for change in changes:
            change(document, query)
        return json.dumps(document, default=float).encode()


def once_on_page(page: int, act: Callable[[], object]) -> Callable[[str], None]:
    """Act just before that page is read, the first time only."""
    done: list[bool] = []

    def before(query: str) -> None:
        if f"skippages={page}" in query and not done:
            done.append(True)
            act()

    return before
