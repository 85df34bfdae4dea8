"""What tests of every kind share: waiting for a condition, throw-away databases, throw-away corners of RabbitMQ."""

import asyncio
import inspect
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import aio_pika
import asyncpg

from worker.broker.topology import DEFAULT_LADDER_S, build_topology
from worker.servers import PrivateRabbitMQ, Servers
from worker.store.migrate import migrate

T = TypeVar("T")

TEST_LADDER_S = (0.2, 0.5, 1.0, 2.0, 5.0)
"""The waits of the worker that ``harness`` runs."""
_VHOSTS_AT_A_TIME = 40
_ADD_VHOSTS = """lists:foreach(fun(I) ->
    Name = iolist_to_binary(["{prefix}-", integer_to_list(I)]),
    ok = rabbit_vhost:add(Name, <<"guest">>),
    ok = rabbit_auth_backend_internal:set_permissions(
        <<"guest">>, Name, <<".*">>, <<".*">>, <<".*">>, <<"guest">>)
end, lists:seq({first}, {last}))."""
_DROP_VHOSTS = """lists:foreach(fun(I) ->
    rabbit_vhost:delete(iolist_to_binary(["{prefix}-", integer_to_list(I)]), <<"guest">>)
end, lists:seq({first}, {last}))."""


async def eventually(
    predicate: Callable[[], T | Awaitable[T]], *, timeout_s: float = 10.0, message: str = "", every_s: float = 0.02
) -> T:
    """Call ``predicate`` until it returns something true, and return that.

    A predicate that raises ``AssertionError`` is not true yet. Raises ``AssertionError`` with ``message`` and the last
    thing seen when ``timeout_s`` seconds have passed.
    """
    began = time.monotonic()
    while True:
        try:
            seen: Any = predicate()
            if inspect.isawaitable(seen):
                seen = await seen
            if seen:
                return seen  # type: ignore[no-any-return]
            last = f"last saw {seen!r}"
        except AssertionError as exc:
            last = f"last failed with: {exc}"
        if time.monotonic() - began > timeout_s:
            what = message or getattr(predicate, "__qualname__", repr(predicate))
            raise AssertionError(f"not true within {timeout_s:g} s: {what}; {last}")
        await asyncio.sleep(every_s)


def run_apart(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in a thread and loop of its own, whatever the caller's loop is doing."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


class Databases:
    """Throw-away databases on one Postgres. The migrated ones are cloned from one that was migrated once."""

    def __init__(self, admin_url: str) -> None:
        self._admin_url = admin_url
        self._prefix = f"pike_test_{secrets.token_hex(4)}"
        self._made = 0
        self._template: str | None = None

    def create(self, *, migrated: bool) -> str:
        """Make a database and return its address."""
        name = self._next()
        if migrated:
            self._template = self._template or self._make_template()
            self._execute(f'create database "{name}" template "{self._template}"')
        else:
            self._execute(f'create database "{name}"')
        return self._url(name)

    def drop(self, url: str) -> None:
        """Remove a database that ``create`` returned, whoever is still connected."""
        self._execute(f'drop database if exists "{urlsplit(url).path[1:]}" with (force)')

    def close(self) -> None:
        """Remove the template."""
        if self._template is not None:
            self._execute(f'drop database if exists "{self._template}" with (force)')

    def _make_template(self) -> str:
        name = self._next()
        self._execute(f'create database "{name}"')
        run_apart(migrate(self._url(name)))
        return name

    def _next(self) -> str:
        self._made += 1
        return f"{self._prefix}_{self._made}"

    def _url(self, name: str) -> str:
        return urlunsplit(urlsplit(self._admin_url)._replace(path=f"/{name}"))

    def _execute(self, sql: str) -> None:
        async def execute() -> None:
            connection = await asyncpg.connect(self._admin_url, timeout=20)
            try:
                await connection.execute(sql)
            finally:
                await connection.close(timeout=5)

        run_apart(execute())


class Vhosts:
    """A virtual host per test on a private node: nothing of an earlier test is there.

    Made many at a time because one call of ``rabbitmqctl`` takes a second however much it does; the used ones go with
    the next call.
    """

    def __init__(self, node: PrivateRabbitMQ) -> None:
        self._node = node
        self._prefix = f"test-{secrets.token_hex(3)}"
        self._handed_out = 0
        self._made = 0

    def take(self) -> str:
        """Return the address of a fresh virtual host."""
        if self._handed_out == self._made:
            self._make_more()
        self._handed_out += 1
        return urlunsplit(urlsplit(self._node.amqp_url)._replace(path=f"/{self._prefix}-{self._handed_out}"))

    def give_back(self, url: str) -> None:
        """Nothing to do: the used ones are removed together."""

    def _make_more(self) -> None:
        first, last = self._made + 1, self._made + _VHOSTS_AT_A_TIME
        script = _ADD_VHOSTS.format(prefix=self._prefix, first=first, last=last)
        if self._made:
            used = _DROP_VHOSTS.format(prefix=self._prefix, first=first - _VHOSTS_AT_A_TIME, last=self._made)
            script = f"{used.removesuffix('.')},\n{script}"
        self._node.rabbitmqctl("eval", script)
        self._made = last


class SharedVhost:
    """The one virtual host of a RabbitMQ that is not ours: after each test our queues and exchanges are removed."""

    def __init__(self, url: str) -> None:
        self._url = url

    def take(self) -> str:
        """Return the address, with nothing of ours in it."""
        run_apart(self._clean())
        return self._url

    def give_back(self, url: str) -> None:
        """Remove what the test left."""
        run_apart(self._clean())

    async def _clean(self) -> None:
        topologies = [build_topology([], [], ladder) for ladder in (DEFAULT_LADDER_S, TEST_LADDER_S)]
        async with await aio_pika.connect(self._url, timeout=20) as connection, connection.channel() as channel:
            for queue in {queue.name for topology in topologies for queue in topology.queues}:
                await channel.queue_delete(queue)
            for exchange in {exchange.name for topology in topologies for exchange in topology.exchanges}:
                await channel.exchange_delete(exchange)


def corners(servers: Servers) -> Vhosts | SharedVhost:
    """Return the way to keep tests apart that these servers allow."""
    return Vhosts(servers.rabbitmq) if servers.rabbitmq is not None else SharedVhost(servers.amqp_url)
