"""A TCP proxy that misbehaves: between the worker and RabbitMQ or Postgres it cuts, refuses, or goes silent."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit, urlunsplit


class TcpProxy:
    """Stands between the worker and a server: cuts connections, refuses them, or goes silent.

    ``on_sent`` is called with every piece that a client sends, after it was passed on; it may ``cut``.
    """

    def __init__(self, target_url: str) -> None:
        self._target = urlsplit(target_url)
        self._server: asyncio.Server | None = None
        self._pumps: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._flows: list[asyncio.Event] = []
        self._refusing = False
        self.accepted = 0
        self.on_sent: Callable[[bytes], None] = lambda _piece: None

    async def __aenter__(self) -> "TcpProxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for pump in self._pumps:
            pump.cancel()
        if self._pumps:
            await asyncio.wait(self._pumps)
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        credentials = self._target.netloc.rpartition("@")[0]
        return urlunsplit(self._target._replace(netloc=f"{credentials}@127.0.0.1:{port}"))

    def cut(self) -> None:
        """Reset every connection now."""
        for writer in self._writers:
            writer.transport.abort()

    def refuse(self, refusing: bool = True) -> None:
        """Hang up on whoever connects."""
        self._refusing = refusing

    def freeze(self, first: int | None = None) -> None:
        """Pass nothing on in either direction and close nothing, for all or the ``first`` so many connections."""
        for flow in self._flows[:first]:
            flow.clear()

    def thaw(self) -> None:
        """Pass everything on again."""
        for flow in self._flows:
            flow.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
            return
        self.accepted += 1
        far_reader, far_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
        self._writers |= {writer, far_writer}
        flow = asyncio.Event()
        flow.set()
        self._flows.append(flow)
        for source, sink, sent in ((reader, far_writer, True), (far_reader, writer, False)):
            pump = asyncio.create_task(self._pump(source, sink, flow, sent))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, flow: asyncio.Event, sent: bool
    ) -> None:
        try:
            with suppress(OSError):
                while data := await source.read(65536):
                    await flow.wait()
                    sink.write(data)
                    await sink.drain()
                    if sent:
                        self.on_sent(data)
        finally:
            sink.close()
            self._writers.discard(sink)
