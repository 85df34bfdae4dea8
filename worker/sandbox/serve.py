"""Runs the sandbox from the command line until it is cancelled."""

import asyncio
from collections.abc import Callable

from worker.sandbox.records import SeedSize
from worker.sandbox.sandbox import Sandbox


async def serve(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    seed: int = 1,
    size: SeedSize | None = None,
    print_ready: Callable[[str], None] = print,
) -> None:
    """Serve until cancelled. Once listening, ``print_ready`` gets the lines that a person needs, one call per line.

    The tokens printed are fake by construction: they open nothing but this process.
    """
    sandbox = Sandbox(seed=seed, size=size)
    await sandbox.start(host, port)
    try:
        for line in ready_lines(sandbox):
            print_ready(line)
        await asyncio.Event().wait()
    finally:
        await sandbox.stop()


def ready_lines(sandbox: Sandbox) -> list[str]:
    """Return what to print when the sandbox listens: addresses as settings, fake tokens, the agreement."""
    agreement = sandbox.agreements[0]
    return [
        f"PIKE_ECONOMIC_LEGACY_URL={sandbox.legacy_url}",
        f"PIKE_ECONOMIC_OPENAPI_URL={sandbox.openapi_url}",
        f"PIKE_ECONOMIC_CONSENT_URL={sandbox.consent_url}",
        f"PIKE_ECONOMIC_APP_SECRET_TOKEN={sandbox.app_secret_token}",
        f"PIKE_ECONOMIC_APP_PUBLIC_TOKEN={sandbox.app_public_token}",
        f"# agreement {agreement.number} {agreement.company_name}, grant token {agreement.grant_token}",
        f"# control: {sandbox.origin}/_sandbox (the tokens are fake and open only this sandbox)",
    ]
