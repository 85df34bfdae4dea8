"""A whole private stack: servers, a local e-conomic, migrations, and the worker as a process of its own."""

import asyncio
import base64
import os
import secrets
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from worker.sandbox import Sandbox, SeedSize
from worker.servers import Servers, provide
from worker.servers.process import free_port
from worker.settings import PREFIX, Settings, load
from worker.store import migrate

READY_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Stack:
    """Addresses and handles of a running stack. ``environment`` is what any command needs to reach it."""

    servers: Servers
    sandbox: Sandbox
    settings: Settings
    environment: dict[str, str]
    health_url: str


@asynccontextmanager
async def stack(
    size: SeedSize, announce: Callable[[str], None], *, wait_ladder: str = "1,2,5,10,30"
) -> AsyncIterator[Stack]:
    """Start everything and stop it on leaving, whatever happened. Raises ``ServersUnavailable``, ``RuntimeError``."""
    loop = asyncio.get_running_loop()
    servers_context = provide(announce=announce)
    servers = await loop.run_in_executor(None, servers_context.__enter__)
    try:
        async with Sandbox(size=size) as sandbox:
            environment = environment_of(servers, sandbox, wait_ladder)
            settings = load(environment)
            announce("migrating the database")
            await migrate.migrate(servers.database_url)
            announce("starting the worker")
            process = await start_worker(environment)
            try:
                health_url = f"http://127.0.0.1:{settings.http_port}"
                await until_ready(health_url, process)
                yield Stack(servers, sandbox, settings, environment, health_url)
            finally:
                await stop_worker(process)
    finally:
        await loop.run_in_executor(None, servers_context.__exit__, None, None, None)


def environment_of(servers: Servers, sandbox: Sandbox, wait_ladder: str) -> dict[str, str]:
    """Settings of the stack; the keys are made for it and die with it."""
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    port = free_port()
    values = {
        "AMQP_URL": servers.amqp_url,
        "DATABASE_URL": servers.database_url,
        "LEGACY_URL": sandbox.legacy_url,
        "OPENAPI_URL": sandbox.openapi_url,
        "CONSENT_URL": sandbox.consent_url,
        "APP_SECRET_TOKEN": sandbox.app_secret_token,
        "APP_PUBLIC_TOKEN": sandbox.app_public_token,
        "ENCRYPTION_KEYS": f"demo:{key}",
        "OPERATOR_TOKENS": f"demo:{secrets.token_urlsafe(24)}",
        "LINK_KEY": secrets.token_urlsafe(32),
        "HTTP_PORT": str(port),
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "WAIT_LADDER_S": wait_ladder,
        "LOG_LEVEL": "WARNING",
    }
    return {PREFIX + name: value for name, value in values.items()}


async def start_worker(environment: dict[str, str]) -> asyncio.subprocess.Process:
    """Start ``pike-economic run`` as Pike's platform would: a process with its settings in the environment."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "worker", "run", env={**os.environ, **environment}, stdin=asyncio.subprocess.DEVNULL
    )


async def stop_worker(process: asyncio.subprocess.Process) -> None:
    """Ask the worker to end in order; kill it when it does not."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), 20)
    except TimeoutError:
        process.kill()
        await process.wait()


async def until_ready(health_url: str, process: asyncio.subprocess.Process) -> None:
    """Wait until a worker serves and is ready. Raises ``RuntimeError`` when it ended or takes too long."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + READY_TIMEOUT_S
    async with aiohttp.ClientSession() as session:
        while loop.time() < deadline:
            if process.returncode is not None:
                raise RuntimeError(f"the worker ended with code {process.returncode} while starting")
            try:
                async with session.get(f"{health_url}/health/ready") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.1)
    raise RuntimeError(f"the worker was not ready within {READY_TIMEOUT_S:g} s")
