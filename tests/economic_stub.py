"""A scripted stand-in for e-conomic's servers on loopback: it answers what a test told it to, or misbehaves.

It speaks raw HTTP/1.1 over asyncio streams, so that it can drop connections at any byte.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

APP_SECRET = "app-secret-4711-do-not-print"
GRANT = "grant-token-0815-do-not-print"
"""Made up for the tests; whatever a test writes or raises must not hold them."""


@dataclass
class Seen:
    """A request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query))


Step = Callable[[asyncio.StreamWriter], Awaitable[None]]


def answer(
    body: Any = b"", status: int = 200, headers: Mapping[str, str] | None = None, content_type: str = "application/json"
) -> Step:
    """Send a complete answer; anything but bytes goes out as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(_head(status, {"Content-Type": content_type, **(headers or {})}, len(data)) + data)
        await writer.drain()

    return send


def html(status: int) -> Step:
    return answer(b"<html><body><h1>Sorry</h1></body></html>", status, content_type="text/html")


def drop() -> Step:
    """Close the connection without an answer, the request having been read."""

    async def cut(writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    return cut


def cut_body(body: bytes) -> Step:
    """Announce more than is sent, then close."""

    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(_head(200, {"Content-Type": "application/json"}, len(body) + 10) + body)
        await writer.drain()
        writer.close()

    return send


def trickle(body: bytes, pause_s: float) -> Step:
    """Send one byte after the other, for ever slow."""

    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(_head(200, {"Content-Type": "application/json"}, len(body)))
        for byte in body:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(pause_s)

    return send


def hang() -> Step:
    """Never answer."""

    async def wait(_writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    return wait


def garbage(data: bytes = b"SSH-2.0-nonsense\r\n\r\n") -> Step:
    """Send what is not HTTP."""

    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return send


def _head(status: int, headers: Mapping[str, str], length: int) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {length}", *(f"{k}: {v}" for k, v in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


@dataclass
class Stub:
    """The server. ``script`` is used up step by step; then ``always`` answers, given the request."""

    script: list[Step] = field(default_factory=list)
    always: Callable[[Seen], Step] | None = None
    seen: list[Seen] = field(default_factory=list)
    unexpected: list[Seen] = field(default_factory=list)
    _server: asyncio.Server | None = None
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while (request := await _read(reader)) is not None:
                self.seen.append(request)
                await self._step(request)(writer)
                if writer.is_closing():
                    return
        except (ConnectionError, asyncio.CancelledError):
            return
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    def _step(self, request: Seen) -> Step:
        if self.script:
            return self.script.pop(0)
        if self.always is None:
            self.unexpected.append(request)
            return answer({"message": "the test did not script this call"}, 500)
        return self.always(request)


async def _read(reader: asyncio.StreamReader) -> Seen | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *rest = head.split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    method, target, _ = first.split(" ")
    return Seen(method, target, headers, body)


def page(
    records: list[Any], *, number: int = 0, size: int = 1000, results: int | None = None, **changes: Any
) -> dict[str, Any]:
    """Return a truthful legacy page; ``changes`` replace parts of its pagination (``None`` removes)."""
    total = len(records) if results is None else results
    pagination: dict[str, Any] = {"skipPages": number, "pageSize": size, "maxPageSizeAllowed": 1000, "results": total}
    if (number + 1) * size < total:
        pagination["nextPage"] = "https://restapi.e-conomic.com/next"
    pagination = {name: value for name, value in (pagination | changes).items() if value is not None}
    return {"collection": records, "pagination": pagination, "self": "https://restapi.e-conomic.com/x"}
