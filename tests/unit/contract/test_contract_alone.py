"""``events`` stands on its own: a service that imports it gets no worker, and no driver before it asks for one."""

import subprocess
import sys

import pytest

ALONE = """
import sys
import {module}
loaded = {{name.partition(".")[0] for name in sys.modules}}
print(*sorted(loaded & {{"worker", "aio_pika", "asyncpg", "aiohttp", "click", "structlog", "jsonschema"}}))
"""


@pytest.mark.requirement("B18")
@pytest.mark.parametrize(
    ("module", "loads"),
    [("events", ""), ("events.codec", ""), ("events.contract.document", ""), ("events.publisher", "aio_pika")],
)
def test_importing_events_loads_nothing_of_the_worker(module: str, loads: str) -> None:
    script = ALONE.format(module=module)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout.strip(), done.stderr) == (loads, "")
