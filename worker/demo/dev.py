"""``make dev``: the demo's stack with one workspace connected and imported, left running until Ctrl-C."""

import asyncio
import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from worker.bootstrap import tools
from worker.demo.stack import stack
from worker.handlers.connect import connect
from worker.sandbox import SeedSize
from worker.settings import Settings
from worker.telemetry.logging import configure

WORKSPACE = "dev"


async def dev(file: str | None = None) -> int:
    """Run until SIGINT or SIGTERM. ``file`` gets what other commands need to find the stack, as long as it is there."""
    configure(level="WARNING")
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sign, stopped.set)
    async with stack(SeedSize(customers=200, products=100, invoices=500), _say) as running:
        agreement = running.sandbox.agreements[0]
        async with tools(running.settings) as kit:
            await connect(
                kit.database, kit.client, kit.vault, kit.clock,
                workspace_id=WORKSPACE, grant=SecretStr(agreement.grant_token),
            )  # fmt: skip
        _say(f"workspace '{WORKSPACE}' is connected to agreement {agreement.number}, {agreement.company_name}")
        _say(f"worker {running.health_url}/health/ready · local e-conomic {running.sandbox.origin}/_sandbox")
        _say(f"console {running.health_url}/console/ · sign in with {_token(running.settings)}")
        variables = {**running.environment, "PIKE_SANDBOX_URL": running.sandbox.origin}
        exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
        with _at_hand(exports, file) as how:
            print(f"\n# in another terminal, for any pike-economic command:\n{how}")
            print(f"pike-economic import --workspace {WORKSPACE}")
            print("pike-economic connect-link --workspace another   # open what it prints in a browser")
            print("# change something in e-conomic and watch it arrive: its webhooks call the worker")
            change = shlex.quote('{"customer": 1, "name": "Nyt Navn ApS"}')
            print(f"curl -s -o /dev/null -d {change} {running.sandbox.origin}/_sandbox/change")
            print("pike-economic hooks")
            print("\n# Ctrl-C stops everything", flush=True)
            await stopped.wait()
            _say("stopping")
    return 0


@contextmanager
def _at_hand(exports: str, file: str | None) -> Iterator[str]:
    """Yield what to type to have the settings; a file with them is the owner's only, and goes with the stack."""
    if file is None:
        yield exports.rstrip()
        return
    path = Path(file)
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    try:
        path.write_text(exports, encoding="utf-8")
        yield f". {path if path.is_absolute() else f'./{path}'}"
    finally:
        path.unlink(missing_ok=True)


def _token(settings: Settings) -> str:
    """Return the operator's token, made for this stack and gone with it."""
    return settings.operator_tokens.get_secret_value().partition(":")[2]


def _say(message: str) -> None:
    print(f"· {message}", flush=True)
