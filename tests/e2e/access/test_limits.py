"""Slow senders, floods and oversized requests: bounded, while others are still served."""

import asyncio
from contextlib import AsyncExitStack

import aiohttp
from harness import Harness

from worker.ops.app import serving
from worker.web.hardening import MAX_AT_WORK


async def raw(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection and send nothing yet."""
    host, port = address.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port))


async def live(address: str) -> int:
    """Ask whether the worker lives, on a connection of its own."""
    async with aiohttp.ClientSession() as session, session.get(f"{address}/health/live") as answer:
        return answer.status


async def test_slow_senders_lose_their_places_and_others_are_served(running: Harness) -> None:
    async with serving(running.worker, "127.0.0.1", 0, head_limit_s=60.0, max_connections=20) as address:
        slow = []
        for _ in range(60):
            reader, writer = await raw(address)
            writer.write(b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Slow: ")
            slow.append((reader, writer))
        assert await live(address) == 200
        closed = 0
        for reader, writer in slow[:40]:  # the oldest made room
            closed += await asyncio.wait_for(_ended(reader), 20)
            writer.close()
        assert closed == 40
        for _, writer in slow:
            writer.close()


async def _ended(reader: asyncio.StreamReader) -> bool:
    try:
        return await reader.read() == b""
    except ConnectionError:
        return True


async def test_headers_that_trickle_and_connections_that_say_nothing_end_in_time(running: Harness) -> None:
    async with serving(running.worker, "127.0.0.1", 0, head_limit_s=0.3) as address:
        silent, silent_writer = await raw(address)
        trickling, writer = await raw(address)
        writer.write(b"GET /health/live HT")
        assert await asyncio.wait_for(_ended(silent), 20)
        assert await asyncio.wait_for(_ended(trickling), 20)
        kept, kept_writer = await raw(address)
        kept_writer.write(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await asyncio.wait_for(kept.read(), 20)  # answered, then ended for saying nothing more
        assert answer.startswith(b"HTTP/1.1 200")
        for each in (silent_writer, writer, kept_writer):
            each.close()


async def test_an_answer_may_take_longer_than_the_headers_of_its_request(running: Harness) -> None:
    database = running.worker.dispatcher.database
    connection = database.connection
    go_on = asyncio.Event()
    database.connection = lambda what: _Held(connection(what), go_on)  # type: ignore[method-assign,assignment,return-value]
    try:
        async with (
            serving(running.worker, "127.0.0.1", 0, head_limit_s=0.3) as address,
            aiohttp.ClientSession() as asks,
        ):
            asked = asyncio.create_task(asks.get(f"{address}/health/ready"))
            done, _ = await asyncio.wait({asked}, timeout=1.0)  # more than three times the limit
            assert not done
            go_on.set()
            assert (await asyncio.wait_for(asked, 20)).status in (
                200,
                503,
            )  # answered; whether ready is not the question
    finally:
        database.connection = connection  # type: ignore[method-assign]


async def test_oversized_headers_and_bodies_are_refused(running: Harness) -> None:
    from worker.bootstrap import make_front

    front = make_front(running.settings, running.worker)
    async with serving(running.worker, "127.0.0.1", 0, front) as address, aiohttp.ClientSession() as session:
        async with session.get(f"{address}/health/live", headers={"X-Large": "x" * 20_000}) as answer:
            assert answer.status == 400
        async with session.get(f"{address}/connect/x?by={'y' * 20_000}") as answer:
            assert answer.status in (400, 414)
        async with session.post(f"{address}/console/login", data={"token": "x" * 200_000}) as answer:
            assert answer.status == 413
        assert await live(address) == 200


async def test_a_flood_is_answered_within_bounds_while_health_is_seen(running: Harness) -> None:
    from worker.bootstrap import make_front

    front = make_front(running.settings, running.worker)
    go_on = asyncio.Event()
    waiting = 0
    real = front.operators.find

    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(serving(running.worker, "127.0.0.1", 0, front))
        session = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True))
        )
        database = running.worker.dispatcher.database
        connection = database.connection

        def slow(what: str) -> object:
            nonlocal waiting
            waiting += 1
            return _Held(connection(what), go_on)

        database.connection = slow  # type: ignore[method-assign,assignment]
        stack.callback(setattr, database, "connection", connection)
        stack.callback(go_on.set)
        cookies = {"Cookie": "pike_operator=" + "a" * 43}

        async def ask() -> int:
            async with session.get(f"{address}/console/", headers=cookies, allow_redirects=False) as answer:
                return answer.status

        flood = [asyncio.create_task(ask()) for _ in range(300)]
        done, _ = await asyncio.wait(flood, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        while len(done) < 300 - MAX_AT_WORK:
            done, _ = await asyncio.wait(flood, timeout=0.1)
        assert {task.result() for task in done} == {503}
        assert await live(address) == 200
        go_on.set()
        statuses = await asyncio.wait_for(asyncio.gather(*flood), 30)
        assert statuses.count(303) == MAX_AT_WORK
        assert real is not None


class _Held:
    """A database connection that is not given before a word."""

    def __init__(self, inner: object, go_on: asyncio.Event) -> None:
        self._inner = inner
        self._go_on = go_on

    async def __aenter__(self) -> object:
        await self._go_on.wait()
        return await self._inner.__aenter__()  # type: ignore[attr-defined]

    async def __aexit__(self, *exc: object) -> object:
        return await self._inner.__aexit__(*exc)  # type: ignore[attr-defined]
